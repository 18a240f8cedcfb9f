"""Rows of a release in their order, from tables that hold them in any order.

What belongs here: reading chunks, documents and vectors once each, and bringing them into order with little memory.
What does not: which order that is, and what becomes of the rows (`export.py`).

DuckDB cannot sort rows of 10 KB that are larger than its memory, and joining a part of them at a time reads
everything again for each part. So each table is streamed once, its rows are laid into one file for each stretch of
the order, and stretch after stretch is put together in memory.
"""

import shutil
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from mediatech_assets.errors import LakeError

#: Rows that are put together in memory at once, some 10 KB each with their vectors.
_ROWS_PER_STRETCH = 10_000
#: Most stretches: a process may hold some 1,000 files open.
_MOST_STRETCHES = 250
_ROWS_PER_BATCH = 8_192

#: Columns that say where a row belongs.
PLACE, STRETCH = "place", "stretch"


@dataclass(frozen=True, slots=True)
class Parts:
    """Queries whose rows together make the rows of a release.

    Each reads the temporary table `row_order`: `place` (from 0), `doc_id`, and what the query joins by.

    Args:
        chunks: Gives `place`, `doc_id` and columns of chunks.
        vectors: Gives `place` and the column of vectors.
        documents: Gives `stretch` (`place` divided by the parameter), `doc_id`, and columns of documents: one row
            for each stretch that holds rows of the document.
    """

    chunks: str
    vectors: str
    documents: str


def ordered_rows(
    cursor: duckdb.DuckDBPyConnection, parts: Parts, total: int, folder: Path
) -> Generator[pa.Table]:
    """Rows in the order of `place`, some thousands at a time, with the columns of all parts.

    Args:
        cursor: Cursor with the temporary table `row_order`.
        parts: Where the rows come from.
        total: Rows there are.
        folder: Folder for what does not fit in memory, some 7 KB a row; it is removed at the end.

    Raises:
        LakeError: a row has no vector or no document, or more than one.
    """
    length = max(_ROWS_PER_STRETCH, -(-total // _MOST_STRETCHES))
    count = -(-total // length)
    try:
        for name, sql in (
            ("chunks", parts.chunks),
            ("vectors", parts.vectors),
            ("documents", parts.documents),
        ):
            _lay_out(cursor, sql, length, folder / name)
        for stretch in range(count):
            rows = min(length, total - stretch * length)
            yield _put_together(folder, stretch, stretch * length, rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lay_out(cursor: duckdb.DuckDBPyConnection, sql: str, length: int, folder: Path) -> None:
    """Writes the rows of a query into one file for each stretch."""
    folder.mkdir(parents=True)
    files: dict[int, pa.RecordBatchStreamWriter] = {}
    with ExitStack() as opened:
        cursor.execute(sql, {"length": length} if "$length" in sql else {})
        for batch in cursor.to_arrow_reader(_ROWS_PER_BATCH):
            if STRETCH in batch.schema.names:
                stretches = batch.column(STRETCH).to_numpy()
            else:
                stretches = batch.column(PLACE).to_numpy() // length
            order = np.argsort(stretches, kind="stable")
            batch = batch.take(pa.array(order))
            found, starts = np.unique(stretches[order], return_index=True)
            for stretch, start, stop in zip(
                found.tolist(), starts.tolist(), [*starts[1:].tolist(), len(order)], strict=True
            ):
                if stretch not in files:
                    sink = opened.enter_context(pa.OSFile(str(_file(folder, stretch)), "wb"))
                    files[stretch] = opened.enter_context(pa.ipc.new_stream(sink, batch.schema))
                files[stretch].write_batch(batch.slice(start, stop - start))


def _put_together(folder: Path, stretch: int, first: int, rows: int) -> pa.Table:
    chunks = _in_place(_taken(folder / "chunks", stretch), first, rows, "chunk")
    vectors = _in_place(_taken(folder / "vectors", stretch), first, rows, "vector")
    documents = _taken(folder / "documents", stretch)
    places = {name: position for position, name in enumerate(documents.column("doc_id").to_pylist())}
    if len(places) != documents.num_rows:
        raise _inconsistent("a document stands twice in `documents`")
    positions = pa.array([places.get(name) for name in chunks.column("doc_id").to_pylist()], pa.int64())
    if positions.null_count:
        raise _inconsistent("a chunk has no document")
    described = documents.drop_columns([STRETCH, "doc_id"]).take(positions)
    return pa.table(
        {name: table.column(name) for table in (described, vectors, chunks) for name in table.column_names}
    )


def _in_place(table: pa.Table, first: int, rows: int, what: str) -> pa.Table:
    """The rows of a stretch, sorted by place; there is one for each."""
    places = table.column(PLACE).to_numpy() - first
    order = np.argsort(places, kind="stable")
    if not np.array_equal(places[order], np.arange(rows)):
        raise _inconsistent(f"a row has no {what}, or more than one")
    return table.take(pa.array(order))


def _taken(folder: Path, stretch: int) -> pa.Table:
    """The rows of a stretch as they were laid out; their file is removed."""
    path = _file(folder, stretch)
    if not path.is_file():
        raise _inconsistent(f"rows have no {folder.name}")
    with pa.OSFile(str(path), "rb") as source, pa.ipc.open_stream(source) as reader:
        table = reader.read_all().combine_chunks()
    path.unlink()
    return table


def _file(folder: Path, stretch: int) -> Path:
    return folder / f"{stretch}.arrow"


def _inconsistent(what: str) -> LakeError:
    return LakeError(
        f"the lake contradicts itself: {what}",
        "run `mediatech verify`; if the lake was changed by hand, restore it from a backup",
    )
