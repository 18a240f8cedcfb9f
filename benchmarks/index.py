"""How fast the embedded index loads and answers, compared with a bare loop on its library.

    python -m benchmarks.index [--points 50000]

Both load the same random points (384 dimensions, about 45 terms, 1,000 characters of text) with the same
settings into the same kind of shard. The bare loop opens the shard once; `EdgeEngine` opens, flushes and
closes it for each batch and each search, because other processes have to get in between.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import qdrant_edge

from mediatech_assets.index.bm25 import SparseVector, encode_document
from mediatech_assets.index.edge import UPDATE_SIZE, EdgeEngine
from mediatech_assets.index.engine import SPARSE_VECTOR, CollectionSpec, FieldType
from mediatech_assets.index.points import Point, point_id
from mediatech_assets.index.search import search

DIMENSIONS = 384
TERMS = 80
VOCABULARY = 50_000
BATCH = 4_096
QUERIES = 40
SPEC = CollectionSpec("bench", DIMENSIONS, {"status": FieldType.KEYWORD, "start_date": FieldType.DATETIME})
TEXT = ("Le salarié a droit à un congé payé de 2,5 jours ouvrables par mois (article L. 3141-3). " * 12)[
    :1_000
]


def main() -> None:
    """Run every measurement and print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=50_000, help="points to load (default: 50000)")
    count = parser.parse_args().points
    print(f"{_machine()}; {count:,} points of {DIMENSIONS} dimensions")
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as name:
        folder = Path(name)
        _report("load, bare loop", count, _seconds(lambda: _load_bare(folder / "bare", count)))
        engine = EdgeEngine(folder / "index")
        engine.create("bench-1", SPEC)
        engine.point_to("bench", "bench-1")
        _report(f"load, EdgeEngine ({BATCH:,} a call)", count, _seconds(lambda: _load_engine(engine, count)))
        if engine.count("bench-1") != count:
            sys.exit("the engine lost points")
        _report_queries("search before finish()", lambda vector: _ask_engine(engine, vector))
        _report("finish() (search graph)", count, _seconds(lambda: engine.finish("bench-1")))
        _report_queries("search, EdgeEngine", lambda vector: _ask_engine(engine, vector))
        shard = qdrant_edge.EdgeShard.load(str(folder / "index" / "bench-1" / "shard"))
        _report_queries("query, bare shard kept open", lambda vector: _ask_bare(shard, vector))
        shard.close()
    _report("encode_document", 2_000, _seconds(lambda: [encode_document(TEXT) for _ in range(2_000)]))


def _points(count: int) -> Iterator[Point]:
    random = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        vectors = random.standard_normal((size, DIMENSIONS), dtype=np.float32)
        terms = random.zipf(1.3, (size, TERMS)) % VOCABULARY
        for number, vector, row in zip(range(start, start + size), vectors, terms, strict=True):
            indices = tuple(np.unique(row).tolist())
            payload = {
                "dataset": "bench",
                "doc_id": str(number),
                "chunk_id": f"{number}_0",
                "chunk_index": 0,
                "title": "Congés payés",
                "text": TEXT,
                "source_url": f"https://www.legifrance.gouv.fr/{number}",
                "status": "VIGUEUR" if number % 3 else "ABROGE",
                "start_date": f"{1950 + number % 75}-01-01",
            }
            yield Point(f"{number}_0", vector, SparseVector(indices, (1.0,) * len(indices)), payload)


def _load_bare(folder: Path, count: int) -> None:
    folder.mkdir()
    config = qdrant_edge.EdgeConfig(
        vectors={"bench": qdrant_edge.EdgeVectorParams(DIMENSIONS, qdrant_edge.Distance.Cosine)},
        sparse_vectors={SPARSE_VECTOR: qdrant_edge.EdgeSparseVectorParams(modifier=qdrant_edge.Modifier.Idf)},
    )
    shard = qdrant_edge.EdgeShard.create(str(folder), config)
    operation = qdrant_edge.UpdateOperation
    shard.update(operation.create_field_index("status", qdrant_edge.PayloadSchemaType.Keyword))
    shard.update(operation.create_field_index("start_date", qdrant_edge.PayloadSchemaType.Datetime))
    points = _points(count)
    while batch := list(islice(points, UPDATE_SIZE)):
        shard.update(
            operation.upsert_points(
                [
                    qdrant_edge.Point(
                        point_id(point.chunk_id),
                        {
                            "bench": point.dense.tolist(),
                            SPARSE_VECTOR: qdrant_edge.SparseVector(
                                list(point.sparse.indices), list(point.sparse.values)
                            ),
                        },
                        dict(point.payload),
                    )
                    for point in batch
                ]
            )
        )
    shard.flush()
    shard.close()


def _load_engine(engine: EdgeEngine, count: int) -> None:
    points = _points(count)
    while batch := list(islice(points, BATCH)):
        engine.upsert("bench-1", batch)


def _ask_engine(engine: EdgeEngine, vector: np.ndarray) -> None:
    search(engine, "congés payés du salarié", ["bench"], lambda _: vector)


def _ask_bare(shard: qdrant_edge.EdgeShard, vector: np.ndarray) -> None:
    sides = (
        qdrant_edge.Query.Nearest(vector.tolist(), using="bench"),
        qdrant_edge.Query.Nearest(qdrant_edge.SparseVector([1, 10, 77], [1.0] * 3), using=SPARSE_VECTOR),
    )
    requests = [qdrant_edge.QueryRequest(limit=50, query=side, with_payload=True) for side in sides]
    shard.query_batch(qdrant_edge.QueryBatchRequest(requests))


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _report(what: str, count: int, seconds: float) -> None:
    print(f"{what:<36} {seconds:8.2f} s  {count / seconds:10,.0f} /s")


def _report_queries(what: str, ask: Callable[[np.ndarray], None]) -> None:
    vectors = np.random.default_rng(1).standard_normal((QUERIES, DIMENSIONS), dtype=np.float32)
    times = np.array([_seconds(lambda vector=vector: ask(vector)) for vector in vectors]) * 1_000
    middle, slow = np.percentile(times, (50, 95))
    print(f"{what:<36} p50 {middle:6.1f} ms  p95 {slow:6.1f} ms")


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in ("qdrant-edge-py", "numpy", "filelock"))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} CPUs ({platform.machine()}, {platform.system()}), {python}, {versions}"


if __name__ == "__main__":
    main()
