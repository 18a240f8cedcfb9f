"""Safe reading of archives that strangers made: nothing is ever extracted to disk.

What belongs here: walking the members of tar.gz and zip files within bounds, and verifying that a file can
be read to its end. What does not: which members matter.
"""

import gzip
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.records import ArchiveMember

#: No document of the nine upstreams comes near; a larger member is a bomb or a mistake.
MEMBER_LIMIT = 512 * 1024 * 1024

_STAMP_FOLDER = re.compile(r"^\d{8}-\d{6}/")
_HTML_START = re.compile(rb"\s*(?:<!doctype html|<html)", re.IGNORECASE)
_UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, lzma.LZMAError, EOFError, OSError,
    ValueError, NotImplementedError,
)  # fmt: skip


def read_members(path: Path, format: str) -> Iterator[ArchiveMember]:
    """Files of an archive, in its order; folders are passed over.

    Args:
        path: The archive, or the file itself for `json`.
        format: `targz`, `zip` or `json`.

    Raises:
        RefusedFileError: the file is not of that format, or ends too early.
    """
    try:
        yield from _READERS[format](path)
    except _UNREADABLE as error:
        raise _refused(path, format, str(error)) from error


def verify(path: Path, format: str) -> None:
    """Reads the whole file once, so that what is kept can be read later.

    Raises:
        RefusedFileError: it cannot be read to its end, or is another format.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if _HTML_START.match(start):
        raise RefusedFileError(
            f"{path.name} is an HTML page, not a {_NAMES[format]}",
            "the host answered with a page (an error, a login or a redirect): open the address in a browser",
        )
    if format == "json":
        _verify_json(path)
        return
    for _ in read_members(path, format):
        pass


def _read_targz(path: Path) -> Iterator[ArchiveMember]:
    with tarfile.open(path, "r:gz") as archive:
        for info in archive:
            if info.isdir():
                continue
            name = _STAMP_FOLDER.sub("", info.name)
            refusal = _refusal(info.name, info.size) or ("" if info.isfile() else "links and devices are refused")
            file = None if refusal else archive.extractfile(info)
            data = file.read() if file else b""
            yield ArchiveMember(name, data, float(info.mtime), refusal)


def _read_zip(path: Path) -> Iterator[ArchiveMember]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            refusal = _refusal(info.filename, info.file_size)
            data = b"" if refusal else archive.read(info)
            yield ArchiveMember(info.filename, data, _zip_time(info), refusal)


def _read_whole(path: Path) -> Iterator[ArchiveMember]:
    yield ArchiveMember(path.name, path.read_bytes(), path.stat().st_mtime)


_READERS = {"targz": _read_targz, "zip": _read_zip, "json": _read_whole}
_NAMES = {"targz": "tar.gz archive", "zip": "zip archive", "json": "JSON file"}


def _refusal(name: str, size: int) -> str:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name:
        return "its path leaves the archive"
    if size > MEMBER_LIMIT:
        return f"it is larger than {MEMBER_LIMIT:,} bytes"
    return ""


def _zip_time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _verify_json(path: Path) -> None:
    try:
        with path.open(encoding="utf-8") as file:
            json.load(file)
    except (ValueError, RecursionError) as error:
        raise _refused(path, "json", str(error)) from error


def _refused(path: Path, format: str, detail: str) -> RefusedFileError:
    return RefusedFileError(
        f"{path.name} is no complete {_NAMES[format]} ({detail or 'it ends too early'})",
        "nothing of it was used; run again to download it anew, and tell the publisher if it stays so",
    )
