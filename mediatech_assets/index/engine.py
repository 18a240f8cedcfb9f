"""What every engine can do, in words that belong to none of them.

What belongs here: the interface, its records, filters, and the choice of an engine by name. What does not:
anything of a particular engine (see `edge.py`), and the merging of results (see `hybrid.py`).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import numpy as np

from mediatech_assets.errors import ConfigurationError, EmbeddingError
from mediatech_assets.index.bm25 import BM25_VERSION, SparseVector
from mediatech_assets.index.points import PayloadValue, Point

#: Name of the sparse vector in every collection.
SPARSE_VECTOR = "bm25"

#: Engines that `open_engine` knows.
ENGINES = ("edge",)

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
        sparse_version: Encoder of the sparse vector.
    """

    vector: str
    dimensions: int
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    sparse_version: str = BM25_VERSION

    @property
    def fingerprint(self) -> str:
        """Eight hexadecimal digits that differ between different specifications."""
        canonical = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that an engine found.

    Args:
        chunk_id: The chunk.
        score: Cosine similarity, or BM25 score: larger is nearer.
        payload: The payload of its point.
    """

    chunk_id: str
    score: float
    payload: Mapping[str, PayloadValue]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What one collection answered to the two sides of a question, best first."""

    dense: Sequence[Hit] = ()
    sparse: Sequence[Hit] = ()


class Engine(Protocol):
    """A store of collections with aliases.

    Every method that reads or writes a collection raises `IndexUnavailableError` when it is missing or cannot
    be read, and `BusyError` when another process keeps it too long; every method raises `ConfigurationError`
    for a name that cannot be one.
    """

    def collection_for(self, alias: str) -> str | None:
        """The collection that `alias` points to, or none."""
        ...

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
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

    def count(self, collection: str) -> int:
        """Number of points."""
        ...

    def point_ids(self, collection: str) -> Iterator[str]:
        """Chunk ids of all points, in no particular order; points written meanwhile may be missed."""
        ...

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Add or replace points; they survive a killed process once this returns.

        A call has a fixed cost (opening, flushing): a few thousand points a call load fastest.

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
        dense: np.ndarray | None,
        sparse: SparseVector | None,
        limit: int,
        filters: Sequence[Filter] = (),
    ) -> Candidates:
        """Both searches in one opening of the collection; a side that is none is not searched."""
        ...


def open_engine(kind: str, folder: Path, wait_seconds: float = 10.0) -> Engine:
    """The engine called `kind`.

    Args:
        kind: One of `ENGINES`.
        folder: Where an embedded engine keeps its collections; created when needed.
        wait_seconds: How long to wait for another process before giving up.

    Raises:
        ConfigurationError: an engine that is not known.
    """
    if kind == "edge":
        from mediatech_assets.index.edge import EdgeEngine

        return EdgeEngine(folder, wait_seconds)
    raise ConfigurationError(
        f"unknown index engine {kind!r}",
        f"choose among {', '.join(ENGINES)} (server and memory come with the next step)",
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


def _check_date(name: str, text: str) -> None:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError(text)
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            f"filter on {name!r}: {text!r} is no date", "write dates as YYYY-MM-DD, for example 2024-01-31"
        ) from error
