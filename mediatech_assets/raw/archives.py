"""Safe reading of archives that strangers made: nothing is ever extracted to disk.

What belongs here: walking the members of tar.gz and zip files within bounds, and verifying that a file can
be read to its end. What does not: which members matter.

A member that must not be used (its path leaves the archive, a link, too large) is given with its refusal and
without its bytes; the others go on. A file that is damaged or a bomb is refused as a whole.
"""

import gzip
import json
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

#: Bytes that an archive may unpack to, for each byte of it. XML and JSON shrink to a tenth, a bomb to a
#: thousandth.
RATIO_LIMIT = 200

_BLOCK = 1 << 20
_STAMP_FOLDER = re.compile(r"^\d{8}-\d{6}/")
_HTML_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<!doctype html|<html)", re.IGNORECASE)
_ENCRYPTED = 0x1
_UNREADABLE = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, gzip.BadGzipFile, EOFError, OSError,
    ValueError, NotImplementedError,
)  # fmt: skip


def read_members(path: Path, format: str) -> Iterator[ArchiveMember]:
    """Files of an archive, in its order; folders are passed over.

    Args:
        path: The archive, or the file itself for `json`.
        format: `targz`, `zip` or `json`.

    Raises:
        RefusedFileError: the file is gone, not of that format, ends too early or unpacks to too much.
    """
    try:
        yield from _READERS[format](path)
    except FileNotFoundError as error:
        raise RefusedFileError(
            f"{path.name} is no longer in {path.parent}", "run the raw layer again to download it anew"
        ) from error
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


def total_limit(path: Path) -> int:
    """Bytes that the archive may unpack to."""
    return max(MEMBER_LIMIT, RATIO_LIMIT * path.stat().st_size)


class _Bounded:
    """The unpacked bytes of an archive, refusing what no archive of ours needs.

    `tarfile` reads extended headers of any announced length into memory, and unpacks whatever it passes over.
    """

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._last = b""

    @property
    def ends_well(self) -> bool:
        """Whether what was read last is an end mark: `tarfile` takes any damaged header for the end."""
        return self._last == bytes(tarfile.BLOCKSIZE)

    def read(self, size: int) -> bytes:
        self._check(size, self._stream.tell() + size)
        self._last = self._stream.read(size)
        return self._last

    def seek(self, position: int) -> int:
        # Archives are read forwards; going back would unpack them again from the start.
        self._check(position - self._stream.tell(), position)
        return self._stream.seek(position)

    def tell(self) -> int:
        return self._stream.tell()

    def drain(self) -> None:
        """Reads on to the end, where the checksum of a gzip file is compared."""
        while self._stream.read(_BLOCK):
            self._check(0, self._stream.tell())

    def _check(self, forwards: int, position: int) -> None:
        if forwards < 0:
            raise tarfile.ReadError("a member announces a negative length")
        if position > self._limit:
            raise tarfile.ReadError(f"it unpacks to more than {self._limit:,} bytes")


def _read_targz(path: Path) -> Iterator[ArchiveMember]:
    with gzip.open(path) as stream:
        bounded = _Bounded(stream, total_limit(path))
        with tarfile.open(fileobj=bounded, mode="r:") as archive:  # type: ignore[call-overload]
            while (info := archive.next()) is not None:
                archive.members.clear()  # it would keep a header for each of two million articles
                if not info.isdir():
                    yield _tar_member(archive, info)
        if not bounded.ends_well:
            raise tarfile.ReadError("it ends too early, or a header in it is damaged")
        bounded.drain()


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> ArchiveMember:
    refusal = _refusal(info.name, info.size)
    if not refusal and (not info.isreg() or info.issparse()):
        refusal = "links, devices and sparse files are refused"
    file = None if refusal else archive.extractfile(info)
    data = file.read() if file else b""
    return ArchiveMember(_STAMP_FOLDER.sub("", info.name), data, float(info.mtime), refusal)


def _read_zip(path: Path) -> Iterator[ArchiveMember]:
    with zipfile.ZipFile(path) as archive:
        limit = total_limit(path)
        if sum(info.file_size for info in archive.infolist()) > limit:
            raise zipfile.BadZipFile(f"it unpacks to more than {limit:,} bytes")
        for info in archive.infolist():
            if not info.is_dir():
                refusal = _refusal(info.filename, info.file_size)
                data = b"" if refusal else _zip_data(archive, info)
                yield ArchiveMember(info.filename, data, _zip_time(info), refusal)


def _zip_data(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise zipfile.BadZipFile(f"{info.filename} is encrypted")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        # zipfile unpacks the other methods without any bound.
        raise zipfile.BadZipFile(f"{info.filename} is compressed by a method other than deflate")
    with archive.open(info) as file:
        # A length is given on purpose: without one, more than the announced length is unpacked.
        return file.read(info.file_size)


def _read_whole(path: Path) -> Iterator[ArchiveMember]:
    _require_bounded(path)
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
        _require_bounded(path)
        with path.open(encoding="utf-8") as file:
            json.load(file)
    except (ValueError, RecursionError) as error:
        raise _refused(path, "json", str(error)) from error


def _require_bounded(path: Path) -> None:
    if path.stat().st_size > MEMBER_LIMIT:
        raise ValueError(f"it is larger than {MEMBER_LIMIT:,} bytes")


def _refused(path: Path, format: str, detail: str) -> RefusedFileError:
    return RefusedFileError(
        f"{path.name} is no complete {_NAMES[format]} ({detail or 'it ends too early'})",
        "nothing of it was used; run again to download it anew, and tell the publisher if it stays so",
    )
