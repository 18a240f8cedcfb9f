"""Parquet files in the published layout, streamed from the lake.

What belongs here: the published columns, the order of rows, and the cut into files. What does not: identity,
manifest and card of a release (`build.py`, `card.py`).

The layout is a contract with consumers: `data/<name>-latest/<table>_part_<n>.parquet`, with one folder a
table for datasets of several tables; rows ordered by document and chunk; no document split over two files;
the embedding as a JSON string.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mediatech_assets.documents.model import MetadataValue
from mediatech_assets.errors import MediatechError
from mediatech_assets.lake import Lake, quoted
from mediatech_assets.progress import track
from mediatech_assets.records import file_sha256

#: Changes whenever the same rows would be written otherwise.
EXPORT_VERSION = "1"

_ROWS_PER_BATCH = 2_000
_ROWS_PER_GROUP = 10_000
#: Columns that live in `chunks`; every other published column is one of `documents`.
_CHUNK_COLUMNS = frozenset({"text", "context"})
#: Added at the end, beside the contract: where a row comes from.
PROVENANCE = ("source_url", "source_updated_at")


class IncompleteVectorsError(MediatechError):
    """Chunks without a vector: a release of them would lose rows."""


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """What is exported.

    Args:
        dataset: Name of the dataset.
        published_name: Its name in paths, with hyphens.
        published_columns: The dataset's own columns, in the contract's order.
        chunking_id: Chunking of the profile.
        vectors: Table of the profile's vectors, quoted for SQL.
        vector_column: Published name of the vector's column.
        rows_per_file: Rows after which the next document begins another file.
        release_table: Folder of a row, from the metadata columns named next; none for one table.
        release_table_columns: Metadata columns that `release_table` reads.
    """

    dataset: str
    published_name: str
    published_columns: tuple[str, ...]
    chunking_id: str
    vectors: str
    vector_column: str
    rows_per_file: int
    release_table: Callable[[Mapping[str, MetadataValue]], str] | None = None
    release_table_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the files, in order."""
        key = ("chunk_id", "doc_id", "chunk_index", "chunk_xxh64")
        return (*key, *self.published_columns, "chunk_text", self.vector_column, *PROVENANCE)


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of a release: its path in it, rows, bytes and SHA-256."""

    path: str
    rows: int
    bytes: int
    sha256: str


def export(lake: Lake, spec: ExportSpec, folder: Path) -> list[ExportedFile]:
    """Writes all rows below `folder`.

    Args:
        lake: The lake; the catalogs of the dataset and of the vectors are open.
        spec: What to write.
        folder: Root of the release.

    Returns:
        The files, sorted by path.

    Raises:
        IncompleteVectorsError: some chunk has no vector.
    """
    with lake.cursor() as cursor:
        total = _require_vectors(cursor, spec)
        _name_tables(cursor, spec)
        cursor.execute(_rows_sql(spec))
        reader = cursor.to_arrow_reader(_ROWS_PER_BATCH)
        writer = _Writer(folder, spec)
        with track(f"{spec.dataset}: writing the release", total, "rows") as advance:
            for batch in reader:
                writer.take(batch)
                advance(batch.num_rows)
            writer.finish()
        return sorted(writer.files, key=lambda file: file.path)


def input_digest(lake: Lake, spec: ExportSpec, *, extra: tuple[str, ...]) -> str:
    """A digest that changes when, and only when, an export would write something else.

    Args:
        lake: The lake.
        spec: What would be exported.
        extra: Further facts that the files depend on, such as the profile's fingerprint.
    """
    row = lake.cursor().execute(
        f"""
        SELECT count(*), bit_xor(md5_number_lower(chunk_id || ' ' || row_hash)),
          bit_xor(md5_number_upper(chunk_id || ' ' || row_hash))
        FROM {quoted(spec.dataset)}.chunks WHERE chunking_id = ?
        """,
        [spec.chunking_id],
    )
    facts = (row.fetchone(), spec.columns, spec.chunking_id, spec.rows_per_file, EXPORT_VERSION, extra)
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _require_vectors(cursor: duckdb.DuckDBPyConnection, spec: ExportSpec) -> int:
    row = cursor.execute(
        f"""
        SELECT count(*), count(*) FILTER (text_key NOT IN (SELECT text_key FROM {spec.vectors}))
        FROM {quoted(spec.dataset)}.chunks WHERE chunking_id = ?
        """,
        [spec.chunking_id],
    ).fetchone()
    total, missing = row or (0, 0)
    if missing:
        raise IncompleteVectorsError(
            f"{missing:,} of {total:,} chunks of {spec.dataset} have no vector yet",
            f"run `mediatech update --datasets {spec.dataset} --layers embeddings..release`",
        )
    return int(total)


def _name_tables(cursor: duckdb.DuckDBPyConnection, spec: ExportSpec) -> None:
    """Fills `tables`: the folder of every combination of the columns that decide it."""
    columns = ", ".join(quoted(name) for name in spec.release_table_columns) or "1 AS everything"
    found = cursor.execute(
        f"SELECT DISTINCT {columns} FROM {quoted(spec.dataset)}.documents"
    ).to_arrow_table()
    names = [spec.release_table(row) if spec.release_table else spec.dataset for row in found.to_pylist()]
    cursor.register("named", found.append_column("table_name", pa.array(names, pa.string())))
    cursor.execute("CREATE OR REPLACE TEMPORARY TABLE tables AS SELECT * FROM named")
    cursor.unregister("named")


def _rows_sql(spec: ExportSpec) -> str:
    values = {
        spec.vector_column: f"CAST(vector.vector AS VARCHAR) AS {quoted(spec.vector_column)}",
        **{
            name: f"chunk.{quoted(name)}"
            for name in ("chunk_id", "doc_id", "chunk_index", "chunk_xxh64", "chunk_text", *_CHUNK_COLUMNS)
        },
    }
    selected = ", ".join(values.get(name, f"document.{quoted(name)}") for name in spec.columns)
    same_table = " AND ".join(
        f"tables.{quoted(name)} IS NOT DISTINCT FROM document.{quoted(name)}"
        for name in spec.release_table_columns
    )
    return f"""
        SELECT tables.table_name AS table_name, {selected}
        FROM {quoted(spec.dataset)}.chunks AS chunk
        JOIN {quoted(spec.dataset)}.documents AS document ON document.doc_id = chunk.doc_id
        JOIN {spec.vectors} AS vector ON vector.text_key = chunk.text_key
        JOIN tables ON {same_table or "true"}
        WHERE chunk.chunking_id = '{spec.chunking_id}'
        ORDER BY tables.table_name, chunk.doc_id, chunk.chunk_index
    """


class _Writer:
    """Cuts a stream of ordered rows into files: at a new table, and at the first document after the limit."""

    def __init__(self, folder: Path, spec: ExportSpec) -> None:
        self.files: list[ExportedFile] = []
        self._folder = folder
        self._spec = spec
        self._table = ""
        self._document = ""
        self._part = 0
        self._rows = 0
        self._group: list[pa.RecordBatch] = []
        self._group_rows = 0
        self._parquet: pq.ParquetWriter | None = None
        self._path = Path()

    def take(self, batch: pa.RecordBatch) -> None:
        """Writes the rows of a batch."""
        tables = batch["table_name"].to_pylist()
        documents = batch["doc_id"].to_pylist()
        rows = batch.select(self._spec.columns)
        start = 0
        for position, (table, document) in enumerate(zip(tables, documents, strict=True)):
            if document == self._document and table == self._table:
                continue
            if table != self._table or self._rows + position - start >= self._spec.rows_per_file:
                self._add(rows.slice(start, position - start))
                start = position
                self._begin(table)
            self._document = document
        self._add(rows.slice(start))

    def finish(self) -> None:
        """Ends the last file."""
        self._end()

    def _begin(self, table: str) -> None:
        self._end()
        self._part = self._part + 1 if table == self._table else 0
        self._table = table
        below = f"{table}/" if self._spec.release_table else ""
        self._path = Path(f"data/{self._spec.published_name}-latest/{below}{table}_part_{self._part}.parquet")

    def _add(self, rows: pa.RecordBatch) -> None:
        """Gathers rows and writes groups of the full size: files must not depend on how rows were batched."""
        self._rows += rows.num_rows
        while rows.num_rows:
            taken = rows.slice(0, _ROWS_PER_GROUP - self._group_rows)
            self._group.append(taken)
            self._group_rows += taken.num_rows
            rows = rows.slice(taken.num_rows)
            if self._group_rows == _ROWS_PER_GROUP:
                self._write_group()

    def _write_group(self) -> None:
        if not self._group:
            return
        group = pa.Table.from_batches(self._group).combine_chunks()
        if self._parquet is None:
            target = self._folder / self._path
            target.parent.mkdir(parents=True, exist_ok=True)
            self._parquet = pq.ParquetWriter(
                target,
                group.schema,
                compression="zstd",
                write_page_index=True,
                use_content_defined_chunking=True,
            )
        self._parquet.write_table(group, row_group_size=_ROWS_PER_GROUP)
        self._group, self._group_rows = [], 0

    def _end(self) -> None:
        self._write_group()
        if self._parquet is not None:
            self._parquet.close()
            target = self._folder / self._path
            self.files.append(
                ExportedFile(self._path.as_posix(), self._rows, target.stat().st_size, file_sha256(target))
            )
        self._parquet, self._rows = None, 0
