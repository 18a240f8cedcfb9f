"""Safe reading of archives that strangers made: nothing is ever extracted to disk.

What belongs here: walking the members of tar.gz, tar.bz2 and zip files within bounds, and verifying that a
file can be read to its end. What does not: which members matter, and how a member is cut into records
(`record_files.py`).

A member that must not be used (its path leaves the archive, a link, too large) is given with its refusal and
without its bytes; the others go on. A file that is damaged or a bomb is refused as a whole.
"""

import bz2
import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.raw.record_files import cut_records
from mediatech_assets.records import ArchiveMember, Records

#: No document of the upstreams comes near; a larger member is a bomb or a mistake.
MEMBER_LIMIT = 512 * 1024 * 1024

#: A member that is cut into records is never held whole: only its reading must end.
CUT_MEMBER_LIMIT = 16 * 1024**3

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


@dataclass(frozen=True, slots=True)
class Entry:
    """A member that was reached and not read yet.

    Args:
        path: Its path as written in the archive.
        size: Bytes that it announces.
        modified: Its time, seconds since 1970 UTC.
        open: Opens its bytes.
        refusal: Why it must not be opened, whatever is wanted of it; empty when it can be.
        start: Where it begins: in the unpacked archive (tar) or in the file (zip).
    """

    path: str
    size: int
    modified: float
    open: Callable[[], BinaryIO]
    refusal: str = ""
    start: int = 0


def entries(path: Path, format: str) -> Iterator[Entry]:
    """Files of an archive, in its order, none of them read yet; each is read before the next one is taken."""
    return _READERS[format](path)


def read_members(path: Path, format: str, records: Records | None = None) -> Iterator[ArchiveMember]:
    """Files of an archive, in its order; folders are passed over.

    Args:
        path: The archive, or the file itself for `json` and `csv`.
        format: `targz`, `tarbz2`, `zip`, `json` or `csv`.
        records: How members are cut into records. Those that it does not name are given without their bytes.

    Raises:
        RefusedFileError: the file is gone, not of that format, ends too early or unpacks to too much.
    """
    with refused_as_a_whole(path, format):
        for entry in entries(path, format):
            yield from members_of(entry, records)


@contextmanager
def refused_as_a_whole(path: Path, format: str) -> Iterator[None]:
    """Turns whatever reading an archive raises into its refusal.

    Raises:
        RefusedFileError: the file is gone, not of that format, ends too early or unpacks to too much.
    """
    try:
        yield
    except RefusedFileError as error:  # from the cutter, which does not know the file
        raise RefusedFileError(f"{path.name}: {error.problem}", error.remedy) from error
    except FileNotFoundError as error:
        raise RefusedFileError(
            f"{path.name} is no longer in {path.parent}", "run the raw layer again to download it anew"
        ) from error
    except _UNREADABLE as error:
        raise _refused(path, format, str(error)) from error


def verify(path: Path, format: str, records: Records | None = None) -> None:
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
    for _ in read_members(path, format, records):
        pass


def total_limit(path: Path) -> int:
    """Bytes that the archive may unpack to."""
    return max(MEMBER_LIMIT, RATIO_LIMIT * path.stat().st_size)


def members_of(entry: Entry, records: Records | None) -> Iterator[ArchiveMember]:
    """The documents of an entry: itself, or its records; without bytes when it must not or need not be read."""
    path = _STAMP_FOLDER.sub("", entry.path)
    refusal = _path_refusal(entry.path) or entry.refusal
    is_cut = records is not None and is_cut_into(entry, records)
    limit = CUT_MEMBER_LIMIT if is_cut else MEMBER_LIMIT
    if not refusal and entry.size > limit:
        refusal = f"it is larger than {limit:,} bytes"
    if refusal or (records is not None and not is_cut):
        yield ArchiveMember(path, b"", entry.modified, refusal)
        return
    with entry.open() as stream:
        if records is not None:
            yield from cut_records(stream, records, entry.modified)
        else:
            # A length is given on purpose: without one, more than a zip announces is unpacked.
            yield ArchiveMember(path, stream.read(entry.size), entry.modified)


def is_cut_into(entry: Entry, records: Records) -> bool:
    """Whether an entry is read record by record."""
    return fnmatchcase(PurePosixPath(_STAMP_FOLDER.sub("", entry.path)).name, records.member)


class _Bounded:
    """The unpacked bytes of an archive, refusing what no archive of ours needs.

    `tarfile` reads extended headers of any announced length into memory, and unpacks whatever it passes over.
    """

    def __init__(self, stream: BinaryIO, limit: int) -> None:
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


def _walk_tar(unpack: Callable[[Path], BinaryIO], path: Path) -> Iterator[Entry]:
    with unpack(path) as stream:
        bounded = _Bounded(stream, total_limit(path))
        with tarfile.open(fileobj=bounded, mode="r:") as archive:  # type: ignore[call-overload]
            while (info := archive.next()) is not None:
                archive.members.clear()  # it would keep a header for each of two million articles
                if not info.isdir():
                    yield _tar_entry(archive, info)
        if not bounded.ends_well:
            raise tarfile.ReadError("it ends too early, or a header in it is damaged")
        bounded.drain()


def _tar_entry(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Entry:
    refusal = "" if info.isreg() and not info.issparse() else "links, devices and sparse files are refused"
    opened = partial(archive.extractfile, info)
    return Entry(info.name, info.size, float(info.mtime), opened, refusal, info.offset)  # type: ignore[arg-type]


def _walk_zip(path: Path) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        limit = total_limit(path)
        if sum(info.file_size for info in archive.infolist()) > limit:
            raise zipfile.BadZipFile(f"it unpacks to more than {limit:,} bytes")
        for info in archive.infolist():
            if not info.is_dir():
                opened = partial(_open_zipped, archive, info)
                yield Entry(info.filename, info.file_size, _zip_time(info), opened, start=info.header_offset)


def _open_zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    if info.flag_bits & _ENCRYPTED:
        raise zipfile.BadZipFile(f"{info.filename} is encrypted")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        # zipfile unpacks the other methods without any bound.
        raise zipfile.BadZipFile(f"{info.filename} is compressed by a method other than deflate")
    return archive.open(info)  # type: ignore[return-value]


def _single_file(path: Path) -> Iterator[Entry]:
    stat = path.stat()
    yield Entry(path.name, stat.st_size, stat.st_mtime, partial(path.open, "rb"))  # type: ignore[arg-type]


_READERS: dict[str, Callable[[Path], Iterator[Entry]]] = {
    "targz": partial(_walk_tar, gzip.open),  # type: ignore[arg-type]
    "tarbz2": partial(_walk_tar, bz2.open),  # type: ignore[arg-type]
    "zip": _walk_zip,
    "json": _single_file,
    "csv": _single_file,
}
_NAMES = {
    "targz": "tar.gz archive",
    "tarbz2": "tar.bz2 archive",
    "zip": "zip archive",
    "json": "JSON file",
    "csv": "CSV file",
}


def _path_refusal(name: str) -> str:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\\" in name:
        return "its path leaves the archive"
    return ""


def _zip_time(info: zipfile.ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _refused(path: Path, format: str, detail: str) -> RefusedFileError:
    return RefusedFileError(
        f"{path.name} is no complete {_NAMES[format]} ({detail or 'it ends too early'})",
        "nothing of it was used; run again to download it anew, and tell the publisher if it stays so",
    )
