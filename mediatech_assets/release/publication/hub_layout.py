"""What a release makes of a repository on the hub: which files are set, copied and deleted.

What belongs here: the published layout (`data/<name>-latest`, dated folders of former releases, what stands beside
them) and the difference between it and what a repository holds. Nothing here asks the network. What does not: how a
difference is committed (`huggingface.py`).

A repository may hold files of others. Only these are ours: everything below `data/<name>-latest/` and
`data/<name>-YYYYMMDD/`, the files that the release names, and those that the manifest of the former release named.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediatech_assets.release.publication.sink import Step
from mediatech_assets.release.stored import MANIFEST, StoredFile, StoredRelease

#: What the hub takes at most.
MOST_FILES = 100_000
MOST_ENTRIES_IN_A_FOLDER = 10_000
MOST_BYTES_IN_A_FILE = 50 * 10**9

#: Written by the hub itself: it decides what is stored as a large file. Never ours, whatever a manifest says.
_OF_THE_HUB = frozenset({".gitattributes"})

_RELEASE_ID = re.compile(r"(\d{8})-[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository.

    Args:
        path: Its path.
        bytes: Its size.
        git_sha1: Identifier of its git object: of its bytes, or of the pointer to them.
        sha256: SHA-256 of its bytes when they lie in the large file storage; else empty.
    """

    path: str
    bytes: int
    git_sha1: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository holds.

    Args:
        head: Commit of its main branch; empty when there is no repository.
        files: Its files by path.
        tags: Its tags.
        day: Day of its last commit, `YYYYMMDD`.
        manifest: The manifest at `head`; empty when there is none, or it is not one of ours.
    """

    head: str = ""
    files: Mapping[str, RemoteFile] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    day: str = ""
    manifest: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Copy:
    """A file that the repository gets from itself; nothing travels.

    Args:
        source: Where it stands now.
        target: Where it will stand.
    """

    source: RemoteFile
    target: str


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference between a repository and the release that it is to show.

    Args:
        uploads: Files whose content the repository does not hold.
        copies: Files whose content it holds at another path: the former release, and files that moved.
        deleted_files: Files that go, one by one.
        deleted_folders: Folders of former releases that go whole.
        overwritten: Which of the targets exist.
        unchanged: Number of the release's files that stay as they are.
        former: Folder that keeps the former release; empty when there is none to keep.
    """

    uploads: Sequence[StoredFile]
    copies: Sequence[Copy]
    deleted_files: Sequence[str]
    deleted_folders: Sequence[str]
    overwritten: frozenset[str]
    unchanged: int
    former: str

    @property
    def any(self) -> bool:
        """Whether the repository differs from what it is to be."""
        return self.operations > 0

    @property
    def operations(self) -> int:
        """Operations of the commit."""
        return sum(map(len, (self.uploads, self.copies, self.deleted_files, self.deleted_folders)))

    @property
    def targets(self) -> list[str]:
        """Paths that are set."""
        return [*(file.path for file in self.uploads), *(copy.target for copy in self.copies)]

    def steps(self) -> list[Step]:
        """One step a file or folder, in the order of the commit."""
        return [
            *(
                Step("update" if file.path in self.overwritten else "upload", file.path, file.bytes)
                for file in self.uploads
            ),
            *(Step("copy", copy.target, note=f"from {copy.source.path}") for copy in self.copies),
            *(Step("delete", path) for path in self.deleted_files),
            *(
                Step("delete", f"{path}/", note="more former releases than are kept")
                for path in self.deleted_folders
            ),
        ]


def changes(release: StoredRelease, repository: Repository, former_releases: int) -> Changes:
    """What is to be done to a repository so that it shows a release.

    Args:
        release: The release.
        repository: What the repository holds now.
        former_releases: Dated folders that stay.
    """
    files, name = repository.files, release.published_name
    uploads, moved, unchanged = _set_files(release, files)
    former = _former(release, repository) if former_releases else ""
    copies = [*moved, *_kept_copies(files, name, former)]
    deleted_folders = _surplus_folders(files, name, former, former_releases)
    deleted = {*_vanished(release, repository), *_vanished_of_dated(files, name, former)}
    targets = {*(file.path for file in uploads), *(copy.target for copy in copies)}
    return Changes(
        uploads,
        copies,
        sorted(deleted),
        deleted_folders,
        frozenset(targets.intersection(files)),
        unchanged,
        former,
    )


def release_id_of(manifest: Mapping[str, Any]) -> str:
    """The release that a manifest found on the hub is of; empty when it is not one of ours."""
    release = manifest.get("release")
    return release if isinstance(release, str) and _RELEASE_ID.fullmatch(release) else ""


def dated_folders(paths: Iterable[str], name: str) -> list[str]:
    """Folders of former releases among the paths of a repository, newest first."""
    pattern = re.compile(rf"(data/{re.escape(name)}-\d{{8}})/")
    return sorted({found[1] for found in map(pattern.match, paths) if found}, reverse=True)


def is_same(remote: RemoteFile | None, file: StoredFile) -> bool:
    """Whether a file on the hub has the bytes of a file of a release."""
    if remote is None or remote.bytes != file.bytes:
        return False
    if remote.sha256:
        return remote.sha256 == file.sha256
    return remote.git_sha1 == _git_sha1(file)


def oversize(release: StoredRelease) -> StoredFile | None:
    """A file of the release that is larger than the hub takes."""
    return next((file for file in release.files if file.bytes > MOST_BYTES_IN_A_FILE), None)


def crowding(paths: Iterable[str]) -> str:
    """Why a repository with these files would be too large, in words; empty when it is not."""
    entries: dict[str, set[str]] = defaultdict(set)
    count = 0
    for path in paths:
        count += 1
        for inner, outer in zip([path, *_folders(path)], _folders(path), strict=False):
            entries[outer].add(inner)
        entries[""].add(path.partition("/")[0])
    if count > MOST_FILES:
        return f"the repository would have {count:,} files, the hub takes {MOST_FILES:,}"
    for folder, inside in entries.items():
        if len(inside) > MOST_ENTRIES_IN_A_FOLDER:
            where = folder or "the top folder"
            return f"{where} would have {len(inside):,} entries, the hub takes {MOST_ENTRIES_IN_A_FOLDER:,}"
    return ""


def paths_after(repository: Repository, difference: Changes) -> set[str]:
    """Files of the repository once the difference is committed."""
    gone = set(difference.deleted_files)
    folders = tuple(f"{folder}/" for folder in difference.deleted_folders)
    kept = (path for path in repository.files if path not in gone and not path.startswith(folders))
    return {*kept, *difference.targets}


def clash(repository: Repository, difference: Changes) -> str:
    """A path that would be a folder and a file at once; empty when there is none.

    Files that go in the same commit count too: the order in which the hub applies a commit is not promised.
    """
    files = {*repository.files, *difference.targets}
    folders = {folder for path in files for folder in _folders(path)}
    return min(files & folders, default="")


def _set_files(
    release: StoredRelease, files: Mapping[str, RemoteFile]
) -> tuple[list[StoredFile], list[Copy], int]:
    """Files of the release to upload, those to copy within the repository, and the number of those that are there."""
    stored = {file.sha256: file for file in files.values() if file.sha256}
    uploads, copies, unchanged = [], [], 0
    for file in release.files:
        if is_same(files.get(file.path), file):
            unchanged += 1
        elif file.path.startswith("data/") and file.sha256 in stored:
            copies.append(Copy(stored[file.sha256], file.path))
        else:
            uploads.append(file)
    return uploads, copies, unchanged


def _former(release: StoredRelease, repository: Repository) -> str:
    """Folder for the release that is replaced; empty when nothing is."""
    manifest = next(file for file in release.files if file.path == MANIFEST)
    latest = f"data/{release.published_name}-latest/"
    if is_same(repository.files.get(MANIFEST), manifest):
        return ""
    if not any(path.startswith(latest) for path in repository.files):
        return ""
    former = _RELEASE_ID.fullmatch(release_id_of(repository.manifest))
    day = former[1] if former else repository.day
    return f"data/{release.published_name}-{day}"


def _kept_copies(files: Mapping[str, RemoteFile], name: str, former: str) -> list[Copy]:
    if not former:
        return []
    wanted = {f"{former}/{inner}": file for inner, file in _below(files, f"data/{name}-latest/")}
    return [
        Copy(file, target)
        for target, file in sorted(wanted.items())
        if target not in files or files[target].git_sha1 != file.git_sha1
    ]


def _vanished_of_dated(files: Mapping[str, RemoteFile], name: str, former: str) -> set[str]:
    """Files in the folder of the former release that it does not have: an earlier release of the same day left them."""
    if not former:
        return set()
    wanted = {inner for inner, _ in _below(files, f"data/{name}-latest/")}
    return {f"{former}/{inner}" for inner, _ in _below(files, f"{former}/") if inner not in wanted}


def _vanished(release: StoredRelease, repository: Repository) -> set[str]:
    """Files that the repository shows for the former release and that the new one does not have."""
    latest = f"data/{release.published_name}-latest/"
    ours = {path for path in repository.files if path.startswith(latest)}
    if release_id_of(repository.manifest):
        named = {str(file["path"]) for file in repository.manifest.get("files", ())}
        ours |= named.intersection(repository.files)
    return ours - {file.path for file in release.files} - _OF_THE_HUB


def _surplus_folders(
    files: Mapping[str, RemoteFile], name: str, former: str, former_releases: int
) -> list[str]:
    """Folders of former releases beyond those that stay.

    The one that is just replaced stays first: after a rollback it may be older than others.
    """
    others = [folder for folder in dated_folders(files, name) if folder != former]
    return sorted(others[max(former_releases - bool(former), 0) :])


def _below(files: Mapping[str, RemoteFile], prefix: str) -> list[tuple[str, RemoteFile]]:
    return [(path.removeprefix(prefix), file) for path, file in files.items() if path.startswith(prefix)]


def _folders(path: str) -> list[str]:
    """Folders that a path lies in, innermost first, without the top."""
    folders = []
    while "/" in path:
        path = path.rpartition("/")[0]
        folders.append(path)
    return folders


def _git_sha1(file: StoredFile) -> str:
    """Identifier that git gives to the bytes of a file. Its algorithm is git's: nothing here relies on its strength."""
    digest = hashlib.sha1(f"blob {file.bytes}\0".encode(), usedforsecurity=False)
    with file.location.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
