"""A release that stands on disk, read back from its folder.

What belongs here: the manifest, the files that it names, and whether they are still what it says. What does not:
building a release (`build.py`), and whether it may leave (`approval.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.progress import track
from mediatech_assets.records import file_sha256

MANIFEST = "manifest.json"
CARD = "README.md"
CROISSANT = "croissant.json"
DCAT = "dcat.jsonld"
#: Ids that vanished from the dataset, for those who keep a copy of it.
REMOVED = "removed.parquet"

_REMEDY = "build it again: remove its folder, then `mediatech update --layers release`"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a release.

    Args:
        path: Its path in the release, with slashes.
        location: Where it lies.
        rows: Its rows; 0 for a file without rows.
        bytes: Its size.
        sha256: SHA-256 of its bytes.
    """

    path: str
    location: Path
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class StoredRelease:
    """A release in its folder.

    Args:
        folder: The folder.
        manifest: Its manifest.
        manifest_sha256: SHA-256 of the manifest's bytes.
        manifest_bytes: Their number.
    """

    folder: Path
    manifest: Mapping[str, Any]
    manifest_sha256: str
    manifest_bytes: int

    @property
    def dataset(self) -> str:
        """Name of the dataset in tables and asset keys."""
        return str(self.manifest["dataset"])

    @property
    def published_name(self) -> str:
        """Name of the dataset in published paths."""
        return str(self.manifest["about"]["published_name"])

    @property
    def id(self) -> str:
        """The release's identifier."""
        return str(self.manifest["release"])

    @property
    def day(self) -> str:
        """Day of the release, `YYYYMMDD`."""
        return self.id.partition("-")[0]

    @cached_property
    def files(self) -> tuple[StoredFile, ...]:
        """Every file that is published, the manifest included, sorted by path."""
        named = [
            StoredFile(file["path"], self.folder / file["path"], file["rows"], file["bytes"], file["sha256"])
            for file in self.manifest["files"]
        ]
        manifest = StoredFile(MANIFEST, self.folder / MANIFEST, 0, self.manifest_bytes, self.manifest_sha256)
        return tuple(sorted([*named, manifest], key=lambda file: file.path))

    @property
    def data_files(self) -> tuple[StoredFile, ...]:
        """The files below `data/`: the rows that consumers load."""
        return tuple(file for file in self.files if file.path.startswith("data/"))

    def require_unchanged(self) -> None:
        """Reads every file and compares it with the manifest.

        Raises:
            RefusedFileError: a file is missing or has other bytes; the message names it.
        """
        with track(f"{self.dataset}: verifying {self.id}", len(self.files), "files") as advance:
            for file in self.files:
                if not file.location.is_file():
                    raise RefusedFileError(f"{file.location} of release {self.id} is missing", _REMEDY)
                if file_sha256(file.location) != file.sha256:
                    raise RefusedFileError(
                        f"{file.location} of release {self.id} was changed after the release was built",
                        _REMEDY,
                    )
                advance(1)


def read_release(folder: Path) -> StoredRelease:
    """The release in `folder`.

    Raises:
        RefusedFileError: there is no manifest, it cannot be read, or it names a path outside of the release.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        paths = [str(file["path"]) for file in manifest["files"]]
        _ = manifest["about"]["published_name"], manifest["release"], manifest["dataset"]
    except FileNotFoundError:
        raise RefusedFileError(
            f"{folder} holds no release: {MANIFEST} is missing", "`mediatech status` shows where releases lie"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedFileError(f"{path} is no manifest that can be used: {error!r}", _REMEDY) from error
    for name in paths:
        if name.startswith("/") or ".." in name.split("/"):
            raise RefusedFileError(f"{path} names {name}, which is outside of the release", _REMEDY)
    return StoredRelease(folder, manifest, hashlib.sha256(content).hexdigest(), len(content))
