"""Typed records that cross from one stage to the next.

What belongs here: what an upstream publishes, and a raw file that we hold. What does not: anything that
does work, and the typed document (`documents/model.py`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["stock", "increment", "snapshot"]


@dataclass(frozen=True, slots=True)
class JsonRecords:
    """A member that is a JSON list of objects, read one object at a time.

    Each object becomes a member of its own: its path is `<name>[<key>]`, its bytes are the object as JSON.

    Args:
        name: What an object is called in its path (`service`).
        prefix: Where the list's items stand: `item` for a list at the top, `service.item` for the list under
            the key `service`.
        key: Field that names an object; the position counts for an object without it.
        member: Pattern of the member's name (as of `fnmatch`); others are passed over.
    """

    name: str
    prefix: str
    key: str
    member: str = "*"


@dataclass(frozen=True, slots=True)
class CsvRecords:
    """A member that is a CSV table with a header line, read one row at a time.

    Each row becomes a member of its own: its path is `<name>[<key>]`, its bytes are a JSON object of the
    texts by column name (a missing value is an empty text). A row that cannot be read is refused alone.

    Args:
        name: What a row is called in its path (`dataset`).
        key: Column that names a row; it must be the first one.
        key_pattern: Regular expression of a key: after a broken quote, reading goes on at the next line that
            begins with a key.
        delimiter: Character between two values.
        member: Pattern of the member's name (as of `fnmatch`); others are passed over.
    """

    name: str
    key: str
    key_pattern: str
    delimiter: str = ";"
    member: str = "*"


#: How a file is cut into records; files without it are read member by member.
Records = JsonRecords | CsvRecords


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """One file that an upstream offers.

    Args:
        name: File name, unique in its dataset.
        url: Address at the upstream host (never rewritten to a mirror's).
        kind: `stock` or `increment` for archives that are folded, `snapshot` for files published whole.
        stamp: Upstream version, sortable: the archive's stamp, or the time of a snapshot's last change.
        format: `targz`, `tarbz2`, `zip`, `json` or `csv`.
        feed: Feed of the dataset; empty when there is one.
        etag: ETag, when the host sends one.
        last_modified: Last-Modified as ISO 8601 UTC, when the host sends one.
        size: Bytes, when known exactly.
    """

    name: str
    url: str
    kind: Kind
    stamp: str
    format: str
    feed: str = ""
    etag: str | None = None
    last_modified: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file of the landing zone, as its row in `raw_files` says.

    Args:
        name: Name under which it is kept.
        path: Where it is kept.
        kind: `stock`, `increment` or `snapshot`.
        stamp: Upstream version, sortable.
        format: `targz`, `tarbz2`, `zip`, `json` or `csv`.
        feed: Feed of the dataset; empty when there is one.
        sha256: SHA-256 of its bytes; empty when it could not be fetched.
        url: Where it was published.
        ready: Whether it was fetched and can be read to its end.
        reason: Why it is not ready; empty when it is.
        last_modified: Last-Modified as ISO 8601 UTC, when the host sends one.
        records: How it is cut into records; nothing when its members are the documents.
    """

    name: str
    path: Path
    kind: Kind
    stamp: str
    format: str
    feed: str
    sha256: str
    url: str
    ready: bool
    reason: str = ""
    last_modified: str | None = None
    records: Records | None = None


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """One file of an archive.

    Args:
        path: Its path, without the stamp folder that DILA increments put first; `<name>[<key>]` for a record.
        data: Its bytes; empty when it was refused.
        modified: Its time, seconds since 1970 UTC.
        refusal: Why it must not be used; empty when it can.
    """

    path: str
    data: bytes
    modified: float
    refusal: str = ""


def upstream_version(files: Sequence[PublishedFile]) -> str:
    """A short text that changes when, and only when, what the upstream offers changes."""
    facts = sorted((file.name, file.stamp, file.etag or "", str(file.size or "")) for file in files)
    newest = max((file.stamp for file in files), default="")
    return f"{newest}-{hashlib.sha256(repr(facts).encode()).hexdigest()[:8]}"


def versioned_name(name: str, *facts: object) -> str:
    """Name of one version of a file: eight digits that change with what tells its versions apart, then the name."""
    return f"{hashlib.sha256('|'.join(map(str, facts)).encode()).hexdigest()[:8]}-{name}"


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
