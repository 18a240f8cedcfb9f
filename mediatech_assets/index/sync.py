"""Keeping a collection equal to the table of chunks: differences only, acknowledged before they are recorded.

What belongs here: which points to write and delete, collections and their aliases, and `index_state`. What does
not: how an engine stores points (`engine.py`) and how they are searched (`search.py`).

Names: a collection is `<dataset>--<profile>-<what it holds>-<random>`. The alias `<dataset>--<profile>` points to
the one of a profile, and the alias `<dataset>` to the active profile's, which is what the outside world uses.
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from mediatech_assets.errors import IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector, encode_document
from mediatech_assets.index.engine import CollectionSpec, Engine, UnreachableError
from mediatech_assets.index.expansion import encode_expanded
from mediatech_assets.index.points import PAYLOAD_KEYS, PayloadValue, Point
from mediatech_assets.index.verify import VerifyReport, changed_points, verify
from mediatech_assets.lake import Lake, literal, number, quoted
from mediatech_assets.progress import track

_POINTS_PER_BATCH = 2_000
#: Points joined with their documents and vectors at once, a multiple of the batch: a join reads whole tables.
_POINTS_PER_READ = 20_000
#: Between a dataset and a profile, in names of collections and aliases; neither holds it.
_OF_PROFILE = "--"
#: Points that a quick look compares with the chunks.
_CHECKED_POINTS = 100
#: A difference of this many points is worth building the search structures again at once.
_FINISH_FROM_POINTS = 1_000


@dataclass(frozen=True, slots=True)
class IndexChanges:
    """What a run changed.

    Args:
        upserted: Points written.
        deleted: Points removed.
        without_vector: Chunks that have no vector and therefore no point.
        collection: The collection that the profile's alias points to.
        rebuilt: Whether the collection is a new one.
        activated: Whether the dataset's own alias was moved to it.
        expanded: Documents that are also found by everyday phrases.
    """

    upserted: int
    deleted: int
    without_vector: int
    collection: str
    rebuilt: bool
    activated: bool = False
    expanded: int = 0


@dataclass(slots=True)
class ErasedPoints:
    """What an erasure took out of a dataset's collections.

    Args:
        points: Points of the document.
        collections: Collections that were copied without them.
        unreadable: Collections that could not be read and were dropped: the next update builds them again.
    """

    points: int = 0
    collections: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class IndexSync:
    """One dataset's collection of one profile.

    Args:
        lake: The lake; the catalogs of the dataset and of the vectors are open.
        engine: Where points live.
        dataset: Name of the dataset: also the alias of the active profile's collection.
        profile: Name of the profile.
        active: Whether the profile is the active one.
        chunking_id: Chunking of the profile.
        vectors: The table of the profile's vectors, quoted for SQL.
        spec: What the collection holds; its fields are columns of `documents`.
        title: Name of a document for people, from its columns (an article's number belongs to it).
        expansion: Reads the everyday phrases by document (see `expansion.py`); asked when points are made or compared.
    """

    lake: Lake
    engine: Engine
    dataset: str
    profile: str
    active: bool
    chunking_id: str
    vectors: str
    spec: CollectionSpec
    title: Callable[[Mapping[str, Any]], str]
    expansion: Callable[[], Mapping[str, str]] = dict

    def update(self) -> IndexChanges:
        """Makes the collection equal to the chunks that have a vector, and points the aliases to it."""
        with self.lake.cursor() as cursor:
            served = self.engine.collection_for(self.alias)
            collection = self._usable(cursor, served) or self._begun(cursor) or self._create()
            self._define_points(cursor)
            upserts, without_vector = self._find_upserts(cursor, collection)
            deletes = self._find_deletes(cursor, collection)
            # A collection that nobody searches yet stays open: opening it for each batch would cost more than loading.
            with self.engine.kept_open() if collection != served else nullcontext():
                self._upsert(cursor, collection, upserts)
                self._delete(cursor, collection, deletes)
                if upserts + deletes >= _FINISH_FROM_POINTS or collection != served:
                    self.engine.finish(collection)
            if collection != served:
                self.engine.point_to(self.alias, collection)
            activated = self._activate(collection)
            if collection != served:
                self._drop_former(collection)
            expanded = number(
                cursor, "SELECT count(*) FROM wanted_points SEMI JOIN expansion USING (doc_id) WHERE is_first"
            )
        return IndexChanges(
            upserts,
            deletes,
            without_vector,
            collection,
            rebuilt=collection != served,
            activated=activated,
            expanded=expanded,
        )

    def check(self) -> list[str]:
        """Differences between the profile's collection and the chunks that a quick look finds: counts and a sample.

        Its cost does not grow with the collection, unlike that of `verify`.
        """
        collection = self.engine.collection_for(self.alias)
        if collection is None:
            return [f"{self.dataset} has no collection of profile {self.profile}"]
        with self.lake.cursor() as cursor:
            self._define_points(cursor)
            wanted = number(cursor, "SELECT count(*) FROM wanted_points")
            found = self.engine.count(collection)
            differences = [f"{found:,} points for {wanted:,} chunks"] if found != wanted else []
            sample = self._sample(cursor, _CHECKED_POINTS)
            changed = [point.chunk_id for point in changed_points(self.engine, collection, sample)]
            if changed:
                differences.append(f"{len(changed)} of {len(sample)} points differ: {', '.join(changed[:3])}")
        return differences

    def verify(self, sample: int = 1_000) -> VerifyReport:
        """Compares the profile's collection with the chunks: every id, and a sample of whole points.

        Raises:
            IndexUnavailableError: there is no collection.
        """
        collection = self.engine.collection_for(self.alias)
        if collection is None:
            raise IndexUnavailableError(
                f"{self.dataset} has no index of profile {self.profile} yet",
                f"run `mediatech update --datasets {self.dataset}`",
            )
        with self.lake.cursor() as cursor, self.engine.kept_open():
            self._define_points(cursor)
            cursor.execute("CREATE OR REPLACE TEMPORARY TABLE expected AS SELECT chunk_id FROM wanted_points")
            return verify(self.engine, collection, cursor, "expected", self._sample(cursor, sample))

    def repair(self, report: VerifyReport) -> IndexChanges:
        """Mends what `verify` found: writes what is missing or changed, removes what is too much."""
        if report.needs_rebuild:
            drop_collections(self.lake, self.engine, self.dataset, [report.collection])
        else:
            with self.lake.transaction(self.dataset) as cursor:
                cursor.execute(
                    f"DELETE FROM {self._state} WHERE collection = ? AND list_contains(?, chunk_id)",
                    [report.collection, [*report.to_rewrite, *report.to_delete]],
                )
                # Without a row hash: the update that follows takes them for points of chunks that went away.
                cursor.execute(
                    f"INSERT INTO {self._state} (collection, chunk_id, row_hash) SELECT ?, unnest(?::VARCHAR[]), ''",
                    [report.collection, list(report.to_delete)],
                )
        return self.update()

    def _activate(self, collection: str) -> bool:
        """Points the dataset's own alias to the collection, if it is this profile's; tells whether it moved.

        It is when the profile is active, and also when it still serves because the active one is not built.
        """
        served = self.engine.collection_for(self.dataset)
        if served == collection or not (
            self.active or (served and owner_of(served) == (self.dataset, self.profile))
        ):
            return False
        self.engine.point_to(self.dataset, collection)
        return True

    def count(self) -> int:
        """Points of the profile's collection, as recorded."""
        served = self.engine.collection_for(self.alias)
        return self._recorded(served) if served else 0

    @property
    def alias(self) -> str:
        """The alias of the profile's collection."""
        return profile_alias(self.dataset, self.profile)

    @property
    def _prefix(self) -> str:
        """Beginning of the names of collections that hold what this one should.

        The store's name is part of it: it changes with the model's revision, which the specification has not.
        """
        identity = hashlib.sha256(f"{self.vectors} {self.spec.fingerprint}".encode()).hexdigest()
        return f"{self.alias}-{identity[:8]}-"

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
        except UnreachableError:
            raise  # it says nothing of the collection
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

    def _define_points(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Makes the view `wanted_points`: a row for each chunk that has a vector, with the hash of its point.

        The first point of a document holds what its whole text and its phrases say, so its hash covers every chunk
        of it, and them.
        """
        expansion = self.expansion()
        cursor.register(
            "expansion",
            pa.table(
                {
                    "doc_id": pa.array(list(expansion), pa.string()),
                    "phrases": pa.array(list(expansion.values()), pa.string()),
                }
            ),
        )
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY VIEW wanted_points AS
            WITH point AS (
              SELECT chunk_id, doc_id, chunk_index, row_hash, text_key FROM {quoted(self.dataset)}.chunks
              WHERE chunking_id = {literal(self.chunking_id)}
                AND text_key IN (SELECT text_key FROM {self.vectors})
            ),
            document AS (
              SELECT doc_id, min(chunk_index) AS first,
                count(*) || '-' || bit_xor(md5_number_lower(chunk_index || text_key)) AS digest
              FROM point GROUP BY doc_id
            )
            SELECT chunk_id, doc_id, chunk_index, text_key, chunk_index = first AS is_first,
              CASE WHEN chunk_index = first THEN concat_ws('-', row_hash, digest, md5(phrases)) ELSE row_hash END
                AS row_hash
            FROM point JOIN document USING (doc_id) LEFT JOIN expansion USING (doc_id)
            """
        )

    def _sample(self, cursor: duckdb.DuckDBPyConnection, size: int) -> list[Point]:
        """Some of the points, as they should be; the same ones until the chunks change."""
        cursor.execute(
            """
            CREATE OR REPLACE TEMPORARY TABLE upserts AS
            SELECT *, row_number() OVER (ORDER BY doc_id, chunk_index) AS place
            FROM (SELECT * FROM wanted_points ORDER BY md5(row_hash), chunk_id LIMIT ?)
            """,
            [size],
        )
        self._gather(cursor, 1, size)
        return self._points(cursor, 1, size)

    def _find_upserts(self, cursor: duckdb.DuckDBPyConnection, collection: str) -> tuple[int, int]:
        """Copies the rows to write into `upserts`, numbered; counts them and those without a vector."""
        cursor.execute(
            f"""
            CREATE OR REPLACE TEMPORARY TABLE upserts AS
            SELECT *, row_number() OVER (ORDER BY doc_id, chunk_index) AS place FROM wanted_points AS wanted
            WHERE NOT EXISTS (
              SELECT 1 FROM {self._state} AS state WHERE state.collection = ?
                AND state.chunk_id = wanted.chunk_id AND state.row_hash = wanted.row_hash
            )
            """,
            [collection],
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
            WITH wanted AS (SELECT * FROM upserts WHERE place BETWEEN $first AND $last),
            whole AS (
              SELECT doc_id, string_agg(chunk_text, chr(10) ORDER BY chunk_index) AS document_text
              FROM {quoted(self.dataset)}.chunks
              WHERE chunking_id = $chunking AND doc_id IN (SELECT doc_id FROM wanted WHERE is_first)
                AND text_key IN (SELECT text_key FROM {self.vectors})
              GROUP BY doc_id
            )
            SELECT wanted.place, chunk.doc_id, chunk.chunk_id, chunk.chunk_index, chunk.text, chunk.chunk_text,
              CASE WHEN is_first THEN document_text END AS document_text, phrases,
              vector.vector, document.* EXCLUDE (doc_id, sections)
            FROM wanted
            JOIN {quoted(self.dataset)}.chunks AS chunk
              ON chunk.chunk_id = wanted.chunk_id AND chunk.chunking_id = $chunking
            JOIN {quoted(self.dataset)}.documents AS document ON document.doc_id = chunk.doc_id
            JOIN {self.vectors} AS vector ON vector.text_key = wanted.text_key
            LEFT JOIN whole ON whole.doc_id = wanted.doc_id
            LEFT JOIN expansion ON expansion.doc_id = whole.doc_id
            ORDER BY wanted.place
            """,
            {"chunking": self.chunking_id, "first": first, "last": last},
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
                document=_whole_document(row["document_text"], row["phrases"]),
                payload=self._payload(row),
            )
            for row, vector in zip(rows.drop_columns(["vector"]).to_pylist(), dense, strict=True)
        ]

    def _payload(self, row: Mapping[str, Any]) -> dict[str, PayloadValue]:
        own = {"dataset": self.dataset, "title": self.title(row)}
        return own | {name: row[name] for name in (*PAYLOAD_KEYS, *self.spec.fields) if name not in own}

    def _drop_former(self, collection: str) -> None:
        """Removes the profile's former collections and what was recorded of them."""
        drop_collections(
            self.lake,
            self.engine,
            self.dataset,
            [
                name
                for name in self.engine.collections()
                if name != collection and owner_of(name) == (self.dataset, self.profile)
            ],
        )


def profile_alias(dataset: str, profile: str) -> str:
    """The alias of a dataset's collection of one profile."""
    return f"{dataset}{_OF_PROFILE}{profile}"


def owner_of(collection: str) -> tuple[str, str]:
    """Dataset and profile that a collection of ours belongs to; the profile is empty for names of before."""
    dataset, _, profile = collection.rsplit("-", 2)[0].partition(_OF_PROFILE)
    return dataset, profile


def drop_collections(lake: Lake, engine: Engine, dataset: str, collections: Sequence[str]) -> None:
    """Removes collections of a dataset, and what was recorded of them.

    Args:
        lake: The lake; the dataset's catalog is open.
        engine: Where they are.
        dataset: Name of the dataset.
        collections: Their names; one that is gone already is no error.
    """
    for name in collections:
        engine.drop(name)
    with lake.transaction(dataset) as cursor:
        for name in collections:
            cursor.execute(f"DELETE FROM {quoted(dataset)}.index_state WHERE collection = ?", [name])


def erase_points(lake: Lake, engine: Engine, dataset: str, doc_id: str, *, anew: bool) -> ErasedPoints:
    """Takes the points of a document out of every collection of a dataset, so that no file of the engine keeps them.

    Engines only mark a deleted point: its payload stays in their segments and logs until they are merged, some day. So
    a collection is copied without the points, the aliases are moved, and the former one is dropped. Searches
    are answered meanwhile, from the former one.

    Args:
        lake: The lake; the dataset's catalog is open, and nobody else works on the dataset.
        engine: Where the collections are.
        dataset: Name of the dataset.
        doc_id: The document.
        anew: Copy also the collections that have no point of it now: they may keep deleted ones.
    """
    served = set(engine.aliases().values())
    ours = [name for name in engine.collections() if owner_of(name)[0] == dataset]
    # What no alias names is half of a collection: the copy of a killed erasure, or one that an update began.
    drop_collections(lake, engine, dataset, [name for name in ours if name not in served])
    erased = ErasedPoints()
    for name in ours:
        if name not in served:
            continue
        try:
            ids = [chunk_id for chunk_id in engine.point_ids(name) if _is_chunk_of(chunk_id, doc_id)]
            if ids or anew:
                _copy_without(lake, engine, dataset, name, doc_id)
                erased.collections.append(name)
                erased.points += len(ids)
        except UnreachableError:
            raise  # it says nothing of the collection
        except IndexUnavailableError:
            drop_collections(lake, engine, dataset, [name])
            erased.unreadable.append(name)
    return erased


def _copy_without(lake: Lake, engine: Engine, dataset: str, collection: str, doc_id: str) -> None:
    copy = f"{collection.rpartition('-')[0]}-{uuid.uuid4().hex[:8]}"
    engine.create(copy, engine.spec(collection))
    with engine.kept_open():
        ids = (chunk_id for chunk_id in engine.point_ids(collection) if not _is_chunk_of(chunk_id, doc_id))
        total = engine.count(collection)
        with track(f"{dataset}: copying the index without what is erased", total, "points") as advance:
            while batch := list(islice(ids, _POINTS_PER_BATCH)):
                stored = engine.stored(collection, batch)
                engine.upsert(
                    copy,
                    [
                        Point(each.chunk_id, each.dense, each.sparse, each.payload, each.document)
                        for each in stored
                    ],
                )
                advance(len(batch))
        engine.finish(copy)
    state = f"{quoted(dataset)}.index_state"
    with lake.transaction(dataset) as cursor:
        cursor.execute(
            f"""
            INSERT INTO {state} (collection, chunk_id, row_hash) SELECT ?, chunk_id, row_hash FROM {state}
            WHERE collection = ? AND regexp_replace(chunk_id, '_[^_]*$', '') <> ?
            """,
            [copy, collection, doc_id],
        )
    for alias, target in engine.aliases().items():
        if target == collection:
            engine.point_to(alias, copy)
    drop_collections(lake, engine, dataset, [collection])


def _is_chunk_of(chunk_id: str, doc_id: str) -> bool:
    return chunk_id.rpartition("_")[0] == doc_id


def _whole_document(text: str | None, phrases: str | None) -> SparseVector | None:
    """What BM25 says of a whole document; none on the points after its first."""
    return None if text is None else encode_expanded(text, phrases)


def _windows(total: int) -> Iterator[tuple[int, int]]:
    for first in range(1, total + 1, _POINTS_PER_BATCH):
        yield first, min(total, first + _POINTS_PER_BATCH - 1)


def _matrix(column: pa.ChunkedArray, dimensions: int) -> np.ndarray:
    """Vectors of an Arrow list column as a matrix of shape `(rows, dimensions)`."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(column), dimensions)
