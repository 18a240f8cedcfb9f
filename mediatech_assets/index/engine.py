"""What every engine can do, in words that belong to none of them.

What belongs here: the interface, its records, filters, and the choice of an engine by name. What does not:
anything of a particular engine (see `edge.py` and `client.py`), and the ranking of results (see `ranking.py`).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from mediatech_assets.errors import ConfigurationError, EmbeddingError, IndexUnavailableError
from mediatech_assets.index.bm25 import BM25_VERSION, SparseVector
from mediatech_assets.index.points import PayloadValue, Point

#: Names of the sparse vectors in every collection: of the chunk, and of the whole document.
SPARSE_VECTOR = "bm25"
DOCUMENT_VECTOR = "bm25_document"
#: Changes with what the points of a collection hold beside their vectors' encoders: filled anew then.
LAYOUT = "2"

#: Engines that `open_engine` knows.
ENGINES = ("edge", "server", "memory")

#: Names become names of folders and files: no dot and no slash, so that none leads elsewhere.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,119}")
#: Python reads more forms of ISO 8601 (week dates, no hyphens) than engines do.
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}:\d{2}.*)?", re.ASCII)


class FieldType(StrEnum):
    """How a payload field is indexed."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    BOOL = "bool"
    DATETIME = "datetime"


class Operator(StrEnum):
    """How a filter compares."""

    EQ = "eq"
    IN = "in"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"


FilterValue = str | int | float | bool | tuple[str, ...] | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition on a payload field. Filters given together must all hold; a missing field never matches.

    Args:
        field: Name of the payload field.
        op: `eq` and `in` compare as written; `lt`, `lte`, `gt` and `gte` compare numbers, or dates.
        value: A tuple for `in`; for the four orders a number or an ISO date, which is compared as a date.

    Raises:
        ConfigurationError: a value that does not fit the operator.
    """

    field: str
    op: Operator
    value: FilterValue

    def __post_init__(self) -> None:
        """Refuse here what engines would refuse late, each in its own words."""
        if isinstance(self.value, tuple) != (self.op is Operator.IN):
            raise ConfigurationError(
                f"filter on {self.field!r}: {self.op.value} cannot compare with {self.value!r}",
                "give a tuple of values to `in` and a single value to every other operator",
            )
        if self.is_order and isinstance(self.value, str):
            _check_date(self.field, self.value)

    @property
    def is_order(self) -> bool:
        """Whether the operator needs values that have an order."""
        return self.op not in (Operator.EQ, Operator.IN)


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """Everything that, when changed, asks for a new collection.

    Args:
        vector: Name of the dense vector: the model's id.
        dimensions: Its length.
        fields: Payload fields that searches filter on, with their types.
        sparse_version: Encoder of the sparse vectors.
        layout: Which vectors and indexes points have besides.
    """

    vector: str
    dimensions: int
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    sparse_version: str = BM25_VERSION
    layout: str = LAYOUT

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that differ between different specifications."""
        canonical = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]

    @classmethod
    def from_stored(cls, stored: Mapping[str, Any]) -> "CollectionSpec":
        """The specification that `asdict` wrote, read back from JSON.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is not one.
        """
        fields = {name: FieldType(kind) for name, kind in stored["fields"].items()}
        return cls(stored["vector"], stored["dimensions"], fields, stored["sparse_version"], stored["layout"])

    @property
    def indexed_fields(self) -> dict[str, FieldType]:
        """Payload fields that are indexed: those that people filter on, and those that every point has."""
        return {"dataset": FieldType.KEYWORD, "doc_id": FieldType.KEYWORD, **self.fields}


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What a Qdrant server needs to be told; the other engines ignore it.

    Args:
        url: Where it answers, with its port (6333 when there is none); a path in front of it is kept.
        key: Its API key; empty when it asks for none.
        quantization: `int8` keeps vectors as 8-bit integers in memory, beside the originals.
        on_disk: Keep vectors, payloads and the search structures on disk, not in memory.
    """

    url: str = ""
    key: str = field(default="", repr=False)
    quantization: Literal["none", "int8"] = "none"
    on_disk: bool = False


class UnreachableError(IndexUnavailableError):
    """The engine itself does not answer: nothing is known of its collections, and none needs to be rebuilt."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that an engine found.

    Args:
        chunk_id: The chunk.
        score: Cosine similarity, or BM25 score: larger is nearer.
        payload: The payload of its point, or the part of it that was asked for.
    """

    chunk_id: str
    score: float
    payload: Mapping[str, PayloadValue]


@dataclass(frozen=True, slots=True, eq=False)
class StoredPoint:
    """A point as an engine gives it back.

    Args:
        chunk_id: Its chunk.
        dense: Its vector, float32; engines scale vectors to length 1. Empty when the point has none.
        sparse: Its BM25 weights, indices ascending.
        payload: Its payload.
        document: BM25 weights of its whole document, on the point that has them.
    """

    chunk_id: str
    dense: np.ndarray
    sparse: SparseVector
    payload: Mapping[str, PayloadValue]
    document: SparseVector | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """What is asked of one collection; a side that is none is not searched.

    Args:
        dense: A vector of shape `(dimensions,)`, compared with the chunks' vectors.
        sparse: Weighed terms, looked for in chunks.
        document: Weighed terms, looked for in whole documents.
    """

    dense: np.ndarray | None = None
    sparse: SparseVector | None = None
    document: SparseVector | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """What one collection answered to each side of a question, best first.

    Args:
        dense: Chunks by cosine similarity.
        sparse: Chunks by BM25.
        document: Documents by BM25 over their whole text, each as the chunk that stands for it.
    """

    dense: Sequence[Hit] = ()
    sparse: Sequence[Hit] = ()
    document: Sequence[Hit] = ()


class Engine(Protocol):
    """A store of collections with aliases.

    Every method that reads or writes a collection raises `IndexUnavailableError` when it is missing, cannot be
    read or was changed by someone else, `UnreachableError` when the engine does not answer at all, and
    `BusyError` when another process keeps it too long; every method raises `ConfigurationError` for a name that
    cannot be one.
    """

    def kept_open(self) -> AbstractContextManager[None]:
        """While the block runs, opening a collection again costs nothing.

        The embedded engine then keeps every collection that it opens, and other processes out of it, until the
        block ends: right for a session of questions and for filling a collection that nobody searches yet.
        Threads of this process share what is kept. Elsewhere nothing changes.
        """
        ...

    def aliases(self) -> dict[str, str]:
        """The collection of every alias."""
        ...

    def collection_for(self, alias: str) -> str | None:
        """The collection that `alias` points to, or none."""
        ...

    def collections(self) -> list[str]:
        """Names of all collections of ours, sorted; a server may hold those of others, which are left alone."""
        ...

    def exists(self, collection: str) -> bool:
        """Whether the collection was created, readable or not."""
        ...

    def create(self, collection: str, spec: CollectionSpec) -> None:
        """Create an empty collection, whole or not at all.

        Raises:
            ConfigurationError: the collection exists.
        """
        ...

    def spec(self, collection: str) -> CollectionSpec:
        """What the collection was created with."""
        ...

    def count(self, collection: str) -> int:
        """Number of points."""
        ...

    def point_ids(self, collection: str) -> Iterator[str]:
        """Chunk ids of all points, in no particular order; points written meanwhile may be missed."""
        ...

    def stored(self, collection: str, chunk_ids: Sequence[str]) -> list[StoredPoint]:
        """The points of some chunks, in the order asked; those without a point are left out."""
        ...

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Add or replace points; they survive a killed process and are found once this returns.

        A call has a fixed cost, that of opening in the embedded engine: load inside `kept_open`, or a few
        thousand points a call. Of points with the same chunk the last one stays.

        Raises:
            EmbeddingError: a vector of another length, or one that holds NaN or infinity; nothing is written.
        """
        ...

    def delete(self, collection: str, chunk_ids: Sequence[str]) -> None:
        """Remove points; ids without a point are skipped."""
        ...

    def finish(self, collection: str) -> None:
        """Build the search structures after a bulk load. Searches answer before it too, only slower."""
        ...

    def point_to(self, alias: str, collection: str) -> None:
        """Make `alias` point to `collection`; a reader sees the old or the new one, never none."""
        ...

    def drop(self, collection: str) -> None:
        """Remove a collection, readable or not, and the aliases that point to it; none is no error."""
        ...

    def snapshot(self, collection: str) -> str | None:
        """Make a snapshot where the engine has them.

        Returns:
            Its name on the server, or none for an engine without snapshots.
        """
        ...

    def search_dense(
        self, alias: str, vector: np.ndarray, limit: int, filters: Sequence[Filter] = ()
    ) -> list[Hit]:
        """The `limit` nearest chunks to `vector` (shape `(dimensions,)`) by cosine similarity."""
        ...

    def search_sparse(
        self, alias: str, vector: SparseVector, limit: int, filters: Sequence[Filter] = ()
    ) -> list[Hit]:
        """The `limit` best chunks by BM25; chunks that share no term are not found."""
        ...

    def candidates(
        self,
        alias: str,
        queries: Queries,
        limit: int,
        filters: Sequence[Filter] = (),
        *,
        ids_only: bool = False,
    ) -> Candidates:
        """All sides of a question in one opening of the collection.

        Args:
            alias: Of the collection.
            queries: What is asked.
            limit: Hits of each side at most.
            filters: Conditions that must all hold.
            ids_only: Of the payload, hits have `IDENTITY` alone: enough to rank them.
        """
        ...

    def payloads(self, alias: str, chunk_ids: Sequence[str]) -> dict[str, Mapping[str, PayloadValue]]:
        """Whole payloads by chunk, of the chunks that have a point: for the few hits that are shown."""
        ...


_DEFAULTS = EngineOptions()


def open_engine(
    kind: str, folder: Path, wait_seconds: float = 10.0, options: EngineOptions = _DEFAULTS
) -> Engine:
    """The engine called `kind`.

    Args:
        kind: One of `ENGINES`. `memory` forgets everything when the process ends.
        folder: Where the embedded engine keeps its collections; created when needed. Engines in memory that are
            opened for the same folder share their collections.
        wait_seconds: How long to wait for another process, or for a server that does not answer, before giving
            up.
        options: What `server` needs.

    Raises:
        ConfigurationError: an engine that is not known, or a server whose address or key cannot be used.
    """
    if kind == "edge":
        from mediatech_assets.index.edge import EdgeEngine

        return EdgeEngine(folder, wait_seconds)
    if kind == "server":
        from mediatech_assets.index.client import server_engine

        return server_engine(options, wait_seconds)
    if kind == "memory":
        from mediatech_assets.index.client import memory_engine

        return memory_engine(folder)
    raise ConfigurationError(
        f"unknown index engine {kind!r}", f"set MEDIATECH_INDEX_ENGINE to one of {', '.join(ENGINES)}"
    )


def as_of(day: str | date) -> list[Filter]:
    """Filters for the versions of the law in force on `day`: `start_date <= day < end_date`.

    An open end is 2999-01-01 in LEGI. Versions that never came into force (`MODIFIE_MORT_NE`, start after
    end) match no day, and neither does a version without dates.

    Raises:
        ConfigurationError: a text that is no ISO date.
    """
    text = day.isoformat() if isinstance(day, date) else day
    return [Filter("start_date", Operator.LTE, text), Filter("end_date", Operator.GT, text)]


def check_name(name: str) -> str:
    """`name`, when it can be that of a collection or alias.

    Raises:
        ConfigurationError: when it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot name a collection or an alias",
            "use letters without accents, digits, hyphens and underscores, 120 at most",
        )
    return name


def checked_vectors(collection: str, rows: Sequence[np.ndarray], dimensions: int) -> np.ndarray:
    """The rows as one array, refusing what an engine would store and never find again.

    Args:
        collection: Where they should go, for the message.
        rows: At least one vector, each of shape `(dimensions,)`.
        dimensions: Length that the collection holds.

    Returns:
        Shape `(len(rows), dimensions)`, float32.

    Raises:
        EmbeddingError: another shape, NaN or infinity.
    """
    for row in rows:
        if row.shape != (dimensions,):
            raise EmbeddingError(
                f"{collection} holds vectors of {dimensions} numbers, not of shape {row.shape}",
                "use the profile that the index was built with, or build one for this profile: "
                "`mediatech update --layers index`",
            )
    vectors = np.stack(rows).astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        raise EmbeddingError(
            f"a vector for {collection} holds NaN or infinity",
            "embed the text again; if it comes back, report the text and the model",
        )
    return vectors


class _LibrarySparse(Protocol):
    """A sparse vector as the engines' libraries give it back."""

    @property
    def indices(self) -> Sequence[int]: ...

    @property
    def values(self) -> Sequence[float]: ...


def stored_sparse(vector: _LibrarySparse | None) -> SparseVector | None:
    """A library's sparse vector as ours, or none."""
    return None if vector is None else SparseVector(tuple(vector.indices), tuple(vector.values))


def _check_date(name: str, text: str) -> None:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"filter on {name!r}: {text!r} is no date", "write dates as YYYY-MM-DD, for example 2024-01-31"
        ) from error
