"""The engines over qdrant-client: `server`, a Qdrant server that several machines share, and `memory`, for trials.

What belongs here: everything that knows qdrant-client's collections, points and queries. What does not: where the
client is and how its errors read (`client_connection.py`), ranking and fusion.

A server has aliases, payload indexes, quantisation and snapshots of its own. What is ours:

* a collection carries its `CollectionSpec` in its metadata, and only collections that do are ours: a server may
  hold those of others. One whose vectors no longer fit its specification was changed by someone else, and so was
  one that holds points whose number is not that of their chunk;
* it is created without a graph (`m: 0`), filled, and `finish` has the server build the graph once;
* its dense vector is named like the model, with hyphens for the characters that servers refuse since 1.18;
* points are sent with `wait=false`, four requests at a time. That is only the server's word that its log has them,
  and an update that fails later is not reported: so the last request of each `upsert` waits, the queue of updates
  has to be empty, and the points have to be there, before `upsert` returns.

No real server was exercised on our machines: tests drive the real client by URL against an HTTP front over the
client's own in-memory mode (`mediatech_assets_tests/qdrant_front.py`).
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from mediatech_assets.errors import ConfigurationError, IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector
from mediatech_assets.index.client_connection import (
    Answer,
    Connection,
    ServerConnection,
    memory_connection,
)
from mediatech_assets.index.engine import (
    DOCUMENT_VECTOR,
    SPARSE_VECTOR,
    Candidates,
    CollectionSpec,
    EngineOptions,
    Filter,
    Hit,
    Queries,
    StoredPoint,
    UnreachableError,
    check_name,
    checked_vectors,
    stored_sparse,
)
from mediatech_assets.index.points import IDENTITY, PayloadValue, Point, chunk_of, point_id

if TYPE_CHECKING:
    from qdrant_client import models

#: Points and bytes of one request: Qdrant's advice for bulk loads.
UPDATE_SIZE = 256
UPDATE_BYTES = 5_000_000
#: Requests on their way at the same time.
UPDATE_THREADS = 4
#: Points read or removed by one request.
SCROLL_SIZE = 1_000

#: The graph that `finish` asks for, and what questions ask of it (see `edge.py` for what was measured).
GRAPH_LINKS = 16
GRAPH_BUILD_CANDIDATES = 64
GRAPH_SEARCH_CANDIDATES = 256
OVERSAMPLING = 2.0

#: Seconds between two questions whether a server has done what it acknowledged.
POLL_SECONDS = 0.2
#: Seconds without any progress after which waiting for updates and for a graph ends.
UPDATE_STALL_SECONDS = 60.0
GRAPH_STALL_SECONDS = 900.0

#: Where the metadata of a collection holds our specification.
_METADATA_KEY = "mediatech"
#: What servers refuse in the name of a vector.
_REFUSED_IN_NAMES = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
#: Characters of JSON that a number of a dense vector and an entry of a sparse one take at most.
_NUMBER_BYTES = 24
_ENTRY_BYTES = 36
_REBUILD = "`mediatech update --layers index` rebuilds it from the lake"


def server_engine(options: EngineOptions, wait_seconds: float) -> "ClientEngine":
    """The engine of a Qdrant server.

    Raises:
        ConfigurationError: an address or a key that cannot be used; nothing is asked of the server yet.
    """
    return ClientEngine(ServerConnection(options, wait_seconds), options)


def memory_engine(folder: Path) -> "ClientEngine":
    """The engine in memory of this process that stands for `folder`."""
    return ClientEngine(memory_connection(folder.absolute()), EngineOptions())


class ClientEngine:
    """Collections behind qdrant-client (see `engine.Engine` for what each method promises).

    Args:
        connection: The client.
        options: How collections are created.
    """

    def __init__(self, connection: Connection, options: EngineOptions) -> None:
        self._connection = connection
        self._options = options
        self._specs: dict[str, CollectionSpec] = {}

    def kept_open(self) -> AbstractContextManager[None]:
        """Nothing to do: the client keeps what it needs."""
        return nullcontext()

    def aliases(self) -> dict[str, str]:
        """The collection of every alias."""
        found = self._connection.ask("listing aliases", lambda client: client.get_aliases())
        return {alias.alias_name: alias.collection_name for alias in found.aliases}

    def collection_for(self, alias: str) -> str | None:
        """The collection that `alias` points to, or none."""
        return self.aliases().get(check_name(alias))

    def collections(self) -> list[str]:
        """Names of the collections that carry a specification of ours, sorted."""
        return sorted(name for name in self._names() if self._is_ours(name))

    def exists(self, collection: str) -> bool:
        """Whether there is a collection of that name, ours or not."""
        return check_name(collection) in self._names()

    def create(self, collection: str, spec: CollectionSpec) -> None:
        """Create an empty collection, without a graph, and index its fields."""
        if self.exists(collection):
            raise ConfigurationError(
                f"collection {collection} exists already", "drop it first, or fill it as it is"
            )
        settings = _creation(spec, self._options)
        self._connection.ask_once(
            f"creating {collection}", lambda client: client.create_collection(collection, **settings)
        )
        self._index_fields(collection, spec, indexed=())

    def spec(self, collection: str) -> CollectionSpec:
        """What the collection was created with."""
        return self._checked_spec(collection)

    def count(self, collection: str) -> int:
        """Number of points."""
        self._checked_spec(collection)
        return self._connection.ask(
            f"counting the points of {collection}", lambda client: client.count(collection, exact=True).count
        )

    def point_ids(self, collection: str) -> Iterator[str]:
        """Chunk ids of all points, a page at a time."""
        self._checked_spec(collection)
        offset = None
        while True:
            records, offset = self._connection.ask(
                f"listing the points of {collection}",
                lambda client, start=offset: client.scroll(
                    collection, limit=SCROLL_SIZE, offset=start, with_payload=["chunk_id"]
                ),
            )
            yield from (_own_chunk(collection, record) for record in records)
            if offset is None:
                return

    def stored(self, collection: str, chunk_ids: Sequence[str]) -> list[StoredPoint]:
        """The points of some chunks, in the order asked."""
        spec = self._checked_spec(collection)
        found = {}
        for keys in _parts([str(point_id(chunk_id)) for chunk_id in chunk_ids], SCROLL_SIZE):
            records = self._connection.ask(
                f"reading points of {collection}",
                lambda client, keys=keys: client.retrieve(
                    collection, keys, with_payload=True, with_vectors=True
                ),
            )
            found |= {str(record.id): _stored_point(collection, spec, record) for record in records}
        numbers = (str(point_id(chunk_id)) for chunk_id in chunk_ids)
        return [found[number] for number in numbers if number in found]

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Add or replace points; the server has applied them all when this returns."""
        if not points:
            return
        spec = self._checked_spec(collection)
        # Requests overtake each other: of two points with one number, only the last may be sent.
        latest = list({point.chunk_id: point for point in points}.values())
        checked_vectors(collection, [point.dense for point in points], spec.dimensions)
        *first, last = _requests(latest, spec.dimensions)
        with ThreadPoolExecutor(UPDATE_THREADS if self._connection.is_server else 1) as threads:
            for _ in threads.map(lambda part: self._send(collection, spec, part, wait=False), first):
                pass
        self._send(collection, spec, last, wait=True)
        if self._connection.is_server:
            self._await_updates(collection)
            self._await_points(collection, [str(point_id(point.chunk_id)) for point in latest])

    def delete(self, collection: str, chunk_ids: Sequence[str]) -> None:
        """Remove points; the server has applied it when this returns."""
        if not chunk_ids:
            return
        from qdrant_client import models

        self._checked_spec(collection)
        for keys in _parts([str(point_id(chunk_id)) for chunk_id in chunk_ids], SCROLL_SIZE):
            selector = models.PointIdsList(points=list(keys))
            self._connection.ask(
                f"removing {len(keys):,} points from {collection}",
                lambda client, selector=selector: client.delete(collection, selector, wait=True),
            )
        if self._connection.is_server:
            self._await_updates(collection)

    def finish(self, collection: str) -> None:
        """Have the server build the graph, and wait for it; a field whose index is missing gets it again."""
        from qdrant_client import models

        spec = self._checked_spec(collection)
        if not self._connection.is_server:
            return
        self._index_fields(collection, spec, indexed=self._info(collection).payload_schema)
        graph = models.HnswConfigDiff(m=GRAPH_LINKS, ef_construct=GRAPH_BUILD_CANDIDATES)
        self._connection.ask_once(
            f"building the graph of {collection}",
            lambda client: client.update_collection(collection, hnsw_config=graph),
        )
        self._await_optimisers(collection)

    def point_to(self, alias: str, collection: str) -> None:
        """Make `alias` point to `collection` in one call: readers see the old or the new one."""
        from qdrant_client import models

        check_name(alias)
        if not self.exists(collection):
            raise _missing(collection)
        create = models.CreateAlias(collection_name=collection, alias_name=alias)
        changes: list[models.AliasOperations] = [models.CreateAliasOperation(create_alias=create)]
        if self.collection_for(alias) is not None:
            delete = models.DeleteAlias(alias_name=alias)
            changes.insert(0, models.DeleteAliasOperation(delete_alias=delete))
        self._connection.ask(
            f"pointing {alias} to {collection}", lambda client: client.update_collection_aliases(changes)
        )

    def drop(self, collection: str) -> None:
        """Remove a collection and, before it, the aliases that point to it."""
        from qdrant_client import models

        if not self.exists(collection):
            return
        changes: list[models.AliasOperations] = [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
            for alias, target in self.aliases().items()
            if target == collection
        ]
        action = f"removing {collection}"
        if changes:
            self._connection.ask(action, lambda client: client.update_collection_aliases(changes))
        self._connection.ask(action, lambda client: client.delete_collection(collection))
        self._specs.pop(collection, None)

    def snapshot(self, collection: str) -> str | None:
        """Have the server make a snapshot; its name, or none in memory."""
        self._checked_spec(collection)
        if not self._connection.is_server:
            return None
        made = self._connection.ask_once(
            f"making a snapshot of {collection}", lambda client: client.create_snapshot(collection, wait=True)
        )
        return made.name if made else None

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
        """All sides in one request, following an alias that moves meanwhile."""
        return self._following(
            alias, lambda collection: self._candidates(collection, queries, limit, filters, ids_only)
        )

    def payloads(self, alias: str, chunk_ids: Sequence[str]) -> dict[str, Mapping[str, PayloadValue]]:
        """Whole payloads by chunk, without the vectors."""
        return self._following(alias, lambda collection: self._payloads(collection, chunk_ids))

    def _following(self, alias: str, ask: Callable[[str], Answer]) -> Answer:
        """What `ask` gets of the collection that `alias` points to, and of the next one when it moves meanwhile."""
        collection = self.collection_for(alias)
        while collection is not None:
            try:
                return ask(collection)
            except UnreachableError:
                raise
            except IndexUnavailableError:
                self._specs.pop(collection, None)
                previous, collection = collection, self.collection_for(alias)
                if collection == previous:
                    raise
        raise IndexUnavailableError(f"{alias} has no index yet", f"run `mediatech update --datasets {alias}`")

    def _candidates(
        self,
        collection: str,
        queries: Queries,
        limit: int,
        filters: Sequence[Filter],
        ids_only: bool,
    ) -> Candidates:
        spec = self._specs.get(collection) or self._checked_spec(collection)
        requests = {
            side: self._request(vector, using, limit, filters, ids_only)
            for side, (vector, using) in _nearest(collection, spec, queries).items()
        }
        if not requests:
            return Candidates()
        answers = self._connection.ask(
            f"a search in {collection}",
            lambda client: client.query_batch_points(collection, list(requests.values())),
        )
        return Candidates(
            **{side: _hits(answer.points) for side, answer in zip(requests, answers, strict=True)}
        )

    def _payloads(self, collection: str, chunk_ids: Sequence[str]) -> dict[str, Mapping[str, PayloadValue]]:
        found: dict[str, Mapping[str, PayloadValue]] = {}
        for keys in _parts([str(point_id(chunk_id)) for chunk_id in chunk_ids], SCROLL_SIZE):
            records = self._connection.ask(
                f"reading payloads of {collection}",
                lambda client, keys=keys: client.retrieve(
                    collection, keys, with_payload=True, with_vectors=False
                ),
            )
            for record in records:
                if (payload := record.payload) and (chunk_id := chunk_of(record.id, payload)):
                    found[chunk_id] = payload
        return found

    def _request(
        self,
        vector: "list[float] | models.SparseVector",
        using: str,
        limit: int,
        filters: Sequence[Filter],
        ids_only: bool,
    ) -> "models.QueryRequest":
        from qdrant_client import models

        effort = models.SearchParams(
            hnsw_ef=GRAPH_SEARCH_CANDIDATES,
            # Without 8-bit copies in the collection it changes nothing.
            quantization=models.QuantizationSearchParams(rescore=True, oversampling=OVERSAMPLING),
        )
        return models.QueryRequest(
            query=vector,
            using=using,
            limit=limit,
            filter=models.Filter(must=[_condition(condition) for condition in filters]) if filters else None,
            # In memory every search is exact, and the client warns of parameters.
            params=effort if self._connection.is_server else None,
            with_payload=list(IDENTITY) if ids_only else True,
        )

    def _names(self) -> list[str]:
        found = self._connection.ask("listing collections", lambda client: client.get_collections())
        return [collection.name for collection in found.collections]

    def _is_ours(self, collection: str) -> bool:
        try:
            return _METADATA_KEY in (self._info(collection).config.metadata or {})
        except UnreachableError:
            raise
        except IndexUnavailableError:
            # It went since it was listed.
            return False

    def _info(self, collection: str) -> "models.CollectionInfo":
        return self._connection.ask(
            f"reading about {collection}", lambda client: client.get_collection(check_name(collection))
        )

    def _checked_spec(self, collection: str) -> CollectionSpec:
        """What the collection was created with, if it still looks like that."""
        if not self.exists(collection):
            raise _missing(collection)
        config = self._info(collection).config
        try:
            spec = CollectionSpec.from_stored((config.metadata or {})[_METADATA_KEY])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _changed(collection, "it does not say what it holds") from error
        problem = _difference(spec, config.params)
        if problem:
            raise _changed(collection, problem)
        self._specs[collection] = spec
        return spec

    def _index_fields(
        self, collection: str, spec: CollectionSpec, indexed: Mapping[str, Any] | Sequence[str]
    ) -> None:
        """Index every field that is not yet; in memory there are no indexes."""
        from qdrant_client import models

        if not self._connection.is_server:
            return
        for name, kind in spec.indexed_fields.items():
            if name not in indexed:
                self._connection.ask(
                    f"indexing {name} in {collection}",
                    lambda client, name=name, kind=kind: client.create_payload_index(
                        collection, name, models.PayloadSchemaType(kind.value), wait=True
                    ),
                )

    def _send(self, collection: str, spec: CollectionSpec, points: Sequence[Point], *, wait: bool) -> None:
        records = [_client_point(vector_name(spec), point) for point in points]
        self._connection.ask(
            f"writing {len(points):,} points into {collection}",
            lambda client: client.upsert(collection, records, wait=wait),
        )

    def _await_updates(self, collection: str) -> None:
        """Wait until no update waits in the server's queue."""
        for info in self._polled(collection, "applying updates", UPDATE_STALL_SECONDS):
            if info.update_queue is None or info.update_queue.length == 0:
                return

    def _await_points(self, collection: str, keys: Sequence[str]) -> None:
        """Wait until the points are there: a server does not say which of its acknowledged updates failed."""
        missing = list(keys)
        for _ in self._polled(collection, "storing points", UPDATE_STALL_SECONDS):
            missing = [key for part in _parts(missing, SCROLL_SIZE) for key in self._absent(collection, part)]
            if not missing:
                return

    def _absent(self, collection: str, keys: Sequence[str]) -> list[str]:
        records = self._connection.ask(
            f"reading points of {collection}",
            lambda client: client.retrieve(collection, keys, with_payload=False, with_vectors=False),
        )
        found = {str(record.id) for record in records}
        return [key for key in keys if key not in found]

    def _await_optimisers(self, collection: str) -> None:
        """Wait until the server calls the collection green twice: the first may be of before it began."""
        from qdrant_client import models

        greens = 0
        for info in self._polled(collection, "building the graph", GRAPH_STALL_SECONDS):
            greens = greens + 1 if info.status == models.CollectionStatus.GREEN else 0
            if greens == 2:
                return

    def _polled(
        self, collection: str, action: str, stall_seconds: float
    ) -> "Iterator[models.CollectionInfo]":
        """What the server says of a collection, again and again, as long as something moves.

        Raises:
            IndexUnavailableError: an update or the optimiser failed.
            UnreachableError: nothing has changed for `stall_seconds`.
        """
        from qdrant_client import models

        seen, since = None, monotonic()
        while True:
            info = self._info(collection)
            if info.status == models.CollectionStatus.RED or not isinstance(info.optimizer_status, str):
                raise IndexUnavailableError(
                    f"{self._connection.place} failed at {action} of {collection}: {info.optimizer_status}",
                    f"read the server's log (a full disk is common); then {_REBUILD}",
                )
            yield info
            progress = (info.status, info.points_count, info.indexed_vectors_count, info.update_queue)
            if progress != seen:
                seen, since = progress, monotonic()
            elif monotonic() - since > stall_seconds:
                raise UnreachableError(
                    f"{self._connection.place} has made no progress in {action} of {collection} for "
                    f"{stall_seconds:g} s (status {info.status})",
                    "read the server's log, then run again: what it has stored is kept",
                )
            sleep(POLL_SECONDS)


def vector_name(spec: CollectionSpec) -> str:
    """Name of the dense vector on a server: the model's, without the characters that servers refuse."""
    return _REFUSED_IN_NAMES.sub("-", spec.vector)


def _creation(spec: CollectionSpec, options: EngineOptions) -> dict[str, Any]:
    from qdrant_client import models

    on_disk = options.on_disk or None
    quantization = None
    if options.quantization == "int8":
        quantization = models.ScalarQuantization(
            scalar=models.ScalarQuantizationConfig(
                type=models.ScalarType.INT8, quantile=0.99, always_ram=True
            )
        )
    return {
        "vectors_config": {
            vector_name(spec): models.VectorParams(
                size=spec.dimensions, distance=models.Distance.COSINE, on_disk=on_disk
            )
        },
        "sparse_vectors_config": {
            name: models.SparseVectorParams(
                index=models.SparseIndexParams(on_disk=on_disk), modifier=models.Modifier.IDF
            )
            for name in (SPARSE_VECTOR, DOCUMENT_VECTOR)
        },
        "hnsw_config": models.HnswConfigDiff(m=0, on_disk=on_disk),
        "on_disk_payload": on_disk,
        "quantization_config": quantization,
        "metadata": {_METADATA_KEY: asdict(spec)},
    }


def _difference(spec: CollectionSpec, params: "models.CollectionParams") -> str:
    """How a collection differs from its specification; empty when it does not."""
    from qdrant_client import models

    dense = params.vectors.get(vector_name(spec)) if isinstance(params.vectors, dict) else None
    if dense is None:
        return f"its vector {vector_name(spec)} is missing"
    if dense.size != spec.dimensions or dense.distance != models.Distance.COSINE:
        return f"its vectors have {dense.size} numbers and distance {dense.distance}"
    for name in (SPARSE_VECTOR, DOCUMENT_VECTOR):
        sparse = (params.sparse_vectors or {}).get(name)
        if sparse is None or sparse.modifier != models.Modifier.IDF:
            return f"its sparse vector {name} is missing or not weighed by IDF"
    return ""


def _missing(collection: str) -> IndexUnavailableError:
    return IndexUnavailableError(f"there is no collection {collection}", _REBUILD)


def _changed(collection: str, how: str) -> IndexUnavailableError:
    return IndexUnavailableError(f"collection {collection} was changed by someone else: {how}", _REBUILD)


def _requests(points: Sequence[Point], dimensions: int) -> Iterator[list[Point]]:
    """The points in parts that one request may hold."""
    part: list[Point] = []
    size = 0
    for point in points:
        own = (
            dimensions * _NUMBER_BYTES
            + (len(point.sparse.indices) + len(point.document.indices if point.document else ()))
            * _ENTRY_BYTES
            + sum(2 * len(str(value)) + len(name) + 8 for name, value in point.payload.items())
        )
        if part and (len(part) == UPDATE_SIZE or size + own > UPDATE_BYTES):
            yield part
            part, size = [], 0
        part.append(point)
        size += own
    yield part


def _parts(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _client_point(dense_name: str, point: Point) -> "models.PointStruct":
    from qdrant_client import models

    vector: dict[str, Any] = {dense_name: point.dense.tolist(), SPARSE_VECTOR: _client_sparse(point.sparse)}
    if point.document is not None:
        vector[DOCUMENT_VECTOR] = _client_sparse(point.document)
    return models.PointStruct(id=str(point_id(point.chunk_id)), vector=vector, payload=dict(point.payload))


def _client_sparse(vector: SparseVector) -> "models.SparseVector":
    from qdrant_client import models

    return models.SparseVector(indices=list(vector.indices), values=list(vector.values))


def _nearest(
    collection: str, spec: CollectionSpec, queries: Queries
) -> "dict[str, tuple[list[float] | models.SparseVector, str]]":
    """Vector and its name for each side that is asked; servers refuse a vector without terms, which finds nothing."""
    nearest: dict[str, tuple[list[float] | models.SparseVector, str]] = {}
    if queries.dense is not None:
        vector = checked_vectors(collection, [queries.dense], spec.dimensions)[0].tolist()
        nearest["dense"] = vector, vector_name(spec)
    if queries.sparse is not None and queries.sparse.indices:
        nearest["sparse"] = _client_sparse(queries.sparse), SPARSE_VECTOR
    if queries.document is not None and queries.document.indices:
        nearest["document"] = _client_sparse(queries.document), DOCUMENT_VECTOR
    return nearest


def _condition(condition: Filter) -> "models.FieldCondition":
    from qdrant_client import models

    name, value = condition.field, condition.value
    if isinstance(value, tuple):
        values = cast("list[str] | list[int]", list(value))
        return models.FieldCondition(key=name, match=models.MatchAny(any=values))
    if condition.is_order:
        order = models.DatetimeRange if isinstance(value, str) else models.Range
        return models.FieldCondition(
            key=name, range=order(**cast("dict[str, Any]", {condition.op.value: value}))
        )
    if isinstance(value, float):
        return models.FieldCondition(key=name, range=models.Range(gte=value, lte=value))
    return models.FieldCondition(key=name, match=models.MatchValue(value=value))


def _hits(points: "Sequence[models.ScoredPoint]") -> list[Hit]:
    """The hits of an answer; points that someone else wrote are not ours to show."""
    return [
        Hit(chunk_id, point.score, point.payload or {})
        for point in points
        if (chunk_id := chunk_of(point.id, point.payload))
    ]


def _own_chunk(collection: str, record: "models.Record") -> str:
    chunk_id = chunk_of(record.id, record.payload)
    if chunk_id is None:
        raise _changed(collection, f"point {record.id} is not ours")
    return chunk_id


def _stored_point(collection: str, spec: CollectionSpec, record: "models.Record") -> StoredPoint:
    vectors = cast("dict[str, Any]", record.vector or {})
    return StoredPoint(
        chunk_id=_own_chunk(collection, record),
        dense=np.asarray(vectors.get(vector_name(spec), ()), dtype=np.float32),
        sparse=stored_sparse(vectors.get(SPARSE_VECTOR)) or SparseVector((), ()),
        payload=record.payload or {},
        document=stored_sparse(vectors.get(DOCUMENT_VECTOR)),
    )
