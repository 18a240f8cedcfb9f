"""Whether a collection holds what the table says: counts, ids, and a sample of points compared with what was written.

What belongs here: finding the differences and saying which points to write and to remove. What does not: what a
point should hold (the caller gives it, see `sync.py`) and mending (the next update does it).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import duckdb
import numpy as np
import pyarrow as pa

from mediatech_assets.errors import IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector
from mediatech_assets.index.engine import Engine, StoredPoint, UnreachableError
from mediatech_assets.index.points import Point
from mediatech_assets.lake import number, quoted

#: Ids of one kind that a report lists; with more, building the collection again is the better repair.
MOST_LISTED = 100_000
#: Largest distance, 1 - cosine, between a vector and what the engine gives back for it.
TOLERANCE = 1e-3

_IDS_PER_BATCH = 50_000
_POINTS_PER_BATCH = 500
_EXAMPLES = 3
_FOUND = "verified_points"


@dataclass(frozen=True, slots=True)
class ChangedPoint:
    """A point of the sample that does not hold what it should.

    Args:
        chunk_id: Its chunk.
        parts: What differs: `vector`, `terms`, `document`, `payload`.
    """

    chunk_id: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """How a collection compares with the table.

    Args:
        collection: The collection.
        expected: Chunks that should have a point.
        points: Points found.
        missing_count: Chunks without a point.
        missing: Their ids, `MOST_LISTED` at most, sorted.
        foreign_count: Points whose chunk should have none.
        foreign: The ids of those chunks, `MOST_LISTED` at most, sorted.
        sampled: Points compared with what was written.
        changed: Those of them that differ.
        broken: Why the collection cannot be read at all; empty when it can.
    """

    collection: str
    expected: int
    points: int = 0
    missing_count: int = 0
    missing: tuple[str, ...] = ()
    foreign_count: int = 0
    foreign: tuple[str, ...] = ()
    sampled: int = 0
    changed: tuple[ChangedPoint, ...] = ()
    broken: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.broken or self.missing_count or self.foreign_count or self.changed)

    @property
    def needs_rebuild(self) -> bool:
        """Whether the collection should be dropped: it cannot be read, or too much of it differs."""
        return bool(self.broken) or max(self.missing_count, self.foreign_count) > MOST_LISTED

    @property
    def to_rewrite(self) -> tuple[str, ...]:
        """Chunks whose record of being indexed should be forgotten: the next update writes them again."""
        return (*self.missing, *(point.chunk_id for point in self.changed))

    @property
    def to_delete(self) -> tuple[str, ...]:
        """Chunks that should be recorded as indexed, without a hash: the next update removes their points."""
        return self.foreign

    def describe(self) -> str:
        """One line for people, with a few ids of each kind of difference."""
        if self.broken:
            return f"{self.collection}: {self.broken}"
        differences = (
            (self.missing_count, "missing", self.missing),
            (self.foreign_count, "too many", self.foreign),
            (
                len(self.changed),
                "changed",
                tuple(f"{point.chunk_id} ({', '.join(point.parts)})" for point in self.changed),
            ),
        )
        found = [
            f"{count:,} {what}: {', '.join(ids[:_EXAMPLES])}{', …' if count > _EXAMPLES else ''}"
            for count, what, ids in differences
            if count
        ]
        return "; ".join(
            [
                f"{self.collection}: {self.points:,} points for {self.expected:,} chunks, {self.sampled:,} compared",
                *(found or ["all equal"]),
            ]
        )


def verify(
    engine: Engine, collection: str, cursor: duckdb.DuckDBPyConnection, expected: str, sample: Sequence[Point]
) -> VerifyReport:
    """Compares a collection with the chunks that should have a point in it.

    Ids are joined by DuckDB, which spills to disk: memory does not grow with the collection. Nobody may write to the
    collection meanwhile.

    Args:
        engine: Where the collection is.
        collection: Its name.
        cursor: Of the lake, with its limit of memory; a temporary table is made and dropped in it.
        expected: Table or view of `cursor` whose column `chunk_id` names every chunk that should have a point,
            each once.
        sample: What some of those points should hold (see `sampled_ids`).

    Raises:
        UnreachableError, BusyError: nothing can be said of the collection.
    """
    total = number(cursor, f"SELECT count(*) FROM {quoted(expected)}")
    try:
        _list_points(engine, collection, cursor)
        missing_count, missing = _absent(cursor, expected, _FOUND)
        foreign_count, foreign = _absent(cursor, _FOUND, expected)
        points = number(cursor, f"SELECT count(*) FROM {_FOUND}")
        changed = tuple(changed_points(engine, collection, sample))
    except UnreachableError:
        raise
    except IndexUnavailableError as error:
        return VerifyReport(collection, total, broken=error.problem)
    finally:
        cursor.execute(f"DROP TABLE IF EXISTS {_FOUND}")
    return VerifyReport(
        collection,
        expected=total,
        points=points,
        missing_count=missing_count,
        missing=missing,
        foreign_count=foreign_count,
        foreign=foreign,
        sampled=len(sample),
        changed=changed,
    )


def sampled_ids(cursor: duckdb.DuckDBPyConnection, expected: str, size: int, salt: str = "") -> list[str]:
    """Chunks to compare: the first `size` in the order of a hash, so that the same call gives the same ones.

    Args:
        cursor: Where the table is.
        expected: See `verify`.
        size: How many at most.
        salt: Another text gives another sample: the day of the run, for example.
    """
    rows = cursor.execute(
        f"SELECT chunk_id FROM {quoted(expected)} ORDER BY md5(? || chunk_id) LIMIT ?", [salt, size]
    )
    return [chunk_id for (chunk_id,) in rows.fetchall()]


def _list_points(engine: Engine, collection: str, cursor: duckdb.DuckDBPyConnection) -> None:
    cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE {_FOUND} (chunk_id VARCHAR)")
    for ids in _batches(engine.point_ids(collection)):
        cursor.register("verified_batch", pa.table({"chunk_id": pa.array(ids, pa.string())}))
        cursor.execute(f"INSERT INTO {_FOUND} SELECT chunk_id FROM verified_batch")
        cursor.unregister("verified_batch")


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(ids)
    while batch := list(islice(remaining, _IDS_PER_BATCH)):
        yield batch


def _absent(cursor: duckdb.DuckDBPyConnection, these: str, from_there: str) -> tuple[int, tuple[str, ...]]:
    """How many ids of one table are not in another, and the first of them."""
    absent = f"FROM {quoted(these)} ANTI JOIN {quoted(from_there)} USING (chunk_id)"
    count = number(cursor, f"SELECT count(*) {absent}")
    rows = (
        cursor.execute(f"SELECT chunk_id {absent} ORDER BY chunk_id LIMIT {MOST_LISTED}") if count else None
    )
    return count, tuple(chunk_id for (chunk_id,) in rows.fetchall()) if rows else ()


def changed_points(engine: Engine, collection: str, sample: Sequence[Point]) -> Iterator[ChangedPoint]:
    """The points of a sample that differ from what was written; one that is missing is not among them."""
    for start in range(0, len(sample), _POINTS_PER_BATCH):
        part = sample[start : start + _POINTS_PER_BATCH]
        stored = {
            point.chunk_id: point for point in engine.stored(collection, [point.chunk_id for point in part])
        }
        for point in part:
            found = stored.get(point.chunk_id)
            parts = _differing_parts(point, found) if found else ()
            if parts:
                yield ChangedPoint(point.chunk_id, parts)


def _differing_parts(written: Point, stored: StoredPoint) -> tuple[str, ...]:
    same = {
        "vector": _is_same_direction(written.dense, stored.dense),
        "terms": _are_same_terms(written.sparse, stored.sparse),
        "document": _are_same_terms(written.document, stored.document),
        "payload": dict(written.payload) == dict(stored.payload),
    }
    return tuple(part for part, is_same in same.items() if not is_same)


def _is_same_direction(written: np.ndarray, stored: np.ndarray) -> bool:
    """Engines keep the direction of a vector and scale it to length 1; a vector of zeros stays one."""
    if written.shape != stored.shape:
        return False
    lengths = float(np.linalg.norm(written)) * float(np.linalg.norm(stored))
    if lengths == 0.0:
        return not written.any() and not stored.any()
    return 1.0 - float(written @ stored) / lengths <= TOLERANCE


def _are_same_terms(written: SparseVector | None, stored: SparseVector | None) -> bool:
    """Engines keep weights as 32-bit numbers."""
    if written is None or stored is None:
        return written is stored
    return written.indices == stored.indices and np.array_equal(
        np.asarray(written.values, dtype=np.float32), np.asarray(stored.values, dtype=np.float32)
    )
