"""How fast the engines load and answer, compared with a bare loop on their libraries.

    python -m benchmarks.index [--points 50000] [--client-points 4000]

Everything loads the same random points (512 dimensions, about 45 terms, 1,000 characters of text, one chunk in four
with about 180 terms of its whole document) with the same settings. A question is six words of the same vocabulary;
its vector is given, so that no model is measured. The first question of a session opens the shard and reads what the
others find in memory: it stands apart.

Embedded: the bare loop opens a shard once and flushes it at the end. `EdgeEngine` opens and closes it at each call,
because other processes have to get in between, unless it is told to keep it open.

Server: the real client by URL against an HTTP front over its own in-memory mode, in a process of its own. That mode
is slow Python and no Qdrant server: only the ratio to the bare `upload_points` loop says anything.
"""

import argparse
import gc
import multiprocessing
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import qdrant_edge
from qdrant_client import QdrantClient, models

from mediatech_assets.index.bm25 import SparseVector, encode_document, term_id
from mediatech_assets.index.client import vector_name
from mediatech_assets.index.edge import UPDATE_SIZE, EdgeEngine
from mediatech_assets.index.engine import (
    DOCUMENT_VECTOR,
    SPARSE_VECTOR,
    CollectionSpec,
    Engine,
    EngineOptions,
    FieldType,
    open_engine,
)
from mediatech_assets.index.points import Point, point_id
from mediatech_assets.index.search import search
from mediatech_assets_tests.qdrant_front import qdrant_front

DIMENSIONS = 512
TERMS = 80
DOCUMENT_TERMS = 400
CHUNKS_PER_DOCUMENT = 4
VOCABULARY = 50_000
GENERATED = 4_096
BATCH = 2_000
QUERIES = 400
#: Of these, questions that are told apart from the rest.
WARMING = 100
#: Questions that open the shard each: half a second a question.
OPENINGS = 40
WORDS_PER_QUESTION = 6
SPEC = CollectionSpec("bench", DIMENSIONS, {"status": FieldType.KEYWORD, "start_date": FieldType.DATETIME})
TEXT = ("Le salarié a droit à un congé payé de 2,5 jours ouvrables par mois (article L. 3141-3). " * 12)[
    :1_000
]


def main() -> None:
    """Run every measurement and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=50_000, help="points of the embedded engine (50000)")
    parser.add_argument("--client-points", type=int, default=4_000, help="points of the client engine (4000)")
    arguments = parser.parse_args()
    print(f"{_machine()}; {arguments.points:,} points of {DIMENSIONS} dimensions")
    # In memory: making them takes longer than loading them.
    points = list(_points(max(arguments.points, arguments.client_points)))
    # They stay until the end: the collector would go through all of them in the middle of a question.
    gc.freeze()
    _measure_embedded(points[: arguments.points])
    _measure_client(points[: arguments.client_points])
    _report("encode_document", 2_000, _seconds(lambda: [encode_document(TEXT) for _ in range(2_000)]))


def _measure_embedded(points: Sequence[Point]) -> None:
    count = len(points)
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as name:
        folder = Path(name)
        engine = EdgeEngine(folder / "index")
        # In turns, because a disk is slower while it still writes what came before.
        bare, kept = [], []
        for turn in ("first", "second"):
            bare.append(_seconds(lambda turn=turn: _load_bare(folder / turn, points)))
            shutil.rmtree(folder / turn)
            engine.drop("bench-1")
            engine.create("bench-1", SPEC)
            kept.append(_seconds(lambda: _load_kept_open(engine, "bench-1", points)))
        _report("load, bare loop (best of two)", count, min(bare))
        _report(f"load, kept open, {BATCH:,} a call", count, min(kept), min(bare))
        engine.create("opened-1", SPEC)
        opened = _seconds(lambda: _load(engine, "opened-1", points))
        _report(f"load, opened for each {BATCH:,}", count, opened, min(bare))
        engine.drop("opened-1")
        engine.point_to("bench", "bench-1")
        if engine.count("bench-1") != count:
            sys.exit("the engine lost points")
        _report("finish()", count, _seconds(lambda: engine.finish("bench-1")))
        _report_queries("search, opened for each", lambda *asked: _ask(engine, *asked), OPENINGS)
        with engine.kept_open():
            _report_queries("search, kept open", lambda *asked: _ask(engine, *asked))
        shard = qdrant_edge.EdgeShard.load(str(folder / "index" / "bench-1" / "shard"))
        _report_queries("one dense query, bare shard", lambda _, vector: _ask_bare(shard, vector))
        shard.close()


def _measure_client(points: Sequence[Point]) -> None:
    count = len(points)
    with _front() as url:
        engine = open_engine("server", Path(), options=EngineOptions(url))
        engine.create("bench-1", SPEC)
        engine.point_to("bench", "bench-1")
        engine.create("bare-1", SPEC)
        bare = _seconds(
            lambda: _upload_bare(QdrantClient(url=url, check_compatibility=False), "bare-1", points)
        )
        _report("load, bare upload_points", count, bare)
        _report("load, server engine", count, _seconds(lambda: _load(engine, "bench-1", points)), bare)
        if engine.count("bench-1") != count:
            sys.exit("the engine lost points")


def _points(count: int) -> Iterator[Point]:
    random = np.random.default_rng(0)
    numbers = np.array([term_id(f"mot{word}") for word in range(VOCABULARY)])
    for start in range(0, count, GENERATED):
        size = min(GENERATED, count - start)
        vectors = random.standard_normal((size, DIMENSIONS), dtype=np.float32)
        terms = numbers[random.zipf(1.3, (size, TERMS)) % VOCABULARY]
        documents = numbers[random.zipf(1.3, (size, DOCUMENT_TERMS)) % VOCABULARY]
        for row, number in enumerate(range(start, start + size)):
            payload = {
                "dataset": "bench",
                "doc_id": str(number // CHUNKS_PER_DOCUMENT),
                "chunk_id": f"{number}_0",
                "chunk_index": 0,
                "title": "Congés payés",
                "text": TEXT,
                "source_url": f"https://www.legifrance.gouv.fr/{number}",
                "status": "VIGUEUR" if number % 3 else "ABROGE",
                "start_date": f"{1950 + number % 75}-01-01",
            }
            first = number % CHUNKS_PER_DOCUMENT == 0
            yield Point(
                f"{number}_0",
                vectors[row],
                _weighed(terms[row]),
                payload,
                document=_weighed(documents[row]) if first else None,
            )


def _weighed(terms: np.ndarray) -> SparseVector:
    indices = tuple(np.unique(terms).tolist())
    return SparseVector(indices, (1.0,) * len(indices))


def _load_bare(folder: Path, points: Sequence[Point]) -> None:
    folder.mkdir()
    idf = qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf)
    config = qdrant_edge.EdgeConfig(
        vectors={"bench": qdrant_edge.EdgeVectorParams(DIMENSIONS, qdrant_edge.Distance.Cosine)},
        sparse_vectors={SPARSE_VECTOR: idf, DOCUMENT_VECTOR: idf},
    )
    shard = qdrant_edge.EdgeShard.create(str(folder), config)
    operation = qdrant_edge.UpdateOperation
    keyword, datetime = qdrant_edge.PayloadSchemaType.Keyword, qdrant_edge.PayloadSchemaType.Datetime
    for field, kind in (
        ("dataset", keyword),
        ("doc_id", keyword),
        ("status", keyword),
        ("start_date", datetime),
    ):
        shard.update(operation.create_field_index(field, kind))
    remaining = iter(points)
    while batch := list(islice(remaining, UPDATE_SIZE)):
        shard.update(operation.upsert_points([_bare_point(point) for point in batch]))
    shard.flush()
    shard.close()


def _bare_point(point: Point) -> qdrant_edge.Point:
    vectors = {
        "bench": point.dense.tolist(),
        SPARSE_VECTOR: qdrant_edge.SparseVector(list(point.sparse.indices), list(point.sparse.values)),
    }
    if point.document:
        vectors[DOCUMENT_VECTOR] = qdrant_edge.SparseVector(
            list(point.document.indices), list(point.document.values)
        )
    return qdrant_edge.Point(point_id(point.chunk_id), vectors, dict(point.payload))


def _upload_bare(client: QdrantClient, collection: str, points: Sequence[Point]) -> None:
    client.upload_points(collection, (_client_point(point) for point in points), batch_size=256, wait=True)


def _client_point(point: Point) -> models.PointStruct:
    vectors = {
        vector_name(SPEC): point.dense.tolist(),
        SPARSE_VECTOR: models.SparseVector(
            indices=list(point.sparse.indices), values=list(point.sparse.values)
        ),
    }
    if point.document:
        vectors[DOCUMENT_VECTOR] = models.SparseVector(
            indices=list(point.document.indices), values=list(point.document.values)
        )
    return models.PointStruct(id=str(point_id(point.chunk_id)), vector=vectors, payload=dict(point.payload))


def _load(engine: Engine, collection: str, points: Sequence[Point]) -> None:
    for start in range(0, len(points), BATCH):
        engine.upsert(collection, points[start : start + BATCH])


def _load_kept_open(engine: Engine, collection: str, points: Sequence[Point]) -> None:
    with engine.kept_open():
        _load(engine, collection, points)


@contextmanager
def _front() -> Iterator[str]:
    """The address of a front in a process of its own, until the block ends."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve_front, args=(there,))
    process.start()
    try:
        yield here.recv()
    finally:
        here.send("end")
        process.join(10)


def _serve_front(parent: Connection) -> None:
    with qdrant_front() as front:
        parent.send(front.url)
        parent.recv()


def _ask(engine: Engine, question: str, vector: np.ndarray) -> None:
    if not search(engine, question, ["bench"], lambda _: vector).results:
        sys.exit("a question found nothing")


def _ask_bare(shard: qdrant_edge.EdgeShard, vector: np.ndarray) -> None:
    query = qdrant_edge.Query.Nearest(vector.tolist(), using="bench")
    shard.query(qdrant_edge.QueryRequest(limit=50, query=query, with_payload=True))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(what: str, count: int, seconds: float, bare: float | None = None) -> None:
    share = f"  {bare / seconds:6.0%} of the bare loop" if bare else ""
    print(f"{what:<36} {seconds:8.2f} s  {count / seconds:10,.0f} /s{share}", flush=True)


def _report_queries(what: str, ask: Callable[[str, np.ndarray], None], count: int = QUERIES) -> None:
    random = np.random.default_rng(1)
    times = []
    for vector in random.standard_normal((count, DIMENSIONS), dtype=np.float32):
        words = random.zipf(1.3, WORDS_PER_QUESTION) % VOCABULARY
        question = " ".join(f"mot{word}" for word in words)
        times.append(_seconds(lambda question=question, vector=vector: ask(question, vector)) * 1_000)
    # The pages of the files are read by the first questions that need them.
    print(
        f"{what:<36} {_percentiles(times)}, slowest {max(times[1:]):.0f} ms; first {times[0]:.0f} ms", end=""
    )
    print(f"; after {WARMING} {_percentiles(times[WARMING:])}" if count > WARMING else "", flush=True)


def _percentiles(times: Sequence[float]) -> str:
    middle, slow = np.percentile(times, (50, 95))
    return f"p50 {middle:5.1f} ms  p95 {slow:5.1f} ms"


def _machine() -> str:
    packages = ("qdrant-edge-py", "qdrant-client", "numpy", "filelock")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} CPUs ({platform.machine()}, {platform.system()}), {python}, {versions}"


if __name__ == "__main__":
    main()
