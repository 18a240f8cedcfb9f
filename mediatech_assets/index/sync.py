"""Keeping a collection equal to the table of chunks: differences only, acknowledged before they are recorded.

What belongs here: which points to write and delete, collections and their alias, and `index_state`. What does
not: how an engine stores points (`engine.py`) and how they are searched (`search.py`).
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from mediatech_assets.errors import IndexUnavailableError
from mediatech_assets.index.bm25 import encode_document
from mediatech_assets.index.engine import CollectionSpec, Engine
from mediatech_assets.index.points import PAYLOAD_KEYS, PayloadValue, Point
from mediatech_assets.lake import Lake, number, quoted
from mediatech_assets.progress import track

_POINTS_PER_BATCH = 2_000
#: Points joined with their documents and vectors at once, a multiple of the batch: a join reads whole tables.
_POINTS_PER_READ = 20_000
#: A difference of this many points is worth building the search structures again at once.
_FINISH_FROM_POINTS = 1_000


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """What a run changed.

    Args:
        upserted: Points written.
        deleted: Points removed.
        without_vector: Chunks that have no vector yet and therefore no point.
        collection: The collection that the alias points to.
        rebuilt: Whether the collection is a new one.
    """

    upserted: int
    deleted: int
    without_vector: int
    collection: str
    rebuilt: bool


@dataclass(frozen=True, slots=True)
class IndexSync:
    """One dataset's collection of one profile.

    Args:
        lake: The lake; the catalogs of the dataset and of the vectors are open.
        engine: Where points live.
        dataset: Name of the dataset: also the alias that searches use.
        chunking_id: Chunking of the profile.
        vectors: The table of the profile's vectors, quoted for SQL.
        spec: What the collection holds; its fields are columns of `documents`.
        title: Name of a document for people, from its columns (an article's number belongs to it).
    """

    lake: Lake
    engine: Engine
    dataset: str
    chunking_id: str
    vectors: str
    spec: CollectionSpec
    title: Callable[[Mapping[str, Any]], str]

    def update(self) -> IndexChanges:
        """Makes the collection equal to the chunks that have a vector, and points the alias to it."""
        with self.lake.cursor() as cursor:
            served = self.engine.collection_for(self.dataset)
            collection = self._usable(cursor, served) or self._begun(cursor) or self._create()
            upserts, without_vector = self._find_upserts(cursor, collection)
            deletes = self._find_deletes(cursor, collection)
            self._upsert(cursor, collection, upserts)
            self._delete(cursor, collection, deletes)
            if upserts + deletes >= _FINISH_FROM_POINTS or collection != served:
                self.engine.finish(collection)
            if collection != served:
                self.engine.point_to(self.dataset, collection)
                self._drop_others(collection)
        return IndexChanges(upserts, deletes, without_vector, collection, rebuilt=collection != served)

    def count(self) -> int:
        """Points of the collection that searches use, as recorded."""
        served = self.engine.collection_for(self.dataset)
        return self._recorded(served) if served else 0

    @property
    def _prefix(self) -> str:
        """Beginning of the names of collections that hold what this one should.

        The store's name is part of it: it changes with the model's revision, which the specification has not.
        """
        identity = hashlib.sha256(f"{self.vectors} {self.spec.fingerprint}".encode()).hexdigest()
        return f"{self.dataset}-{identity[:8]}-"

    @property
    def _state(self) -> str:
        return f"{quoted(self.dataset)}.index_state"

    def _usable(self, cursor: duckdb.DuckDBPyConnection, collection: str | None) -> str | None:
        """`collection`, when it has this shape and can be read; a difference to our records is mended."""
        if collection is None or not collection.startswith(self._prefix):
            return None
        try:
            if self.engine.count(collection) != self._recorded(collection):
                self._reconcile(cursor, collection)
        except IndexUnavailableError:
            return None
        return collection

    def _begun(self, cursor: duckdb.DuckDBPyConnection) -> str | None:
        """A collection of this shape that a killed run began to fill, if it can be read."""
        found = (self._usable(cursor, name) for name in self.engine.collections())
        return next(filter(None, found), None)

    def _reconcile(self, cursor: duckdb.DuckDBPyConnection, collection: str) -> None:
        """Makes our records name exactly the points that are there.

        A run killed between the engine's word and our record leaves points that we do not know. They are
        recorded without a row hash, so that the difference that follows writes or deletes them.
        """
        cursor.register(
            "found_ids", pa.table({"chunk_id": pa.array(self.engine.point_ids(collection), pa.string())})
        )
        cursor.execute("CREATE OR REPLACE TEMPORARY TABLE found AS SELECT chunk_id FROM found_ids")
        cursor.unregister("found_ids")
        with self.lake.transaction(self.dataset, cursor):
            cursor.execute(
                f"DELETE FROM {self._state} WHERE collection = ? AND chunk_id NOT IN (SELECT chunk_id FROM found)",
                [collection],
            )
            cursor.execute(
                f"""
                INSERT INTO {self._state} (collection, chunk_id, row_hash)
                SELECT ?, chunk_id, '' FROM found
                WHERE chunk_id NOT IN (SELECT chunk_id FROM {self._state} WHERE collection = ?)
                """,
                [collection, collection],
            )

    def _create(self) -> str:
        collection = f"{self._prefix}{uuid.uuid4().hex[:8]}"
        self.engine.create(collection, self.spec)
        return collection

    def _recorded(self, collection: str) -> int:
        sql = f"SELECT count(*) FROM {self._state} WHERE collection = ?"
        return number(self.lake.cursor(), sql, [collection])

    def _find_upserts(self, cursor: duckdb.DuckDBPyConnection, collection: str) -> tuple[int, int]:
        """Copies the rows to write into `upserts`, numbered; counts them and those without a vector."""
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE upserts AS
            SELECT chunk_id, doc_id, row_hash, text_key, row_number() OVER (ORDER BY doc_id, chunk_index) AS place
            FROM {quoted(self.dataset)}.chunks AS chunk
            WHERE chunking_id = ?
              AND text_key IN (SELECT text_key FROM {self.vectors})
              AND NOT EXISTS (
                SELECT 1 FROM {self._state} AS state WHERE state.collection = ?
                  AND state.chunk_id = chunk.chunk_id AND state.row_hash = chunk.row_hash
              )
            """,
            [self.chunking_id, collection],
        )
        row = cursor.execute(
            f"""
            SELECT (SELECT count(*) FROM upserts), count(*) FROM {quoted(self.dataset)}.chunks
            WHERE chunking_id = ? AND text_key NOT IN (SELECT text_key FROM {self.vectors})
            """,
            [self.chunking_id],
        ).fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _find_deletes(self, cursor: duckdb.DuckDBPyConnection, collection: str) -> int:
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE deletes AS
            SELECT chunk_id, row_number() OVER (ORDER BY chunk_id) AS place FROM {self._state}
            WHERE collection = ? AND chunk_id NOT IN (
              SELECT chunk_id FROM {quoted(self.dataset)}.chunks WHERE chunking_id = ?
            )
            """,
            [collection, self.chunking_id],
        )
        return number(cursor, "SELECT count(*) FROM deletes")

    def _upsert(self, cursor: duckdb.DuckDBPyConnection, collection: str, total: int) -> None:
        with track(f"{self.dataset}: indexing", total or None, "points") as advance:
            for first, last in _windows(total):
                if (first - 1) % _POINTS_PER_READ == 0:
                    self._gather(cursor, first, first + _POINTS_PER_READ - 1)
                points = self._points(cursor, first, last)
                self.engine.upsert(collection, points)
                with self.lake.transaction(self.dataset, cursor):
                    self._forget(cursor, collection, "upserts", first, last)
                    cursor.execute(
                        f"""
                        INSERT INTO {self._state} (collection, chunk_id, row_hash)
                        SELECT ?, chunk_id, row_hash FROM upserts WHERE place BETWEEN ? AND ?
                        """,
                        [collection, first, last],
                    )
                advance(len(points))

    def _delete(self, cursor: duckdb.DuckDBPyConnection, collection: str, total: int) -> None:
        for first, last in _windows(total):
            rows = cursor.execute("SELECT chunk_id FROM deletes WHERE place BETWEEN ? AND ?", [first, last])
            self.engine.delete(collection, [chunk_id for (chunk_id,) in rows.fetchall()])
            with self.lake.transaction(self.dataset, cursor):
                self._forget(cursor, collection, "deletes", first, last)

    def _forget(
        self, cursor: duckdb.DuckDBPyConnection, collection: str, table: str, first: int, last: int
    ) -> None:
        """Removes from our records the chunks of places `first` to `last` of a table of this run."""
        cursor.execute(
            f"""
            DELETE FROM {self._state} WHERE collection = ? AND chunk_id IN (
              SELECT chunk_id FROM {table} WHERE place BETWEEN ? AND ?
            )
            """,
            [collection, first, last],
        )

    def _gather(self, cursor: duckdb.DuckDBPyConnection, first: int, last: int) -> None:
        """Joins everything that the points of places `first` to `last` hold into `rows`: once for many batches."""
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE rows AS
            SELECT upserts.place, chunk.doc_id, chunk.chunk_id, chunk.chunk_index, chunk.text, chunk.chunk_text,
              vector.vector, document.* EXCLUDE (doc_id, sections)
            FROM upserts
            JOIN {quoted(self.dataset)}.chunks AS chunk
              ON chunk.chunk_id = upserts.chunk_id AND chunk.chunking_id = ?
            JOIN {quoted(self.dataset)}.documents AS document ON document.doc_id = chunk.doc_id
            JOIN {self.vectors} AS vector ON vector.text_key = upserts.text_key
            WHERE upserts.place BETWEEN ? AND ?
            ORDER BY upserts.place
            """,
            [self.chunking_id, first, last],
        )

    def _points(self, cursor: duckdb.DuckDBPyConnection, first: int, last: int) -> list[Point]:
        rows = cursor.execute(
            "SELECT * EXCLUDE (place) FROM rows WHERE place BETWEEN ? AND ?", [first, last]
        ).to_arrow_table()
        dense = _matrix(rows["vector"], self.spec.dimensions)
        return [
            Point(
                chunk_id=row["chunk_id"],
                dense=vector,
                sparse=encode_document(row["chunk_text"]),
                payload=self._payload(row),
            )
            for row, vector in zip(rows.drop_columns(["vector"]).to_pylist(), dense, strict=True)
        ]

    def _payload(self, row: Mapping[str, Any]) -> dict[str, PayloadValue]:
        own = {"dataset": self.dataset, "title": self.title(row)}
        return own | {name: row[name] for name in (*PAYLOAD_KEYS, *self.spec.fields) if name not in own}

    def _drop_others(self, collection: str) -> None:
        """Removes the dataset's former collections and what was recorded of them."""
        for name in self.engine.collections():
            if name != collection and name.rsplit("-", 2)[0] == self.dataset:
                self.engine.drop(name)
        with self.lake.transaction(self.dataset) as cursor:
            cursor.execute(f"DELETE FROM {self._state} WHERE collection <> ?", [collection])


def _windows(total: int) -> Iterator[tuple[int, int]]:
    for first in range(1, total + 1, _POINTS_PER_BATCH):
        yield first, min(total, first + _POINTS_PER_BATCH - 1)


def _matrix(column: pa.ChunkedArray, dimensions: int) -> np.ndarray:
    """Vectors of an Arrow list column as a matrix of shape `(rows, dimensions)`."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), dimensions)
