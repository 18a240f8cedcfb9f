"""How fast a release is exported, and how little of the next one has to be uploaded.

    python -m benchmarks.release [--rows 30000] [--upload-rows 30000] [--encodings json,float32]

Speed: a lake is filled with random normalised vectors of 1,024 dimensions and text of frequent and rare words, two
chunks a document, in another order than the release's. `export` writes it; beside it, a bare loop writes the same
bytes (the same columns, vectors already as they are written, the same options) with pyarrow alone, and only its
writing is timed. Each runs in a process of its own, whose greatest resident memory is given. On a machine that does
other work too, processor seconds say more than seconds.

Upload: 1 % of the documents, chosen at random, get another text and other vectors in all their chunks, and both
releases are given to `hf_xet`, the hub's own client, with a local folder for its storage: it cuts files by their
content, as the hub does, and says how many bytes of the second release were new.
"""

import argparse
import importlib
import multiprocessing
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import CATALOG, VectorStore
from mediatech_assets.embeddings.validity import vector_column
from mediatech_assets.lake import Lake
from mediatech_assets.records import file_sha256
from mediatech_assets.release.export import Encoding, ExportSpec, export, parquet_options
from mediatech_assets.schemas import CHUNKS, VECTORS, column, dataset_tables, documents_schema

DIMENSIONS = 1_024
WORDS = 20_000
PHRASES = 20_000
WORDS_PER_PHRASE = 17
PHRASES_PER_CHUNK = 10
DOCUMENTS_PER_COMMIT = 5_000
CHUNKING = "bench"
ENCODINGS: tuple[Encoding, ...] = ("json", "float32")
DATASET = "bench"
METADATA = pa.schema(
    [
        column("title", pa.string(), "Title."),
        column("subtitles", pa.string(), "Sections."),
        column("number", pa.string(), "Number."),
        column("start_date", pa.string(), "First day."),
        column("links", pa.string(), "Links."),
    ]
)
PROFILE = replace(profile_named("use"), dimensions=DIMENSIONS)
_NOW = datetime(2026, 1, 2, 3, 4, 5)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a process measured of itself.

    Args:
        seconds: Wall time.
        processor_seconds: Time of all its threads.
        peak_mb: Greatest resident memory of the process, in MB.
        bytes: Bytes written.
        sha256: Hashes of the files, in order of their paths.
    """

    seconds: float
    processor_seconds: float
    peak_mb: float
    bytes: int
    sha256: tuple[str, ...]


def main() -> None:
    """Runs every measurement and prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=30_000, help="chunks to export (30000); 0: not measured")
    parser.add_argument(
        "--upload-rows",
        type=int,
        default=30_000,
        help="chunks of a release to upload (30000); 0: not measured",
    )
    parser.add_argument("--encodings", default="json,float32", help="encodings of vectors (json,float32)")
    arguments = parser.parse_args()
    encodings: list[Encoding] = [
        encoding for encoding in ENCODINGS if encoding in arguments.encodings.split(",")
    ]
    print(_machine(), flush=True)
    if arguments.rows:
        _measure_speed(arguments.rows, encodings)
    if arguments.upload_rows:
        for chunks in (2, 8):
            _measure_upload(arguments.upload_rows // chunks, chunks, encodings)


def _measure_speed(rows: int, encodings: Sequence[Encoding]) -> None:
    print(f"\n{rows:,} chunks of {DIMENSIONS:,} dimensions, 2 a document")
    print(f"{'':<22} {'s':>8} {'CPU s':>8} {'rows/s':>8} {'peak MB':>8} {'MB':>8} {'B/row':>7}", flush=True)
    with _folder() as home:
        with _lake(home) as lake:
            fill(lake, range(rows // 2), 2)
        for encoding in encodings:
            ours = _in_process(_export, home, encoding, home / "ours")
            bare = _in_process(_write_bare, home, encoding, home / "ours")
            shutil.rmtree(home / "ours")
            for name, found in (("export", ours), ("bare pyarrow", bare)):
                print(
                    f"{f'{encoding}, {name}':<22} {found.seconds:8.1f} {found.processor_seconds:8.1f} "
                    f"{rows / found.seconds:8,.0f} {found.peak_mb:8,.0f} {found.bytes / 1e6:8,.1f} "
                    f"{found.bytes / rows:7,.0f}"
                )
            ratios = (
                f"{ours.seconds / bare.seconds:7.2f}x {ours.processor_seconds / bare.processor_seconds:7.2f}x"
            )
            print(
                f"{'':<22} {ratios}  ({'the same bytes' if ours.sha256 == bare.sha256 else 'OTHER BYTES'})",
                flush=True,
            )


def _measure_upload(documents: int, chunks: int, encodings: Sequence[Encoding]) -> None:
    changed = np.random.default_rng(2).choice(documents, max(1, documents // 100), replace=False)
    print(
        f"\n{documents:,} documents of {chunks} chunks, {len(changed):,} of them changed in all chunks",
        flush=True,
    )
    with _folder() as home:
        with _lake(home) as lake:
            fill(lake, range(documents), chunks)
        for encoding in encodings:
            _in_process(_export, home, encoding, home / f"first-{encoding}")
        with _lake(home) as lake:
            change(lake, sorted(changed.tolist()), chunks)
        for encoding in encodings:
            _in_process(_export, home, encoding, home / f"second-{encoding}")
            total, new, sent = _in_process(_upload, home, encoding)
            print(
                f"{encoding:<10} {total / 1e6:8,.1f} MB, of them new by chunks {new / total:6.1%}, "
                f"sent {sent / total:6.1%}",
                flush=True,
            )


def _export(home: Path, encoding: Encoding, target: Path) -> Measured:
    with _lake(home) as lake:
        spec = _spec(_open(lake), encoding)
        start, processor = time.perf_counter(), time.process_time()
        exported = export(lake, spec, target)
        seconds, processor_seconds = time.perf_counter() - start, time.process_time() - processor
    size = sum(file.bytes for file in exported.files)
    return Measured(
        seconds, processor_seconds, _peak_mb(), size, tuple(file.sha256 for file in exported.files)
    )


def _write_bare(home: Path, encoding: Encoding, source: Path) -> Measured:
    """Writes what lies in `source` again, row group by row group; reading it is not timed."""
    with _lake(home) as lake:
        spec = _spec(_open(lake), encoding)
    clock = _Clock()
    size, hashes = 0, []
    target = home / "bare.parquet"
    for path in sorted(source.rglob("*.parquet")):
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            writer = pq.ParquetWriter(target, schema, **parquet_options(spec, schema))
            for number in range(file.num_row_groups):
                group = file.read_row_group(number).combine_chunks()
                with clock.running():
                    writer.write_table(group, row_group_size=group.num_rows)
            with clock.running():
                writer.close()
        size += target.stat().st_size
        hashes.append(file_sha256(target))
        target.unlink()
    return Measured(clock.seconds, clock.processor_seconds, _peak_mb(), size, tuple(hashes))


class _Clock:
    """Time spent in the blocks that run under it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.processor_seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        start, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - start
        self.processor_seconds += time.process_time() - processor


def _upload(home: Path, encoding: Encoding) -> tuple[int, int, int]:
    """Gives both releases to the hub's client: bytes of the second, new ones among them, and bytes sent."""
    os.environ["HF_XET_CACHE"] = str(home / "xet-cache")
    hf_xet = importlib.import_module("hf_xet")  # reads its environment when it is imported
    metrics = None
    for name in (f"first-{encoding}", f"second-{encoding}"):
        commit = hf_xet.XetSession().new_upload_commit(endpoint=f"local://{home / f'xet-{encoding}'}")
        for path in sorted((home / name).rglob("*.parquet")):
            commit.start_upload_file(str(path))
        metrics = commit.wait_to_finish().dedup_metrics
    if metrics is None:
        sys.exit("nothing was uploaded")
    return metrics.total_bytes, metrics.new_bytes, metrics.total_bytes_uploaded


def fill(lake: Lake, numbers: Sequence[int], chunks: int, version: int = 0) -> None:
    """Adds documents to a lake, in an order of their own.

    Args:
        lake: The lake.
        numbers: Numbers of the documents.
        chunks: Chunks of each.
        version: Another one gives the same documents another text and other vectors.
    """
    store = _open(lake)
    phrases = _phrases()
    order = np.random.default_rng(1).permutation(np.array(numbers))
    for start in range(0, len(order), DOCUMENTS_PER_COMMIT):
        documents: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        vectors = []
        for number in order[start : start + DOCUMENTS_PER_COMMIT].tolist():
            document = _document(number, version)
            found, matrix = _chunks(document, np.random.default_rng((number, version)), phrases, chunks)
            documents.append(document)
            rows += found
            vectors.append(matrix)
        with lake.transaction(DATASET) as cursor:
            for table, added, schema in (
                ("documents", documents, documents_schema(METADATA)),
                ("chunks", rows, CHUNKS),
            ):
                cursor.register("incoming", pa.Table.from_pylist(added, schema=schema))
                cursor.execute(f"INSERT INTO {DATASET}.{table} BY NAME SELECT * FROM incoming")
                cursor.unregister("incoming")
        _insert_vectors(lake, store, [row["text_key"] for row in rows], np.concatenate(vectors))


def change(lake: Lake, numbers: Sequence[int], chunks: int) -> None:
    """Gives documents another text and other vectors."""
    _open(lake)
    names = [_document(number)["doc_id"] for number in numbers]
    with lake.transaction(DATASET) as cursor:
        for table in ("documents", "chunks"):
            cursor.execute(f"DELETE FROM {DATASET}.{table} WHERE list_contains(?, doc_id)", [names])
    fill(lake, numbers, chunks, version=1)


def _open(lake: Lake) -> VectorStore:
    lake.open(DATASET, dataset_tables(METADATA))
    store = VectorStore(lake, PROFILE)
    store.open()
    return store


def _spec(store: VectorStore, encoding: Encoding) -> ExportSpec:
    return ExportSpec(
        dataset=DATASET,
        published_name=DATASET,
        published_columns=(*METADATA.names, "text"),
        chunking_id=CHUNKING,
        vectors=store.table,
        vector_column="embeddings_bge-m3",
        rows_per_file=50_000,
        dimensions=DIMENSIONS,
        normalised=True,
        encoding=encoding,
    )


def _insert_vectors(lake: Lake, store: VectorStore, keys: list[str], matrix: np.ndarray) -> None:
    # In another order than the chunks: texts are embedded by length and shared between datasets.
    order = np.random.default_rng(3).permutation(len(keys))
    rows = pa.table(
        {
            "text_key": pa.array(keys).take(pa.array(order)),
            "vector": vector_column(matrix[order]),
            "created_at": pa.array([_NOW] * len(keys), VECTORS.field("created_at").type),
        }
    )
    with lake.transaction(CATALOG) as cursor:
        cursor.register("incoming", rows)
        cursor.execute(f"INSERT INTO {store.table} BY NAME SELECT * FROM incoming")
        cursor.unregister("incoming")


def _phrases() -> list[str]:
    """Phrases of frequent and rare words with the letters of French: they compress about as French does."""
    letters = np.array(list("eaisntrulodcpmvqfbghjxyzé"))
    weights = np.array(
        [147, 76, 79, 75, 71, 72, 66, 63, 55, 54, 37, 33, 30, 30, 16, 14, 11, 9, 9, 7, 5, 4, 3, 2, 19]
    )
    random = np.random.default_rng(0)
    drawn = random.choice(letters, (WORDS, 12), p=weights / weights.sum())
    lengths = random.integers(2, 12, WORDS)
    words = np.array(["".join(row[:length]) for row, length in zip(drawn, lengths, strict=True)])
    return [" ".join(line) for line in words[random.zipf(1.25, (PHRASES, WORDS_PER_PHRASE)) % WORDS]]


def _document(number: int, version: int = 0) -> dict[str, Any]:
    doc_id = f"LEGIARTI{number * 7_919:012d}"
    return {
        "doc_id": doc_id,
        "title": "Code du travail",
        "subtitles": f"Partie législative > Livre {number // 500} > Titre {number // 50} > Chapitre {number // 10}",
        "number": f"L{number // 7}-{number % 7}",
        "start_date": f"{1990 + number % 35}-01-01",
        "links": "[]",
        "sections": [],
        "content_hash": f"{number:064x}",
        "parser_version": "1",
        "source_file": "stock.tar.gz",
        "source_member": f"{doc_id}.xml",
        "source_modified": 1.5,
        "source_sha256": "0" * 64,
        "source_url": f"https://www.legifrance.gouv.fr/codes/article_lc/{doc_id}",
        "source_updated_at": f"{2025 + version}-03-04",
        "first_seen": _NOW,
        "changed_at": _NOW,
    }


def _chunks(
    document: dict[str, Any], random: np.random.Generator, phrases: Sequence[str], count: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    drawn = random.integers(0, PHRASES, (count, PHRASES_PER_CHUNK))
    rows = []
    for index, line in enumerate(drawn, start=1):
        text = " ".join([phrases[int(number)] for number in line])
        key = random.bytes(32).hex()
        rows.append(
            {
                "chunking_id": CHUNKING,
                "chunk_id": f"{document['doc_id']}_{index}",
                "doc_id": document["doc_id"],
                "chunk_index": index,
                "context": [],
                "kind": "article",
                "attributes": {},
                "text": text,
                "chunk_text": f"{document['title']} - Article {document['number']}\n{document['subtitles']}\n{text}",
                "chunk_xxh64": key[:16],
                "text_key": key,
                "tokens": PHRASES_PER_CHUNK * WORDS_PER_PHRASE,
                "row_hash": key[::-1],
            }
        )
    matrix = random.standard_normal((count, DIMENSIONS), dtype=np.float32)
    return rows, matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as name:
        yield Path(name)


@contextmanager
def _lake(home: Path) -> Iterator[Lake]:
    lake = Lake(home / "lake", home / "locks")
    try:
        yield lake
    finally:
        lake.close()


def _in_process(
    work: Callable[_Arguments, _Result], *arguments: _Arguments.args, **_: _Arguments.kwargs
) -> _Result:
    """What `work` gives, done in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def _peak_mb() -> float:
    """Greatest resident memory of this process; what `getrusage` says begins with the parent's."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(found.group(1)) / 1_000 if found else float("nan")


def _machine() -> str:
    packages = ("pyarrow", "duckdb", "orjson", "hf-xet")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} CPUs ({platform.machine()}, {platform.system()}), load {load:.1f}, {python}, {versions}"


if __name__ == "__main__":
    main()
