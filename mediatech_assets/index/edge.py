"""The embedded engine: Qdrant Edge, Qdrant's own shards inside our process.

What belongs here: everything that knows `qdrant_edge`. What does not: ranking and fusion.

Edge knows a single folder. Collections and aliases are ours, all below one folder:

* `<collection>/shard/` is the shard, `<collection>/spec.json` the `CollectionSpec` it was created with;
* `<alias>.alias.json` says which collection an alias points to, replaced atomically;
* `<name>.lock`, `.queue` and `.holder.json` are those of `lake/locks.py`;
* `.unfinished/` holds collections while they are created or removed; a killed process may leave one there,
  and the next creation or removal sweeps it away.

A shard admits one process, readers too, so it is opened for one batch or one question and closed at once, unless
the caller asks to keep it open (`kept_open`).

What that costs, at 50,000 points of 512 dimensions on two shared cores: opening 100 to 250 ms (the id tracker, the
payload indexes, the tail of the write-ahead log), closing 50 to 130 ms (an empty segment made at opening is flushed),
the first question 20 ms, every further question of a shard that stays open a few milliseconds. Memory placement
(`Memory.Cold` for payload, ids or vectors) changes none of it by more than a tenth. Shards without a write-ahead log
open twice as fast, and were refused: of 3,200 points whose writer was killed again and again, 2,665 came back with
the new vector and the old payload; with the log, none did.
"""

import json
import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from mediatech_assets.errors import BusyError, ConfigurationError, IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector
from mediatech_assets.index.engine import (
    DOCUMENT_VECTOR,
    SPARSE_VECTOR,
    Candidates,
    CollectionSpec,
    FieldType,
    Filter,
    Hit,
    Queries,
    StoredPoint,
    check_name,
    checked_vectors,
    stored_sparse,
)
from mediatech_assets.index.points import IDENTITY, PayloadValue, Point, chunk_of, point_id
from mediatech_assets.lake.locks import exclusive

if TYPE_CHECKING:
    import qdrant_edge

#: Points an update call takes: more save no time, and each call is one record of the write-ahead log.
UPDATE_SIZE = 256
#: Chunk ids read in one opening when all points are listed.
SCROLL_SIZE = 10_000
#: Points after which a shard that stays open is flushed. Until then they are in its write-ahead log, which a
#: killed process leaves behind; flushing after each 2,000 made a load 1.5 times as long.
FLUSH_SIZE = 10_000

#: Points of a collection whose chunk and document are remembered between questions: some 25 MB. Reading them of 800
#: payloads takes a third of a question's time, and the same points are found again and again.
IDENTITIES_KEPT = 50_000
#: Candidates that the 8-bit copies of the vectors give for each hit asked, to be ranked by the vectors themselves.
#: Measured at 50,000 points of 512 dimensions, 200 hits asked: 2 ms a question against 9 to 13 without the copies
#: (and 20 against 250 for the first one), nothing of the 200 nearest missed, of random and of clustered vectors;
#: 95 to 97 % of them found without the oversampling.
OVERSAMPLING = 2.0
#: Bytes of dense vectors from which a graph is built; below, every question is compared with every vector. That
#: takes 2 ms at 50,000 points (100 MB), needs no building and misses nothing. A graph answers in 1 ms, takes 27 s
#: of one core to build for 50,000 clustered vectors and 67 s for random ones, and then finds 95 % and 19 % of the
#: ten nearest: it pays only where comparing with all would be slow.
GRAPH_BYTES = 800_000_000
#: The graph beyond that. With 64 candidates while building and 256 while searching, it is built in half the time
#: of Qdrant's own values (100 and 100) and finds more: 97 % of the ten nearest of clustered vectors, not 95 %.
GRAPH_LINKS = 16
GRAPH_BUILD_CANDIDATES = 64
GRAPH_SEARCH_CANDIDATES = 256
#: Points below which Qdrant does without the graph when a filter leaves so few: its own value, in kilobytes.
_FULL_SCAN_KILOBYTES = 10_000

_REBUILD = "`mediatech update --layers index` rebuilds it from the lake"
#: Lock of creating and removing; it cannot be a collection's name.
_CATALOGUE = ".catalogue"
#: End of the name of an alias's file.
_POINTER = ".alias.json"


@dataclass(slots=True)
class _OpenShard:
    """A shard while its lock is held.

    Args:
        path: Its folder.
        shard: The library's handle.
        spec: What the collection was created with.
        unflushed: Points written since the last flush.
    """

    path: Path
    shard: "qdrant_edge.EdgeShard"
    spec: CollectionSpec
    unflushed: int = 0

    def wrote(self, points: int) -> None:
        """Flush now and then: what is not flushed is read again from the log at the next opening."""
        self.unflushed += points
        if self.unflushed >= FLUSH_SIZE:
            self.shard.flush()
            self.unflushed = 0

    def build_structures(self) -> None:
        """Merge segments and copy their vectors to 8 bits, with a graph if there is enough to search."""
        import qdrant_edge

        points = self.shard.count(qdrant_edge.CountRequest(exact=True))
        with_graph = points * self.spec.dimensions * np.float32().nbytes >= GRAPH_BYTES
        self.shard.close()
        self.shard = qdrant_edge.EdgeShard.load(str(self.path), _edge_config(self.spec, with_graph))
        self.shard.optimize()
        self.shard.flush()
        self.unflushed = 0


class EdgeEngine:
    """Collections below one folder (see `engine.Engine` for what each method promises).

    Args:
        folder: Where they are; created when needed.
        wait_seconds: How long to wait for another process before giving up.
    """

    def __init__(self, folder: Path, wait_seconds: float = 10.0) -> None:
        self._folder = folder
        self._wait_seconds = wait_seconds
        self._unfinished = folder / ".unfinished"
        self._unfinished.mkdir(parents=True, exist_ok=True)
        self._keepers = 0
        self._kept: dict[str, tuple[_OpenShard, ExitStack]] = {}
        self._turn = threading.RLock()
        self._identities: dict[str, dict[int, Mapping[str, PayloadValue]]] = {}

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep each collection that is opened meanwhile, with its lock, until the outermost block ends."""
        with self._turn:
            self._keepers += 1
        try:
            yield
        finally:
            with self._turn:
                self._keepers -= 1
                if not self._keepers:
                    self._let_go(list(self._kept))

    def aliases(self) -> dict[str, str]:
        """The collection of every alias whose file makes sense."""
        names = (pointer.name.removesuffix(_POINTER) for pointer in self._folder.glob(f"*{_POINTER}"))
        return {alias: collection for alias in names if (collection := self.collection_for(alias))}

    def collection_for(self, alias: str) -> str | None:
        """The collection that `alias` points to, or none (also when its file makes no sense)."""
        path = self._pointer(alias)
        try:
            return check_name(json.loads(path.read_text(encoding="utf-8"))["collection"])
        except (FileNotFoundError, ValueError, KeyError, TypeError, ConfigurationError):
            return None

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return sorted(
            entry.name
            for entry in self._folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )

    def exists(self, collection: str) -> bool:
        """Whether the collection was created, readable or not."""
        return self._path(collection).is_dir()

    def create(self, collection: str, spec: CollectionSpec) -> None:
        """Create an empty collection beside its place and move it there once it is whole."""
        final = self._path(collection)
        with self._changing_catalogue(f"creating {collection}"):
            if final.exists():
                raise ConfigurationError(
                    f"collection {collection} exists already", "drop it first, or fill it as it is"
                )
            draft = self._unfinished / collection
            draft.mkdir()
            _create_shard(draft / "shard", spec)
            _replace_text(draft / "spec.json", json.dumps(asdict(spec), ensure_ascii=False))
            draft.rename(final)

    def spec(self, collection: str) -> CollectionSpec:
        """What the collection was created with."""
        self._check_exists(collection)
        return _read_spec(self._path(collection) / "spec.json")

    def count(self, collection: str) -> int:
        """Number of points."""
        import qdrant_edge

        with self._open(collection, "counting points") as opened:
            return opened.shard.count(qdrant_edge.CountRequest(exact=True))

    def point_ids(self, collection: str) -> Iterator[str]:
        """Chunk ids of all points; the shard is closed between two pages."""
        import qdrant_edge

        offset = None
        while True:
            request = qdrant_edge.ScrollRequest(offset=offset, limit=SCROLL_SIZE, with_payload=["chunk_id"])
            with self._open(collection, "listing points") as opened:
                records, offset = opened.shard.scroll(request)
            yield from (_own_chunk(collection, record) for record in records)
            if offset is None:
                return

    def stored(self, collection: str, chunk_ids: Sequence[str]) -> list[StoredPoint]:
        """The points of some chunks, in the order asked."""
        numbers = [point_id(chunk_id) for chunk_id in chunk_ids]
        with self._open(collection, f"reading {len(numbers):,} points") as opened:
            records = opened.shard.retrieve(list(numbers), with_payload=True, with_vector=True)
            found = {
                str(record.id): _stored_point(collection, opened.spec.vector, record) for record in records
            }
        return [found[key] for key in map(str, numbers) if key in found]

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Add or replace points; they are in the shard's write-ahead log before this returns."""
        import qdrant_edge

        if not points:
            return
        with self._open(collection, f"writing {len(points):,} points") as opened:
            vectors = checked_vectors(collection, [point.dense for point in points], opened.spec.dimensions)
            for start in range(0, len(points), UPDATE_SIZE):
                batch = slice(start, start + UPDATE_SIZE)
                # tolist() on the whole batch: handing over numpy rows costs a third more (measured).
                records = [
                    _edge_point(opened.spec.vector, point, vector)
                    for point, vector in zip(points[batch], vectors[batch].tolist(), strict=True)
                ]
                opened.shard.update(qdrant_edge.UpdateOperation.upsert_points(records))
                opened.wrote(len(records))

    def delete(self, collection: str, chunk_ids: Sequence[str]) -> None:
        """Remove points; their removal is in the shard's write-ahead log before this returns."""
        import qdrant_edge

        if not chunk_ids:
            return
        with self._open(collection, f"removing {len(chunk_ids):,} points") as opened:
            for start in range(0, len(chunk_ids), UPDATE_SIZE):
                numbers = [point_id(chunk_id) for chunk_id in chunk_ids[start : start + UPDATE_SIZE]]
                opened.shard.update(qdrant_edge.UpdateOperation.delete_points(list(numbers)))
                opened.wrote(len(numbers))

    def finish(self, collection: str) -> None:
        """Merge segments and, from `GRAPH_BYTES`, build a graph; the collection is locked meanwhile."""
        with self._open(collection, "building the search structures") as opened:
            opened.build_structures()

    def point_to(self, alias: str, collection: str) -> None:
        """Make `alias` point to `collection`."""
        pointer = self._pointer(alias)
        with self._changing_catalogue(f"pointing {alias} to {collection}"):
            self._check_exists(collection)
            _replace_text(pointer, json.dumps({"collection": collection}))

    def drop(self, collection: str) -> None:
        """Remove a collection and the aliases that point to it."""
        path = self._path(collection)
        with self._changing_catalogue(f"removing {collection}"):
            for alias, target in self.aliases().items():
                if target == collection:
                    self._pointer(alias).unlink()
            with self._in_turn(collection):
                self._let_go([collection])
                with exclusive(self._folder, collection, "removing the collection", self._wait_seconds):
                    if path.is_dir():
                        path.rename(self._unfinished / collection)
                self._identities.pop(collection, None)
            self._sweep()

    def snapshot(self, collection: str) -> None:
        """None: the lake is the backup of an embedded index."""
        self._check_exists(collection)

    def search_dense(
        self, alias: str, vector: np.ndarray, limit: int, filters: Sequence[Filter] = ()
    ) -> list[Hit]:
        """The nearest chunks by cosine similarity."""
        return list(self.candidates(alias, Queries(dense=vector), limit, filters).dense)

    def search_sparse(
        self, alias: str, vector: SparseVector, limit: int, filters: Sequence[Filter] = ()
    ) -> list[Hit]:
        """The best chunks by BM25."""
        return list(self.candidates(alias, Queries(sparse=vector), limit, filters).sparse)

    def candidates(
        self,
        alias: str,
        queries: Queries,
        limit: int,
        filters: Sequence[Filter] = (),
        *,
        ids_only: bool = False,
    ) -> Candidates:
        """All sides as one batch of queries."""
        import qdrant_edge

        conditions = _edge_filter(filters)
        effort = qdrant_edge.SearchParams(
            hnsw_ef=GRAPH_SEARCH_CANDIDATES,
            quantization=qdrant_edge.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        )
        with self._open_alias(alias, "answering a search") as opened:
            nearest = _nearest(alias, opened.spec, queries)
            if not nearest:
                return Candidates()
            answers = opened.shard.query_batch(
                qdrant_edge.QueryBatchRequest(
                    [
                        qdrant_edge.QueryRequest(
                            limit=limit,
                            query=query,
                            filter=conditions,
                            with_payload=not ids_only,
                            params=effort,
                        )
                        for query in nearest.values()
                    ]
                )
            )
            sides = self._identified_hits(opened, answers) if ids_only else map(_hits, answers)
            found = dict(zip(nearest, sides, strict=True))
        return Candidates(**found)

    def _identified_hits(
        self, opened: _OpenShard, answers: "list[list[qdrant_edge.ScoredPoint]]"
    ) -> list[list[Hit]]:
        """The hits of answers without payloads; of points not met before, chunk and document are read.

        Points that someone else wrote are not ours to show.
        """
        known = self._identities.setdefault(opened.path.parent.name, {})
        if len(known) > IDENTITIES_KEPT:
            known.clear()
        sides = [[(_whole(point.id), point) for point in answer] for answer in answers]
        unknown = {number: point.id for side in sides for number, point in side if number not in known}
        if unknown:
            ids = list(unknown.values())
            for record in opened.shard.retrieve(ids, with_payload=list(IDENTITY), with_vector=False):
                if (payload := record.payload) and chunk_of(record.id, payload):
                    known[_whole(record.id)] = payload
        return [
            [
                Hit(str(identity["chunk_id"]), point.score, identity)
                for number, point in side
                if (identity := known.get(number))
            ]
            for side in sides
        ]

    def payloads(self, alias: str, chunk_ids: Sequence[str]) -> dict[str, Mapping[str, PayloadValue]]:
        """Whole payloads by chunk, without the vectors."""
        numbers = [point_id(chunk_id) for chunk_id in chunk_ids]
        with self._open_alias(alias, "answering a search") as opened:
            records = opened.shard.retrieve(list(numbers), with_payload=True, with_vector=False)
        return _payloads(records)

    @contextmanager
    def _open_alias(self, alias: str, action: str) -> Iterator[_OpenShard]:
        """Open what `alias` points to, following it when it moves while we wait for the lock."""
        collection = self.collection_for(alias)
        while collection is not None:
            with self._hold(collection, action, searching=True) as opened:
                if opened is not None:
                    yield opened
                    return
            previous, collection = collection, self.collection_for(alias)
            if collection == previous:
                break
        raise IndexUnavailableError(f"{alias} has no index yet", f"run `mediatech update --datasets {alias}`")

    @contextmanager
    def _open(self, collection: str, action: str) -> Iterator[_OpenShard]:
        self._check_exists(collection)
        with self._hold(collection, action) as opened:
            if opened is None:
                raise _missing(collection)
            yield opened

    @contextmanager
    def _hold(self, collection: str, action: str, *, searching: bool = False) -> Iterator[_OpenShard | None]:
        """The open shard while its lock is held; none if the collection went while we waited for it."""
        if self._keepers:
            with self._in_turn(collection):
                yield from self._kept_shard(collection, action, searching)
            return
        with exclusive(self._folder, collection, action, self._wait_seconds):
            if not self.exists(collection):
                yield None
                return
            with self._load(collection, action) as opened:
                yield opened

    def _kept_shard(self, collection: str, action: str, searching: bool) -> Iterator[_OpenShard | None]:
        if collection not in self._kept:
            if searching:
                # An alias that moved has another process waiting to remove what it pointed to.
                self._let_go(self._kept.keys() - self.aliases().values())
            self._keep(collection)
        opened, _ = self._kept.get(collection, (None, None))
        try:
            with _failures_of(collection, action):
                yield opened
        except IndexUnavailableError:
            self._let_go([collection])
            raise

    def _keep(self, collection: str) -> None:
        """Open a collection until it is let go, unless it is gone once its lock is ours."""
        action = "a session that keeps it open"
        with ExitStack() as stack:
            stack.enter_context(exclusive(self._folder, collection, action, self._wait_seconds))
            if self.exists(collection):
                opened = stack.enter_context(self._load(collection, action))
                self._kept[collection] = opened, stack.pop_all()

    def _let_go(self, collections: Iterable[str]) -> None:
        for collection in collections:
            if collection in self._kept:
                _, stack = self._kept.pop(collection)
                stack.close()

    @contextmanager
    def _in_turn(self, collection: str) -> Iterator[None]:
        """What is kept open serves one thread at a time."""
        if not self._turn.acquire(timeout=self._wait_seconds):
            raise BusyError(
                f"collection {collection} is in use by another thread; waited {self._wait_seconds:g} s",
                "try again when it has finished",
            )
        try:
            yield
        finally:
            self._turn.release()

    @contextmanager
    def _load(self, collection: str, action: str) -> Iterator[_OpenShard]:
        """Open a shard whose lock is held; close it, which flushes it, whatever happens."""
        import qdrant_edge

        path = self._path(collection)
        with _failures_of(collection, action):
            spec = _read_spec(path / "spec.json")
            opened = _OpenShard(path / "shard", qdrant_edge.EdgeShard.load(str(path / "shard")), spec)
            try:
                yield opened
            finally:
                opened.shard.close()

    @contextmanager
    def _changing_catalogue(self, action: str) -> Iterator[None]:
        """Keep other processes from creating, pointing and removing; start from a clean `.unfinished`."""
        with exclusive(self._folder, _CATALOGUE, action, self._wait_seconds):
            self._sweep()
            yield

    def _sweep(self) -> None:
        for leftover in self._unfinished.iterdir():
            shutil.rmtree(leftover)

    def _check_exists(self, collection: str) -> None:
        if not self.exists(collection):
            raise _missing(collection)

    def _path(self, collection: str) -> Path:
        return self._folder / check_name(collection)

    def _pointer(self, alias: str) -> Path:
        return self._folder / f"{check_name(alias)}{_POINTER}"


def _missing(collection: str) -> IndexUnavailableError:
    return IndexUnavailableError(f"there is no collection {collection}", _REBUILD)


@contextmanager
def _failures_of(collection: str, action: str) -> Iterator[None]:
    """Say in our words what the library raises: bare `Exception`s, and panics that are no `Exception`."""
    try:
        yield
    except BaseException as error:
        if type(error) is Exception or type(error).__name__ == "PanicException":
            _refuse(collection, action, error)
        raise


def _refuse(collection: str, action: str, error: BaseException) -> NoReturn:
    if "WouldBlock" in str(error):
        raise BusyError(
            f"collection {collection} is held open by a program that does not take its lock ({action})",
            "close that program, then try again",
        ) from error
    raise IndexUnavailableError(
        f"collection {collection} is unreadable ({action}: {str(error)[:300]})",
        f"{_REBUILD}; if the disk is full, make room first",
    ) from error


def _read_spec(path: Path) -> CollectionSpec:
    try:
        return CollectionSpec.from_stored(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexUnavailableError(
            f"collection {path.parent.name} is unreadable (its spec.json: {error})", _REBUILD
        ) from error


def _create_shard(path: Path, spec: CollectionSpec) -> None:
    import qdrant_edge

    path.mkdir()
    with _failures_of(path.parent.name, "creating it"):
        shard = qdrant_edge.EdgeShard.create(str(path), _edge_config(spec, with_graph=False))
        try:
            for name, kind in spec.indexed_fields.items():
                index = qdrant_edge.UpdateOperation.create_field_index(name, _edge_type(kind))
                shard.update(index)
            shard.flush()
        finally:
            shard.close()


def _edge_config(spec: CollectionSpec, with_graph: bool) -> "qdrant_edge.EdgeConfig":
    import qdrant_edge

    return qdrant_edge.EdgeConfig(
        vectors={
            spec.vector: qdrant_edge.EdgeVectorParams(
                size=spec.dimensions, distance=qdrant_edge.Distance.Cosine
            )
        },
        sparse_vectors={
            name: qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf)
            for name in (SPARSE_VECTOR, DOCUMENT_VECTOR)
        },
        hnsw_config=qdrant_edge.HnswIndexConfig(
            m=GRAPH_LINKS if with_graph else 0,
            ef_construct=GRAPH_BUILD_CANDIDATES,
            full_scan_threshold=_FULL_SCAN_KILOBYTES,
        ),
        quantization_config=qdrant_edge.ScalarQuantizationConfig(qdrant_edge.ScalarType.Int8),
    )


def _edge_type(kind: FieldType) -> "qdrant_edge.PayloadSchemaType":
    import qdrant_edge

    return {
        FieldType.KEYWORD: qdrant_edge.PayloadSchemaType.Keyword,
        FieldType.INTEGER: qdrant_edge.PayloadSchemaType.Integer,
        FieldType.FLOAT: qdrant_edge.PayloadSchemaType.Float,
        FieldType.BOOL: qdrant_edge.PayloadSchemaType.Bool,
        FieldType.DATETIME: qdrant_edge.PayloadSchemaType.Datetime,
    }[kind]


def _edge_point(vector_name: str, point: Point, vector: list[float]) -> "qdrant_edge.Point":
    import qdrant_edge

    vectors: dict[str, Any] = {vector_name: vector, SPARSE_VECTOR: _edge_sparse(point.sparse)}
    if point.document is not None:
        vectors[DOCUMENT_VECTOR] = _edge_sparse(point.document)
    return qdrant_edge.Point(point_id(point.chunk_id), vectors, dict(point.payload))


def _nearest(alias: str, spec: CollectionSpec, queries: Queries) -> "dict[str, qdrant_edge.Query]":
    """The library's query for each side that is asked."""
    import qdrant_edge

    nearest = {}
    if queries.dense is not None:
        vector = checked_vectors(f"the index of {alias}", [queries.dense], spec.dimensions)[0].tolist()
        nearest["dense"] = qdrant_edge.Query.Nearest(vector, using=spec.vector)
    if queries.sparse is not None:
        nearest["sparse"] = qdrant_edge.Query.Nearest(_edge_sparse(queries.sparse), using=SPARSE_VECTOR)
    if queries.document is not None:
        nearest["document"] = qdrant_edge.Query.Nearest(_edge_sparse(queries.document), using=DOCUMENT_VECTOR)
    return nearest


def _edge_sparse(vector: SparseVector) -> "qdrant_edge.SparseVector":
    import qdrant_edge

    return qdrant_edge.SparseVector(list(vector.indices), list(vector.values))


def _edge_filter(filters: Sequence[Filter]) -> "qdrant_edge.Filter | None":
    import qdrant_edge

    return qdrant_edge.Filter(must=[_edge_condition(condition) for condition in filters]) if filters else None


def _edge_condition(condition: Filter) -> "qdrant_edge.FieldCondition":
    import qdrant_edge

    name, value = condition.field, condition.value
    if isinstance(value, tuple):
        values = cast("list[str] | list[int]", list(value))
        return qdrant_edge.FieldCondition(key=name, match=qdrant_edge.MatchAny(values))
    if condition.is_order:
        if isinstance(value, str):
            bounds = qdrant_edge.RangeDateTime(**{condition.op.value: value})
        else:
            bounds = qdrant_edge.RangeFloat(**{condition.op.value: value})
        return qdrant_edge.FieldCondition(key=name, range=bounds)
    if isinstance(value, float):
        return qdrant_edge.FieldCondition(key=name, range=qdrant_edge.RangeFloat(gte=value, lte=value))
    return qdrant_edge.FieldCondition(key=name, match=qdrant_edge.MatchValue(value))


def _hits(answer: "list[qdrant_edge.ScoredPoint]") -> list[Hit]:
    """The hits of an answer; points that someone else wrote are not ours to show."""
    return [
        Hit(chunk_id, point.score, payload)
        for point in answer
        # Each reading of a point's payload makes the dictionary anew.
        if (payload := point.payload) and (chunk_id := chunk_of(point.id, payload))
    ]


def _whole(number: uuid.UUID | str | int) -> int:
    """A point's number as a whole one, whose hash costs nothing; a UUID's is computed anew each time, in Python."""
    if isinstance(number, str):
        number = uuid.UUID(number)
    return number.int if isinstance(number, uuid.UUID) else number


def _payloads(records: "list[qdrant_edge.Record]") -> dict[str, Mapping[str, PayloadValue]]:
    return {
        chunk_id: payload
        for record in records
        if (payload := record.payload) and (chunk_id := chunk_of(record.id, payload))
    }


def _own_chunk(collection: str, record: "qdrant_edge.Record") -> str:
    chunk_id = chunk_of(record.id, record.payload)
    if chunk_id is None:
        raise IndexUnavailableError(
            f"collection {collection} was changed by someone else: point {record.id} is not ours", _REBUILD
        )
    return chunk_id


def _stored_point(collection: str, vector_name: str, record: "qdrant_edge.Record") -> StoredPoint:
    vectors = cast("dict[str, Any]", record.vector or {})
    return StoredPoint(
        chunk_id=_own_chunk(collection, record),
        dense=np.asarray(vectors.get(vector_name, ()), dtype=np.float32),
        sparse=stored_sparse(vectors.get(SPARSE_VECTOR)) or SparseVector((), ()),
        payload=record.payload or {},
        document=stored_sparse(vectors.get(DOCUMENT_VECTOR)),
    )


def _replace_text(path: Path, text: str) -> None:
    """Write `path` so that a reader sees the old or the new text, and a killed process leaves one of them."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
