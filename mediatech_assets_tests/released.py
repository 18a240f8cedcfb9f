"""A tiny dataset that releases are made of, for the modules that test releases.

What belongs here: a filled lake, what a release of it is made of, and reading a release. What does not: any test.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mediatech_assets.documents.model import MetadataValue
from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.embeddings.profiles import Profile, profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.lake import Lake
from mediatech_assets.records import file_sha256
from mediatech_assets.release.build import Release, ReleaseSpec
from mediatech_assets.release.export import ExportSpec
from mediatech_assets.release.facts import ReleaseFacts
from mediatech_assets.release.table_rule import ReleaseTable, TableRule
from mediatech_assets_tests.tiny import chunking, put_document, split

COLUMNS = (
    "chunk_id", "doc_id", "chunk_index", "chunk_xxh64", "title", "status", "text", "context", "chunk_text",
    "embeddings_tiny", "source_url", "source_updated_at",
)  # fmt: skip


def tiny_profile() -> Profile:
    return replace(profile_named("use"), dimensions=3, normalised=False)


def embed(store: VectorStore) -> None:
    def from_hash(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        keys = [key for key, _ in texts]
        vectors = [[int(key[:4], 16) / 65_537, 1e-30, -3.0] for key in keys]
        yield EmbeddedBatch(keys, np.array(vectors, dtype=np.float32))

    store.fill("code", chunking().id, from_hash)


def fill(lake: Lake) -> VectorStore:
    """Empties dataset `code` of a lake and gives it four documents, one of them without text, with their vectors."""
    store = VectorStore(lake, tiny_profile())
    store.open()
    with lake.transaction("code") as cursor:
        for table in (
            "documents",
            "chunks",
            "chunk_state",
            "releases",
            "raw_files",
            "applied_archives",
            "quarantine",
            "skipped_archives",
            "tombstones",
            "release_tables",
            "retrieval_runs",
        ):
            cursor.execute(f"DELETE FROM code.{table}")
        cursor.execute(
            "INSERT INTO code.raw_files (file, url, kind, format, stamp, size, sha256, status, last_modified) VALUES "
            "('stock.tar.gz', 'https://example.org/stock.tar.gz', 'stock', 'targz', '20260101-000000', 12, 'abc', "
            "'ready', '2026-01-03T04:05:06Z')"
        )
        cursor.execute("INSERT INTO code.applied_archives (file, sha256) VALUES ('stock.tar.gz', 'abc')")
        cursor.execute(
            "INSERT INTO code.quarantine (subject, member, reason, source_file, seen_at) VALUES "
            "('x', 'x.xml', 'bad', 'stock.tar.gz', TIMESTAMP '2026-01-01')"
        )
    with lake.transaction("embeddings") as cursor:
        cursor.execute(f"DELETE FROM {store.table}")
    long = "Une phrase de cinq mots. " * 7
    put_document(lake, "code", "b", [long, "Fin."], category="DECRET")
    put_document(lake, "code", "a", [long], category="CODE")
    put_document(lake, "code", "c", [long], category="CODE")
    put_document(lake, "code", "empty", [], category="CODE")
    split(lake, "code")
    embed(store)
    return store


def release_spec(store: VectorStore, folder: Path) -> ReleaseSpec:
    """What a release of dataset `code` below `folder` is made of."""
    export = ExportSpec(
        dataset="code",
        published_name="code",
        published_columns=("title", "status", "text", "context"),
        chunking_id=chunking().id,
        vectors=store.table,
        vector_column="embeddings_tiny",
        rows_per_file=50_000,
        dimensions=3,
        normalised=False,
    )
    facts = ReleaseFacts(
        published_name="code",
        title='Le « code "civil" »',
        description="Articles.",
        producer="La DILA",
        homepage="https://example.org",
        model="tiny-model",
        revision="r1",
        dimensions=3,
        normalised=False,
        encoding="json",
        vector_column="embeddings_tiny",
        tokenizer="words",
        chunk_tokens=12,
        columns=dict.fromkeys(COLUMNS, "what it holds"),
        types={**dict.fromkeys(COLUMNS, "string"), "chunk_index": "int64", "context": "list<string>"},
        tables=False,
    )
    return ReleaseSpec(
        export=export,
        facts=facts,
        profile={"name": "tiny", "model": "tiny-model"},
        parameters={"chunk_tokens": 12},
        parser_version="7",
        folder=folder / "releases" / "code",
        most_tokens=12,
    )


def with_tables(spec: ReleaseSpec, rows_per_file: int = 50_000) -> ReleaseSpec:
    export = replace(
        spec.export,
        rows_per_file=rows_per_file,
        tables=TableRule(by_category, ("category",), newest="category"),
    )
    return replace(spec, export=export, facts=replace(spec.facts, tables=True))


def by_category(row: Mapping[str, MetadataValue]) -> ReleaseTable:
    name = f"code_{str(row['category']).lower()}"
    return ReleaseTable(name, name)


def as_float32(spec: ReleaseSpec) -> ReleaseSpec:
    types = {**spec.facts.types, "embeddings_tiny": "list<float>"}
    return replace(
        spec,
        export=replace(spec.export, encoding="float32"),
        facts=replace(spec.facts, encoding="float32", types=types),
    )


def parquet_files(release: Release) -> dict[str, list[dict]]:
    return {
        path.relative_to(release.folder).as_posix(): pq.read_table(path).to_pylist()
        for path in sorted((release.folder / "data").rglob("*.parquet"))
    }


def manifest(release: Release) -> dict:
    return json.loads((release.folder / "manifest.json").read_text("utf-8"))


def contents(release: Release) -> dict[str, str]:
    paths = (path for path in release.folder.rglob("*") if path.is_file() and path.name != "manifest.json")
    return {path.relative_to(release.folder).as_posix(): file_sha256(path) for path in paths}
