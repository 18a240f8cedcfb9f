"""The embedded engine: Qdrant Edge, Qdrant's own shards inside our process.

What belongs here: everything that knows `qdrant_edge`. What does not: ranking and fusion.

Edge knows a single folder. Collections and aliases are ours, all below one folder:

* `<collection>/shard/` is the shard, `<collection>/spec.json` the `CollectionSpec` it was created with;
* `<alias>.alias.json` says which collection an alias points to, replaced atomically;
* `<name>.lock`, `.queue` and `.holder.json` are those of `lake/locks.py`;
* `.unfinished/` holds collections while they are created or removed; a killed process may leave one there,
  and the next creation or removal sweeps it away.

A shard admits one process, readers too, so it is opened for one batch or one question and closed at once.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import numpy as np

from mediatech_assets.errors import BusyError, ConfigurationError, IndexUnavailableError
from mediatech_assets.index.bm25 import SparseVector
from mediatech_assets.index.engine import (
    SPARSE_VECTOR,
    Candidates,
    CollectionSpec,
    FieldType,
    Filter,
    Hit,
    check_name,
    checked_vectors,
)
from mediatech_assets.index.points import Point, point_id
from mediatech_assets.lake.locks import exclusive

if TYPE_CHECKING:
    import qdrant_edge

#: Points an update call takes: more save no time, and each call is one record of the write-ahead log.
UPDATE_SIZE = 256
#: Chunk ids read in one opening when all points are listed.
SCROLL_SIZE = 10_000

_REBUILD = "`mediatech update --layers index` rebuilds it from the lake"
#: Lock of creating and removing; it cannot be a collection's name.
_CATALOGUE = ".catalogue"


@dataclass(frozen=True, slots=True)
class _OpenShard:
    """A shard while its lock is held, with the specification that it was created with."""

    shard: "qdrant_edge.EdgeShard"
    spec: CollectionSpec


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
            yield from (record.payload["chunk_id"] for record in records if record.payload)
            if offset is None:
                return

    def upsert(self, collection: str, points: Sequence[Point]) -> None:
        """Add or replace points, flushed to disk before this returns."""
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
            opened.shard.flush()

    def delete(self, collection: str, chunk_ids: Sequence[str]) -> None:
        """Remove points, flushed to disk before this returns."""
        import qdrant_edge

        if not chunk_ids:
            return
        with self._open(collection, f"removing {len(chunk_ids):,} points") as opened:
            for start in range(0, len(chunk_ids), UPDATE_SIZE):
                numbers = [point_id(chunk_id) for chunk_id in chunk_ids[start : start + UPDATE_SIZE]]
                opened.shard.update(qdrant_edge.UpdateOperation.delete_points(list(numbers)))
            opened.shard.flush()

    def finish(self, collection: str) -> None:
        """Build the HNSW graph and merge segments; the collection is locked meanwhile."""
        with self._open(collection, "building the search graph") as opened:
            opened.shard.optimize()
            opened.shard.flush()

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
            for pointer in self._folder.glob("*.alias.json"):
                if self.collection_for(pointer.name.removesuffix(".alias.json")) == collection:
                    pointer.unlink()
            with exclusive(self._folder, collection, "removing the collection", self._wait_seconds):
                if path.is_dir():
                    path.rename(self._unfinished / collection)
            self._sweep()

    def search_dense(
        self, alias: str, vector: np.ndarray, limit: int, filters: Sequence[Filter] = ()
    ) -> list[Hit]:
        """The nearest chunks by cosine similarity."""
        return list(self.candidates(alias, vector, None, limit, filters).dense)

    def search_sparse(
        self, alias: str, vector: SparseVector, limit: int, filters: Sequence[Filter] = ()
    ) -> list[Hit]:
        """The best chunks by BM25."""
        return list(self.candidates(alias, None, vector, limit, filters).sparse)

    def candidates(
        self,
        alias: str,
        dense: np.ndarray | None,
        sparse: SparseVector | None,
        limit: int,
        filters: Sequence[Filter] = (),
    ) -> Candidates:
        """Both searches as one batch of queries."""
        import qdrant_edge

        conditions = _edge_filter(filters)
        nearest: dict[str, qdrant_edge.Query] = {}
        with self._open_alias(alias, "answering a search") as opened:
            if dense is not None:
                vector = checked_vectors(f"the index of {alias}", [dense], opened.spec.dimensions)[0].tolist()
                nearest["dense"] = qdrant_edge.Query.Nearest(vector, using=opened.spec.vector)
            if sparse is not None:
                nearest["sparse"] = qdrant_edge.Query.Nearest(_edge_sparse(sparse), using=SPARSE_VECTOR)
            if not nearest:
                return Candidates()
            answers = opened.shard.query_batch(
                qdrant_edge.QueryBatchRequest(
                    [
                        qdrant_edge.QueryRequest(
                            limit=limit, query=query, filter=conditions, with_payload=True
                        )
                        for query in nearest.values()
                    ]
                )
            )
        return Candidates(**{side: _hits(answer) for side, answer in zip(nearest, answers, strict=True)})

    @contextmanager
    def _open_alias(self, alias: str, action: str) -> Iterator[_OpenShard]:
        """Open what `alias` points to, following it when it moves while we wait for the lock."""
        collection = self.collection_for(alias)
        while collection is not None:
            with exclusive(self._folder, collection, action, self._wait_seconds):
                if self.exists(collection):
                    with self._open_locked(collection, action) as opened:
                        yield opened
                    return
            previous, collection = collection, self.collection_for(alias)
            if collection == previous:
                break
        raise IndexUnavailableError(f"{alias} has no index yet", f"run `mediatech update --datasets {alias}`")

    @contextmanager
    def _open(self, collection: str, action: str) -> Iterator[_OpenShard]:
        self._check_exists(collection)
        with exclusive(self._folder, collection, action, self._wait_seconds):
            self._check_exists(collection)
            with self._open_locked(collection, action) as opened:
                yield opened

    @contextmanager
    def _open_locked(self, collection: str, action: str) -> Iterator[_OpenShard]:
        """Open a shard whose lock is held; close it whatever happens."""
        import qdrant_edge

        path = self._path(collection)
        with _failures_of(collection, action):
            spec = _read_spec(path / "spec.json")
            shard = qdrant_edge.EdgeShard.load(str(path / "shard"))
            try:
                yield _OpenShard(shard, spec)
            finally:
                shard.close()

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
            raise IndexUnavailableError(f"there is no collection {collection}", _REBUILD)

    def _path(self, collection: str) -> Path:
        return self._folder / check_name(collection)

    def _pointer(self, alias: str) -> Path:
        return self._folder / f"{check_name(alias)}.alias.json"


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
        stored = json.loads(path.read_text(encoding="utf-8"))
        fields = {name: FieldType(kind) for name, kind in stored["fields"].items()}
        return CollectionSpec(stored["vector"], stored["dimensions"], fields, stored["sparse_version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise IndexUnavailableError(
            f"collection {path.parent.name} is unreadable (its spec.json: {error})", _REBUILD
        ) from error


def _create_shard(path: Path, spec: CollectionSpec) -> None:
    import qdrant_edge

    config = qdrant_edge.EdgeConfig(
        vectors={
            spec.vector: qdrant_edge.EdgeVectorParams(
                size=spec.dimensions, distance=qdrant_edge.Distance.Cosine
            )
        },
        sparse_vectors={SPARSE_VECTOR: qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf)},
    )
    path.mkdir()
    with _failures_of(path.parent.name, "creating it"):
        shard = qdrant_edge.EdgeShard.create(str(path), config)
        try:
            for name, kind in spec.fields.items():
                index = qdrant_edge.UpdateOperation.create_field_index(name, _edge_type(kind))
                shard.update(index)
            shard.flush()
        finally:
            shard.close()


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

    return qdrant_edge.Point(
        point_id(point.chunk_id),
        {vector_name: vector, SPARSE_VECTOR: _edge_sparse(point.sparse)},
        dict(point.payload),
    )


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
    return [Hit(point.payload["chunk_id"], point.score, point.payload) for point in answer if point.payload]


def _replace_text(path: Path, text: str) -> None:
    """Write `path` so that a reader sees the old or the new text, and a killed process leaves one of them."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
