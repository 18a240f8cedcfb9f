"""What the Albert API gets of a release: documents with their chunks, within its limits.

What belongs here: reading the release's files back into documents, and the form in which they are sent. What does
not: sending them (`albert.py`).

The service computes its own vectors, so ours stay here. It takes few metadata, as scalars: the ones that tell where
a passage comes from go first. `source_updated_at` is left out, it would send every document of a source again that
dates its whole content anew each day; the collection's description states it.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.release.stored import StoredFile, StoredRelease

#: Changes whenever the same rows would be sent otherwise: everything is sent again then.
_FORMAT = 1

_LONGEST_NAME = 255
_LONGEST_VALUE = 255
_MOST_METADATA = 10
_CHUNKS_PER_CALL = 64
#: The service takes 20 MB a call; the rest is room for JSON around the texts.
_BYTES_PER_CALL = 16_000_000
_ROWS_PER_BATCH = 1_000
#: Digits of the digest in a document's name, enough to tell the versions of one document apart.
_DIGITS = 16

#: What is embedded: headings and text together.
_CONTENT = "chunk_text"
#: Columns that go first among the metadata; others follow in the release's order.
_FIRST = ("doc_id", "chunk_id", "chunk_index", "title", "source_url", "url", "status", "number", "start_date")
_NEVER = frozenset({_CONTENT, "text", "chunk_xxh64", "source_updated_at"})

#: Between a document's identifier and the digits of its digest; SQL and Python split names at the last one.
MARK = "@"

Value = str | int | float | bool
Chunk = Mapping[str, str | Mapping[str, Value]]


@dataclass(frozen=True, slots=True)
class AlbertDocument:
    """A document as it is sent.

    Args:
        doc_id: Our identifier.
        digest: SHA-256 over everything that is sent.
        chunks: Its chunks with a text, in order; at least one.
        bytes: Size of the chunks as JSON.
    """

    doc_id: str
    digest: str
    chunks: tuple[Chunk, ...]
    bytes: int

    @property
    def name(self) -> str:
        """Its name at the service: the same only for the same content, so that it is found again after a kill."""
        digits = self.digest[:_DIGITS]
        return f"{self.doc_id[: _LONGEST_NAME - _DIGITS - len(MARK)]}{MARK}{digits}"

    def calls(self) -> Iterator[list[Chunk]]:
        """Its chunks in the groups that the service takes at once."""
        group: list[Chunk] = []
        size = 0
        for chunk in self.chunks:
            length = len(_json(chunk).encode())
            if group and (len(group) == _CHUNKS_PER_CALL or size + length > _BYTES_PER_CALL):
                yield group
                group, size = [], 0
            group.append(chunk)
            size += length
        if group:
            yield group

    @property
    def requests(self) -> int:
        """Requests that sending it takes."""
        return 1 + sum(1 for _ in self.calls())


def read_documents(release: StoredRelease, file: StoredFile) -> Iterator[AlbertDocument]:
    """The documents of one file of a release; those without any text are left out.

    Args:
        release: The release.
        file: One of its data files; no document is in two of them.
    """
    with pq.ParquetFile(file.location) as parquet:
        vectors = release.manifest["about"].get("vector_column")
        columns = [field.name for field in parquet.schema_arrow if field.name != vectors and _is_sent(field)]
        names = _metadata_columns(columns)
        for doc_id, rows in groupby(_rows(parquet, columns), key=lambda row: str(row["doc_id"])):
            chunks = tuple(chunk for row in rows if (chunk := _chunk(row, names)))
            if chunks:
                content = _json([_FORMAT, doc_id, chunks])
                yield AlbertDocument(
                    doc_id, hashlib.sha256(content.encode()).hexdigest(), chunks, len(content.encode())
                )


def _rows(parquet: pq.ParquetFile, columns: Sequence[str]) -> Iterator[dict[str, object]]:
    for batch in parquet.iter_batches(_ROWS_PER_BATCH, columns=list(columns)):
        yield from batch.to_pylist()


def _is_sent(field: pa.Field) -> bool:
    """Whether a column holds scalars: the service takes nothing else."""
    kind = field.type
    return (
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
    ) and not field.name.startswith("embeddings_")


def _metadata_columns(columns: Sequence[str]) -> list[str]:
    first = [name for name in _FIRST if name in columns]
    return first + [name for name in columns if name not in _FIRST and name not in _NEVER]


def _chunk(row: Mapping[str, object], names: Sequence[str]) -> Chunk | None:
    content = str(row.get(_CONTENT) or "")
    if not content.strip():
        return None
    values = ((name, _value(row[name])) for name in names)
    metadata = [(name, value) for name, value in values if value is not None]
    return {"content": content, "metadata": dict(metadata[:_MOST_METADATA])}


def _value(value: object) -> Value | None:
    """A value within the service's limits; nothing for one that says nothing or would be cut into something else."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    text = str(value).strip() if value is not None else ""
    if text[:1] in {"{", "["}:
        return None  # JSON in a text column: cut, it would not be JSON any more
    return text[:_LONGEST_VALUE].strip() or None


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
