"""What differs between two releases, document by document.

What belongs here: which documents are new, changed or gone, by the files below `data/` alone, and the contents of
a few of them from both sides. What does not: how a change is shown (`wording.py`, `review_page.py`).

Files that both releases share by a link are never read: the cost follows what changed. What is read is narrowed to
a digest a document before two releases are joined, so that memory does not grow with the texts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from mediatech_assets.lake import literal, quoted

#: Changes with the model or the snapshot of the source, not with the document.
_NOT_COMPARED = "source_updated_at"
_VECTOR_PREFIX = "embeddings_"
#: Columns that follow from where a document is cut.
_OF_THE_CUT = frozenset(("chunk_id", "doc_id", "chunk_index", "chunk_xxh64", "text", "chunk_text"))
_TITLES = ("title", "name")

_CHUNKS_READ = 400
_CHARACTERS_READ = 200_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Documents that differ between two releases, ids sorted.

    Args:
        added: In the newer one only.
        changed: In both, with another text or other metadata.
        removed: In the older one only.
        reworded: Those of `changed` whose text, or its cut into chunks, is another.
    """

    added: list[str]
    changed: list[str]
    removed: list[str]
    reworded: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class DocumentContent:
    """A document as one release has it.

    Args:
        title: Its title, or its identifier when it has none.
        source_url: Page of the source; empty when unknown.
        text: Its text: chunks joined in order.
        chunks: Number of chunks that `text` is made of.
        complete: Whether that is all of it; of a huge document only the beginning is read.
        metadata: Other columns, each as a text: the different values of its chunks, a line each.
    """

    title: str
    source_url: str
    text: str
    chunks: int
    complete: bool
    metadata: Mapping[str, str]


def compare(cursor: duckdb.DuckDBPyConnection, folder: Path, previous: Path | None) -> Difference:
    """Which documents differ between two releases, by the text and metadata of the columns that both have.

    Args:
        cursor: Any DuckDB cursor.
        folder: The newer release.
        previous: The older one; without it every document is new.
    """
    if previous is None:
        files = data_files(folder)
        if not files:
            return Difference([], [], [])
        rows = cursor.execute(f"SELECT DISTINCT doc_id FROM {_rows_of(files)} ORDER BY 1").fetchall()
        return Difference([doc_id for (doc_id,) in rows], [], [])
    new, old = unshared_files(folder, previous)
    columns = _compared_columns(cursor, new, old)
    rows = cursor.execute(
        f"""
        SELECT coalesce(new.doc_id, old.doc_id), old.doc_id IS NULL, new.doc_id IS NULL
        FROM ({_digests(new, columns)}) AS new FULL JOIN ({_digests(old, columns)}) AS old USING (doc_id)
        WHERE new.digest IS DISTINCT FROM old.digest ORDER BY 1
        """
    ).fetchall()
    changed = [doc_id for doc_id, is_new, is_gone in rows if not is_new and not is_gone]
    return Difference(
        added=[doc_id for doc_id, is_new, _ in rows if is_new],
        changed=changed,
        removed=[doc_id for doc_id, _, is_gone in rows if is_gone],
        reworded=_reworded(cursor, new, old, columns, changed),
    )


def data_files(folder: Path) -> list[Path]:
    """Parquet files with the rows of the release in `folder`, sorted."""
    return sorted((folder / "data").rglob("*.parquet"))


def unshared_files(folder: Path, previous: Path) -> tuple[list[Path], list[Path]]:
    """Files of two releases that are not links to the same bytes, the newer release's first."""
    new, old = data_files(folder), data_files(previous)
    shared = {_place(path) for path in new} & {_place(path) for path in old}
    return tuple([path for path in paths if _place(path) not in shared] for paths in (new, old))  # type: ignore[return-value]


def contents_of(
    cursor: duckdb.DuckDBPyConnection, files: Sequence[Path], doc_ids: Iterable[str]
) -> dict[str, DocumentContent]:
    """Contents of some documents, by id.

    Args:
        cursor: Any DuckDB cursor.
        files: Files of one release that hold them.
        doc_ids: A few ids: their texts are held in memory.
    """
    wanted = list(doc_ids)
    if not files or not wanted:
        return {}
    rows = (
        cursor.execute(
            f"""
            SELECT COLUMNS(name -> NOT starts_with(name, {literal(_VECTOR_PREFIX)})) FROM {_rows_of(files)}
            WHERE doc_id IN ({", ".join("?" * len(wanted))})
            QUALIFY row_number() OVER (PARTITION BY doc_id ORDER BY chunk_index) <= {_CHUNKS_READ + 1}
            ORDER BY doc_id, chunk_index
            """,
            wanted,
        )
        .to_arrow_table()
        .to_pylist()
    )
    by_document: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_document.setdefault(row["doc_id"], []).append(row)
    return {doc_id: _content(doc_id, chunks) for doc_id, chunks in by_document.items()}


def _content(doc_id: str, rows: Sequence[Mapping[str, Any]]) -> DocumentContent:
    read, first = rows[:_CHUNKS_READ], rows[0]
    # Some datasets publish chunk_text alone: their rows are joined by an empty line.
    text = (
        "".join(row["text"] or "" for row in read)
        if "text" in first
        else "\n\n".join(row["chunk_text"] or "" for row in read)
    )
    title = next((str(first[name]) for name in _TITLES if first.get(name)), doc_id)
    number = first.get("number")
    return DocumentContent(
        title=f"{title} – {number}" if number and str(number) not in title else title,
        source_url=str(first.get("source_url") or ""),
        text=text[:_CHARACTERS_READ],
        chunks=len(read),
        complete=len(rows) <= _CHUNKS_READ and len(text) <= _CHARACTERS_READ,
        metadata={name: _values(read, name) for name in first if name not in _OF_THE_CUT},
    )


def _values(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    """The different values of a column over the chunks of a document, in order, a line each."""
    return "\n".join(dict.fromkeys(_as_text(row[name]) for row in rows))


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(map(_as_text, value))
    return str(value)


def _reworded(
    cursor: duckdb.DuckDBPyConnection,
    new: Sequence[Path],
    old: Sequence[Path],
    columns: Sequence[str],
    changed: Sequence[str],
) -> list[str]:
    """Those of the changed documents whose text, or its cut into chunks, is another."""
    if not changed:
        return []
    words = [
        name for name in ("chunk_index", "text" if "text" in columns else "chunk_text") if name in columns
    ]
    cursor.register("changed_documents", pa.table({"doc_id": pa.array(changed, pa.string())}))
    try:
        rows = cursor.execute(
            f"""
            SELECT doc_id FROM ({_digests(new, words, "changed_documents")}) AS new
            JOIN ({_digests(old, words, "changed_documents")}) AS old USING (doc_id)
            WHERE new.digest <> old.digest ORDER BY 1
            """
        ).fetchall()
    finally:
        cursor.unregister("changed_documents")
    return [doc_id for (doc_id,) in rows]


def _digests(files: Sequence[Path], columns: Sequence[str], among: str = "") -> str:
    """SQL of one row a document with a digest over some columns of its rows.

    Args:
        files: Where the rows are.
        columns: Columns that count.
        among: Table of the only documents to look at; all when empty.
    """
    if not files:
        return "SELECT '' AS doc_id, 0 AS digest WHERE false"
    values = ", ".join(f"{literal(name)}: {quoted(name)}" for name in columns)
    condition = f"WHERE doc_id IN (SELECT doc_id FROM {among})" if among else ""
    return (
        f"SELECT doc_id, bit_xor(md5_number_lower({{{values}}}::VARCHAR)) AS digest FROM {_rows_of(files)} "
        f"{condition} GROUP BY doc_id"
    )


def _compared_columns(
    cursor: duckdb.DuckDBPyConnection, new: Sequence[Path], old: Sequence[Path]
) -> list[str]:
    """Columns whose values are compared; a column that one release lacks says nothing about a document."""
    if not new or not old:
        return ["doc_id", "chunk_index"]  # nothing is on the other side: any digest differs from none
    theirs = set(_column_names(cursor, old))
    common = [
        name
        for name in _column_names(cursor, new)
        if name in theirs and name != _NOT_COMPARED and not name.startswith(_VECTOR_PREFIX)
    ]
    if {"text", "chunk_text", "chunk_xxh64"} <= set(common):
        common.remove("chunk_text")  # headings and text, told by its hash: half of the bytes to read
    return common


def _column_names(cursor: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> list[str]:
    described = cursor.execute(f"SELECT * FROM {_rows_of(files)} LIMIT 0").description or []
    return [name for name, *_ in described]


def _rows_of(files: Sequence[Path]) -> str:
    names = ", ".join(literal(str(path)) for path in files)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"


def _place(path: Path) -> tuple[int, int]:
    """Where the bytes of a file lie: the same for two links to one file."""
    stat = path.stat()
    return stat.st_dev, stat.st_ino
