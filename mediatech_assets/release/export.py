"""Parquet files in the published layout, streamed from the lake.

What belongs here: the published columns, the order of rows, and the cut into files. What does not: identity,
manifest and card of a release (`build.py`, `card.py`).

The layout is a contract with consumers: `data/<name>-latest/<table>_part_<n>.parquet`, with one folder a
table for datasets of several tables; rows ordered by document and chunk; no document split over two files;
the embedding as a JSON string.

An export first plans its files from identifiers and hashes alone. A file whose rows are those of a file of the
release before is linked instead of written. For that, files are cut at documents that their own identifiers
choose: a document more or less at the beginning leaves the borders behind it where they were.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mediatech_assets.documents.model import MetadataValue
from mediatech_assets.errors import MediatechError
from mediatech_assets.lake import Lake, literal, quoted
from mediatech_assets.progress import track
from mediatech_assets.records import file_sha256

#: Changes whenever the same rows would be written otherwise.
EXPORT_VERSION = "2"

#: One document in so many may begin a file: sparse enough that a few rows more or less choose the same one.
_DOCUMENTS_PER_BORDER = 256
#: Part of `rows_per_file` that a file may be longer while it waits for such a document.
_LONGEST_WAIT = 0.1

_ROWS_PER_BATCH = 2_000
#: Rows joined and sorted at once, some 10 KB each with their vectors: DuckDB cannot spill all that a join and a
#: sort of wide rows hold (63,000 articles in one query ran out of 512 MB).
_ROWS_PER_READ = 20_000
_DOCUMENTS_PER_READ = 50_000
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
        section_columns: Published columns whose values are attributes of the chunk's section.
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
    section_columns: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the files, in order."""
        key = ("chunk_id", "doc_id", "chunk_index", "chunk_xxh64")
        return (*key, *self.published_columns, "chunk_text", self.vector_column, *PROVENANCE)


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of a release.

    Args:
        path: Its path in the release.
        rows: Its rows.
        bytes: Its size.
        sha256: SHA-256 of its bytes.
        rows_sha256: SHA-256 over everything its rows were made of; empty for files without rows.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    rows_sha256: str = ""


@dataclass(frozen=True, slots=True)
class EarlierFile:
    """A file of an earlier release, where it stands, that may be what is to be written."""

    location: Path
    file: ExportedFile


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file to be: its path in the release, its rows and the hash of what they are made of."""

    number: int
    path: str
    rows: int
    rows_sha256: str


def export(
    lake: Lake, spec: ExportSpec, folder: Path, earlier: Mapping[str, EarlierFile] | None = None
) -> list[ExportedFile]:
    """Writes all rows below `folder`.

    Args:
        lake: The lake; the catalogs of the dataset and of the vectors are open.
        spec: What to write.
        folder: Root of the release.
        earlier: Files that were written before, by `rows_sha256`: they are linked, not written again.

    Returns:
        The files, sorted by path.

    Raises:
        IncompleteVectorsError: some chunk has no vector.
    """
    with lake.cursor() as cursor:
        _require_vectors(cursor, spec)
        _name_tables(cursor, spec)
        planned = plan_files(cursor, spec)
        linked = [file for plan in planned if (file := _link(folder, plan, earlier or {}))]
        done = {file.path for file in linked}
        waiting = [plan for plan in planned if plan.path not in done]
        written = _write(cursor, spec, folder, waiting) if waiting else []
        return sorted([*linked, *written], key=attrgetter("path"))


def plan_files(cursor: duckdb.DuckDBPyConnection, spec: ExportSpec) -> list[PlannedFile]:
    """The files that hold all rows, in order; their documents stand in the temporary table `planned`.

    Args:
        cursor: Cursor with the temporary table `tables`.
        spec: What to write.
    """
    cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE document_rows AS {_documents_sql(spec)}")
    cursor.execute("CREATE OR REPLACE TEMPORARY TABLE planned (doc_id VARCHAR, file BIGINT)")
    files: list[PlannedFile] = []
    for table, documents in groupby(_document_rows(cursor), attrgetter("table")):
        for part, members in enumerate(_cut(documents, spec.rows_per_file)):
            below = f"{table}/" if spec.release_table else ""
            path = f"data/{spec.published_name}-latest/{below}{table}_part_{part}.parquet"
            facts = (spec.columns, spec.section_columns, spec.chunking_id, EXPORT_VERSION)
            digest = hashlib.sha256(repr(facts).encode())
            for member in members:
                digest.update(member.digest.encode())
            number = len(files)
            files.append(
                PlannedFile(number, path, sum(member.rows for member in members), digest.hexdigest())
            )
            names = pa.array([member.doc_id for member in members], pa.string())
            cursor.register("members", pa.table({"doc_id": names}))
            cursor.execute("INSERT INTO planned SELECT doc_id, ? FROM members", [number])
            cursor.unregister("members")
    return files


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
            f"run `mediatech update --datasets {spec.dataset} --layers embeddings..release`; texts that the model "
            f"refuses are in {spec.dataset}.quarantine: mend their source, or choose another model",
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


@dataclass(frozen=True, slots=True)
class _DocumentRows:
    """A document's place in the release: its table, number of rows, and hash of what they are made of."""

    table: str
    doc_id: str
    rows: int
    digest: str


def _documents_sql(spec: ExportSpec) -> str:
    same_table = " AND ".join(
        f"tables.{quoted(name)} IS NOT DISTINCT FROM document.{quoted(name)}"
        for name in spec.release_table_columns
    )
    return f"""
        SELECT table_name, doc_id, rows, digest,
          row_number() OVER (ORDER BY table_name, doc_id) AS place
        FROM (
          SELECT any_value(tables.table_name) AS table_name, chunk.doc_id AS doc_id, count(*) AS rows,
            sha256(string_agg(chunk.row_hash || ' ' || chunk.text_key, ' ' ORDER BY chunk.chunk_index)) AS digest
          FROM {quoted(spec.dataset)}.chunks AS chunk
          JOIN {quoted(spec.dataset)}.documents AS document ON document.doc_id = chunk.doc_id
          JOIN tables ON {same_table or "true"}
          WHERE chunk.chunking_id = '{spec.chunking_id}'
          GROUP BY chunk.doc_id
        )
    """


def _document_rows(cursor: duckdb.DuckDBPyConnection) -> Iterator[_DocumentRows]:
    """The temporary table `document_rows`, in the release's order."""
    last = 0
    while True:
        found = cursor.execute(
            "SELECT table_name, doc_id, rows, digest FROM document_rows WHERE place > ? AND place <= ? "
            "ORDER BY place",
            [last, last + _DOCUMENTS_PER_READ],
        ).fetchall()
        if not found:
            return
        yield from (_DocumentRows(*row) for row in found)
        last += _DOCUMENTS_PER_READ


def _cut(documents: Iterator[_DocumentRows], rows_per_file: int) -> Iterator[list[_DocumentRows]]:
    """Documents of one table by file: a full file ends where the next document's own hash says so."""
    longest = rows_per_file * (1 + _LONGEST_WAIT)
    members: list[_DocumentRows] = []
    rows = 0
    for document in documents:
        chosen = xxhash.xxh64_intdigest(document.doc_id.encode()) % _DOCUMENTS_PER_BORDER == 0
        if rows >= longest or (rows >= rows_per_file and chosen):
            yield members
            members, rows = [], 0
        members.append(document)
        rows += document.rows
    if members:
        yield members


def _link(folder: Path, plan: PlannedFile, earlier: Mapping[str, EarlierFile]) -> ExportedFile | None:
    """The planned file as a link to an earlier one with the same rows, if that one is still as it was."""
    known = earlier.get(plan.rows_sha256)
    if known is None or not known.location.is_file() or file_sha256(known.location) != known.file.sha256:
        return None
    target = folder / plan.path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(known.location, target)
    except OSError:  # a file system without links
        shutil.copyfile(known.location, target)
    return ExportedFile(plan.path, plan.rows, known.file.bytes, known.file.sha256, plan.rows_sha256)


def _write(
    cursor: duckdb.DuckDBPyConnection, spec: ExportSpec, folder: Path, planned: Sequence[PlannedFile]
) -> list[ExportedFile]:
    total = sum(plan.rows for plan in planned)
    cursor.execute(
        f"""
        CREATE OR REPLACE TEMPORARY TABLE row_order AS
        SELECT planned.file, chunk.chunk_id, chunk.doc_id, chunk.text_key,
          row_number() OVER (ORDER BY planned.file, chunk.doc_id, chunk.chunk_index) AS place
        FROM {quoted(spec.dataset)}.chunks AS chunk JOIN planned ON planned.doc_id = chunk.doc_id
        WHERE chunk.chunking_id = ? AND list_contains(?, planned.file)
        """,
        [spec.chunking_id, [plan.number for plan in planned]],
    )
    writer = _Writer(folder, spec, {plan.number: plan for plan in planned})
    with track(f"{spec.dataset}: writing the release", total, "rows") as advance:
        for first in range(1, total + 1, _ROWS_PER_READ):
            cursor.execute(_rows_sql(spec), [first, first + _ROWS_PER_READ - 1])
            for batch in cursor.to_arrow_reader(_ROWS_PER_BATCH):
                writer.take(batch)
                advance(batch.num_rows)
        writer.finish()
    return writer.files


def _rows_sql(spec: ExportSpec) -> str:
    values = {
        spec.vector_column: f"vector.vector AS {quoted(spec.vector_column)}",
        **{
            name: f"chunk.{quoted(name)}"
            for name in ("chunk_id", "doc_id", "chunk_index", "chunk_xxh64", "chunk_text", *_CHUNK_COLUMNS)
        },
        **{
            name: f"coalesce(chunk.attributes[{literal(name)}], '') AS {quoted(name)}"
            for name in spec.section_columns
        },
    }
    selected = ", ".join(values.get(name, f"document.{quoted(name)}") for name in spec.columns)
    return f"""
        SELECT wanted.file AS file, {selected}
        FROM (SELECT * FROM row_order WHERE place BETWEEN ? AND ?) AS wanted
        JOIN {quoted(spec.dataset)}.chunks AS chunk
          ON chunk.chunk_id = wanted.chunk_id AND chunk.chunking_id = '{spec.chunking_id}'
        JOIN {quoted(spec.dataset)}.documents AS document ON document.doc_id = wanted.doc_id
        JOIN {spec.vectors} AS vector ON vector.text_key = wanted.text_key
        ORDER BY wanted.place
    """


def json_vectors(vectors: pa.Array) -> pa.Array:
    """Vectors as the contract has them: JSON lists of numbers, each the shortest that reads back the same.

    Args:
        vectors: List column of float32, all of one length.
    """
    matrix = vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(vectors), -1)
    rows = np.ascontiguousarray(matrix, dtype=np.float32)
    texts = [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]
    return pa.array(texts, pa.binary()).cast(pa.string())


class _Writer:
    """Writes a stream of rows, ordered by planned file, into these files."""

    def __init__(self, folder: Path, spec: ExportSpec, planned: Mapping[int, PlannedFile]) -> None:
        self.files: list[ExportedFile] = []
        self._folder = folder
        self._spec = spec
        self._planned = planned
        self._plan: PlannedFile | None = None
        self._rows = 0
        self._group: list[pa.RecordBatch] = []
        self._group_rows = 0
        self._parquet: pq.ParquetWriter | None = None

    def take(self, batch: pa.RecordBatch) -> None:
        """Writes the rows of a batch."""
        numbers = batch["file"].to_numpy()
        rows = batch.select(self._spec.columns)
        position = self._spec.columns.index(self._spec.vector_column)
        texts = json_vectors(rows.column(position))
        rows = rows.set_column(position, self._spec.vector_column, texts)
        borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, stop in pairwise(borders):
            if start < stop:
                self._begin(self._planned[int(numbers[start])])
                self._add(rows.slice(start, stop - start))

    def finish(self) -> None:
        """Ends the last file."""
        self._end()

    def _begin(self, plan: PlannedFile) -> None:
        if plan is not self._plan:
            self._end()
            self._plan = plan

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
        if not self._group or self._plan is None:
            return
        group = pa.Table.from_batches(self._group).combine_chunks()
        if self._parquet is None:
            target = self._folder / self._plan.path
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
        if self._parquet is not None and self._plan is not None:
            self._parquet.close()
            target = self._folder / self._plan.path
            self.files.append(
                ExportedFile(
                    self._plan.path,
                    self._rows,
                    target.stat().st_size,
                    file_sha256(target),
                    self._plan.rows_sha256,
                )
            )
        self._parquet, self._rows = None, 0
