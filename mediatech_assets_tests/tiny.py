"""A tiny dataset for tests of the stages after parsing: its catalog, and rows put straight into its tables.

What belongs here: what several test modules of this tier need to fill a lake. What does not: any test, and
anything that a stage itself should make.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from mediatech_assets.chunks.build import Chunking, Chunks
from mediatech_assets.lake import Lake, insert_row, quoted
from mediatech_assets.schemas import column, dataset_tables, documents_schema

METADATA = pa.schema(
    [
        column("title", pa.string(), "Title."),
        column("status", pa.string(), "Status."),
        column("category", pa.string(), "Category."),
    ]
)

_SOME_TIME = datetime(2026, 1, 2, 3, 4, 5, 678901)


def new_lake(folder: Path, *, threads: int = 2) -> Lake:
    return Lake(folder / "lake", folder / "locks", threads=threads)


def open_dataset(lake: Lake, name: str) -> str:
    """Makes the catalog of a dataset, and gives its name back."""
    lake.open(name, dataset_tables(METADATA))
    return name


def section(text: str, *context: str, kind: str = "body", **attributes: str) -> dict[str, object]:
    return {"text": text, "context": list(context), "kind": kind, "attributes": attributes}


def put_document(
    lake: Lake,
    dataset: str,
    doc_id: str,
    sections: Sequence[str | Mapping[str, object]] = (),
    **metadata: str,
) -> None:
    """Adds a document, or replaces the one of this id."""
    row = {
        "doc_id": doc_id,
        "title": f"Titre {doc_id}",
        "status": "VIGUEUR",
        "category": "CODE",
        "sections": [section(item) if isinstance(item, str) else dict(item) for item in sections],
        "parser_version": "1",
        "source_file": "stock.tar.gz",
        "source_member": f"{doc_id}.xml",
        "source_modified": 1.5,
        "source_sha256": "0" * 64,
        "source_url": f"https://example.org/{doc_id}",
        "source_updated_at": "2026-01-01",
        "first_seen": _SOME_TIME,
        "changed_at": _SOME_TIME,
        **metadata,
    }
    row["content_hash"] = hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()
    with lake.transaction(dataset) as cursor:
        cursor.register("incoming", pa.Table.from_pylist([row], schema=documents_schema(METADATA)))
        cursor.execute(f"DELETE FROM {quoted(dataset)}.documents WHERE doc_id = ?", [doc_id])
        cursor.execute(f"INSERT INTO {quoted(dataset)}.documents BY NAME SELECT * FROM incoming")


def remove_document(lake: Lake, dataset: str, doc_id: str) -> None:
    with lake.transaction(dataset) as cursor:
        cursor.execute(f"DELETE FROM {quoted(dataset)}.documents WHERE doc_id = ?", [doc_id])


def count_words(text: str) -> int:
    return len(text.split())


def word_counter() -> object:
    """Gives the function that counts a word as a token."""
    return count_words


def title_heading(metadata: Mapping[str, object]) -> list[str]:
    return [str(metadata["title"])]


def chunking(size: int = 12, prefix: str = "") -> Chunking:
    return Chunking(
        tokenizer="words",
        size=size,
        passage_prefix=prefix,
        counter=word_counter,  # type: ignore[arg-type]
        heading=title_heading,  # type: ignore[arg-type]
        hashed_columns=("title", "status", "category", "source_url", "source_updated_at"),
    )


def split(lake: Lake, dataset: str, size: int = 12) -> str:
    """Splits what changed; gives the id of the chunking."""
    chunks = Chunks(lake, dataset, chunking(size), workers=0)
    chunks.update()
    return chunks.chunking.id


def rows(lake: Lake, sql: str, *values: object) -> list[tuple]:
    return lake.cursor().execute(sql, list(values)).fetchall()


def record_release(lake: Lake, name: str, day: int = 1, documents: int = 1, rows: int = 1) -> None:
    """Notes in the lake that a release was built on a day of January 2026."""
    row = {
        "release": name,
        "profile": "use",
        "input_digest": "",
        "manifest_sha256": "",
        "path": f"legi/{name}",
        "documents": documents,
        "rows": rows,
        "created_at": datetime(2026, 1, day),
    }
    with lake.transaction("legi") as cursor:
        insert_row(cursor, "legi.releases", row)


def record_run(lake: Lake, day: int, recall_10: float, mrr: float) -> None:
    """Notes in the lake how hybrid search was measured on a day of January 2026."""
    figures = dict.fromkeys(("recall_1", "recall_5", "ndcg_10", "found_10"), 0.5)
    names = ("fingerprint", "collection", "index_digest", "questions_digest", "code_version")
    row = {
        "run_at": datetime(2026, 1, day),
        "profile": "use",
        **dict.fromkeys(names, "x"),
        "mode": "hybrid",
        "part": "all",
        "questions": 95,
        "recall_10": recall_10,
        "mrr": mrr,
        **figures,
    }
    with lake.transaction("legi") as cursor:
        insert_row(cursor, "legi.retrieval_runs", row)
