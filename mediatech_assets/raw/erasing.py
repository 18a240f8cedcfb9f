"""Writing a raw file anew without some of its members or records, for documents that must not be kept.

What belongs here: copying an archive but for what is erased. What does not: which documents are erased, and the
records of it (`landing.py`).

What stays keeps its bytes: of a tar archive everything but the erased members is copied as it was unpacked, of a JSON
list or a table everything but the erased records. Only the compression is made anew. Nothing is unpacked to disk
but a member that is cut into records, in a file without a name. The copy is the same at each attempt.
"""

import bz2
import gzip
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO

from mediatech_assets.errors import RefusedFileError
from mediatech_assets.raw.archives import entries, is_cut_into, members_of, read_members, refused_as_a_whole
from mediatech_assets.raw.record_files import write_without
from mediatech_assets.records import ArchiveMember, Records

#: Whether a member or record holds what is erased.
Holds = Callable[[ArchiveMember], bool]

_BLOCK = 1 << 20


class NotErasedError(RefusedFileError):
    """A file that can be read, and from which nothing can be taken out."""


@dataclass(frozen=True, slots=True)
class _Findings:
    """What an archive holds of the erased documents.

    Args:
        members: Number of members and records.
        whole: Places of entries that go as a whole.
        cut: Places of entries that lose records.
    """

    members: int
    whole: frozenset[int]
    cut: frozenset[int]


def copy_without(path: Path, target: Path, format: str, records: Records | None, holds: Holds) -> int:
    """Copies an archive without the members and records that `holds` names; writes nothing when there are none.

    Args:
        path: The archive, or the file itself for `json` and `csv`.
        target: Where the copy goes; of a failure, nothing is left there.
        format: `targz`, `tarbz2`, `zip`, `json` or `csv`.
        records: How members are cut into records.
        holds: Whether a member or record is left out.

    Returns:
        Members and records left out.

    Raises:
        RefusedFileError: the archive cannot be read to its end.
        NotErasedError: it is read well, and its copy would still hold what should be gone.
    """
    found = _find(path, format, records, holds)
    if not found.members:
        return 0
    try:
        with target.open("wb") as out:
            _WRITERS[format](path, out, found, records, holds)
        if any(holds(member) for member in read_members(target, format, records)):
            raise NotErasedError(
                f"what is to be erased from {path.name} cannot be taken out of it",
                f"remove {path} by hand; the raw layer downloads it again",
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return found.members


def _find(path: Path, format: str, records: Records | None, holds: Holds) -> _Findings:
    whole: set[int] = set()
    cut: set[int] = set()
    count = 0
    with refused_as_a_whole(path, format):
        for entry in entries(path, format):
            held = sum(map(holds, members_of(entry, records)))
            count += held
            if held:
                (cut if records is not None and is_cut_into(entry, records) else whole).add(entry.start)
    return _Findings(count, frozenset(whole), frozenset(cut))


# ------------------------------------------------------------------ tar


def _write_tar(
    unpack: Callable[[Path], BinaryIO],
    pack: Callable[[BinaryIO], IO[bytes]],
    path: Path,
    out: BinaryIO,
    found: _Findings,
    records: Records | None,
    holds: Holds,
) -> None:
    with unpack(path) as source:
        infos = {info.offset: info for info in _headers(source) if info.offset in found.whole | found.cut}
    with unpack(path) as source, pack(out) as packed:
        place = 0
        for start, info in sorted(infos.items()):
            _copy(source, packed, start - place)
            place = info.offset_data + _padded(info.size)
            if start in found.whole:
                _copy(source, None, place - start)
                continue
            assert records is not None  # noqa: S101 - only what is cut into records loses some
            _copy(source, None, info.offset_data - start)
            with _unnamed(path) as member, _unnamed(path) as kept:
                _copy(source, member, info.size)
                _copy(source, None, _padded(info.size) - info.size)
                member.seek(0)
                write_without(member, records, holds, kept)
                _put_member(info, kept, packed)
        _copy(source, packed, None)


def _headers(source: BinaryIO) -> Iterator[tarfile.TarInfo]:
    with tarfile.open(fileobj=source, mode="r:") as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]
            yield info


def _put_member(info: tarfile.TarInfo, content: BinaryIO, packed: IO[bytes]) -> None:
    info.size = content.tell()
    info.pax_headers = {name: value for name, value in info.pax_headers.items() if name != "size"}
    form = tarfile.PAX_FORMAT if info.pax_headers else tarfile.GNU_FORMAT
    packed.write(info.tobuf(form, "utf-8", "surrogateescape"))
    content.seek(0)
    _copy(content, packed, info.size)
    packed.write(bytes(_padded(info.size) - info.size))


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


# ------------------------------------------------------------------ zip


def _write_zip(path: Path, out: BinaryIO, found: _Findings, records: Records | None, holds: Holds) -> None:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(out, "w") as packed:
        packed.comment = source.comment
        for info in source.infolist():
            if info.header_offset in found.whole:
                continue
            with (
                source.open(info) as member,
                packed.open(_same_header(info), "w", force_zip64=True) as target,
            ):
                if info.header_offset in found.cut and records is not None:
                    with _unnamed(path) as content:
                        _copy(member, content, None)
                        content.seek(0)
                        write_without(content, records, holds, target)  # type: ignore[arg-type]
                else:
                    _copy(member, target, None)


def _same_header(info: zipfile.ZipInfo) -> zipfile.ZipInfo:
    """What a header says of the member, without what says where its bytes lie and how many they are."""
    header = zipfile.ZipInfo(info.filename, info.date_time)
    header.compress_type = info.compress_type
    header.comment = info.comment
    header.create_system = info.create_system
    header.external_attr = info.external_attr
    header.internal_attr = info.internal_attr
    return header


# ------------------------------------------------------------------ files that are records themselves


def _write_records(
    path: Path, out: BinaryIO, found: _Findings, records: Records | None, holds: Holds
) -> None:
    if records is None or found.whole:
        raise NotErasedError(
            f"{path.name} is a single document and cannot lose a part",
            f"remove {path} by hand, and take it out of the dataset's sources",
        )
    with path.open("rb") as source:
        write_without(source, records, holds, out)


def _gzip(out: BinaryIO) -> IO[bytes]:
    # Without a name and a time in its header, a copy of the same archive has the same bytes.
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=out, mtime=0)  # type: ignore[return-value]


def _bzip2(out: BinaryIO) -> IO[bytes]:
    return bz2.BZ2File(out, "wb")  # type: ignore[return-value]


_WRITERS: Mapping[str, Callable[[Path, BinaryIO, _Findings, Records | None, Holds], None]] = {
    "targz": partial(_write_tar, gzip.open, _gzip),  # type: ignore[arg-type]
    "tarbz2": partial(_write_tar, bz2.open, _bzip2),  # type: ignore[arg-type]
    "zip": _write_zip,
    "json": _write_records,
    "csv": _write_records,
}


@contextmanager
def _unnamed(beside: Path) -> Iterator[BinaryIO]:
    """A file on the same disk that no name leads to: a killed process leaves nothing of it."""
    with tempfile.TemporaryFile(dir=beside.parent) as file:
        yield file  # type: ignore[misc]


def _copy(source: IO[bytes], target: IO[bytes] | None, length: int | None) -> None:
    """Passes on so many bytes, all when no length is given; without a target they are passed over."""
    while length is None or length > 0:
        piece = source.read(_BLOCK if length is None else min(_BLOCK, length))
        if not piece:
            return
        if target is not None:
            target.write(piece)
        length = None if length is None else length - len(piece)
