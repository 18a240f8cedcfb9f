"""Parquet files in the published layout, streamed from the lake.

What belongs here: the published columns, the order of rows, and the cut into files. What does not: identity,
manifest and card of a release (`build.py`, `card.py`).

The layout is a contract with consumers: `data/<name>-latest/<table>_part_<n>.parquet`, with one folder a
table for datasets of several tables; rows ordered by document and chunk; no document split over two files;
the embedding as a JSON string.

An export first plans its files from identifiers and hashes alone. A file whose rows are those of a file of the
release before is linked instead of written. For that, files are cut at documents that their own identifiers
choose: a document more or less at the beginning leaves the borders behind it where they were.

Within a file that is written again, pages begin where the values themselves say so, and are small: who stores files
by their content keeps what did not change (docs/decisions/0015-what-a-release-uploads.md).
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from mediatech_assets.errors import MediatechError
from mediatech_assets.lake import Lake, literal, quoted
from mediatech_assets.progress import track
from mediatech_assets.records import file_sha256
from mediatech_assets.release.ordered import Parts, ordered_rows
from mediatech_assets.release.table_rule import TableRule
from mediatech_assets.release.tables import name_tables

#: Changes whenever the same rows would be written otherwise.
EXPORT_VERSION = "4"

#: How vectors are written: `json` (text, the published contract) or `float32` (a list of numbers).
Encoding = Literal["json", "float32"]

#: One document in so many may begin a file: sparse enough that a few rows more or less choose the same one.
_DOCUMENTS_PER_BORDER = 256
#: Part of `rows_per_file` that a file may be longer while it waits for such a document.
_LONGEST_WAIT = 0.1

_DOCUMENTS_PER_READ = 50_000
_ROWS_PER_GROUP = 5_000
#: Pages of 2 to 8 KiB: one of the default size, 256 KiB to 1 MiB, changes with any of its 20 to 80 vectors.
_PAGES = {"min_chunk_size": 2 * 1024, "max_chunk_size": 8 * 1024, "norm_level": 2}
_FLOAT32_LIST = pa.list_(pa.field("element", pa.float32()))
#: Folder for rows on their way into order.
_UNORDERED = ".unordered"
#: How far the length of a normalised vector may be from 1.
_NORM_TOLERANCE = 1e-3
#: Published columns that live in `chunks`; every other one is of `documents`, of a section's attributes, or the vector.
CHUNK_COLUMNS = ("chunk_id", "doc_id", "chunk_index", "chunk_xxh64", "chunk_text", "text", "context")
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
        dimensions: Length of a vector.
        normalised: Whether vectors have length 1.
        encoding: How vectors are written.
        tables: How documents are divided into folders; none for one table.
        section_columns: Published columns whose values are attributes of the chunk's section.
    """

    dataset: str
    published_name: str
    published_columns: tuple[str, ...]
    chunking_id: str
    vectors: str
    vector_column: str
    rows_per_file: int
    dimensions: int
    normalised: bool
    encoding: Encoding = "json"
    tables: TableRule | None = None
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
        rows_sha256: SHA-256 over everything its rows were made of; empty for files beside the data.
        bad_vectors: Vectors of it that nobody can search with: of another length, not finite, not normalised.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    rows_sha256: str = ""
    bad_vectors: int = 0


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote or linked.

    Args:
        files: The files, sorted by path.
        documents: Documents in them.
        split_documents: Documents that stand in more than one of them.
        tables: Name of the folder by identity of the table; empty for a dataset of one table.
    """

    files: list[ExportedFile]
    documents: int
    split_documents: int
    tables: Mapping[str, str]


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
) -> Exported:
    """Writes all rows below `folder`.

    Args:
        lake: The lake; the catalogs of the dataset and of the vectors are open.
        spec: What to write.
        folder: Root of the release.
        earlier: Files that were written before, by `rows_sha256`: they are linked, not written again.

    Raises:
        IncompleteVectorsError: some chunk has no vector.
        LakeError: a row has no document, or tables of the lake contradict each other otherwise.
    """
    with lake.cursor() as cursor:
        _require_vectors(cursor, spec)
        tables = name_tables(cursor, spec.dataset, spec.tables)
        planned = plan_files(cursor, spec)
        linked = [file for plan in planned if (file := _link(folder, plan, earlier or {}))]
        done = {file.path for file in linked}
        waiting = [plan for plan in planned if plan.path not in done]
        written = _write(cursor, spec, folder, waiting) if waiting else []
        documents, split = cursor.execute(
            "SELECT count(DISTINCT doc_id), count(*) - count(DISTINCT doc_id) FROM planned"
        ).fetchone() or (0, 0)
        return Exported(sorted([*linked, *written], key=attrgetter("path")), documents, split, tables)


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
            below = f"{table}/" if spec.tables else ""
            path = f"data/{spec.published_name}-latest/{below}{table}_part_{part}.parquet"
            facts = (
                spec.columns, spec.section_columns, spec.chunking_id, spec.encoding, spec.dimensions, spec.normalised,
                EXPORT_VERSION,
            )  # fmt: skip
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
    with lake.cursor() as cursor:
        rows = cursor.execute(
            f"""
            SELECT count(*), bit_xor(md5_number_lower(chunk_id || ' ' || row_hash)),
              bit_xor(md5_number_upper(chunk_id || ' ' || row_hash))
            FROM {quoted(spec.dataset)}.chunks WHERE chunking_id = ?
            """,
            [spec.chunking_id],
        ).fetchone()
        tables = name_tables(cursor, spec.dataset, spec.tables)
    facts = (
        rows, sorted(tables.items()), spec.columns, spec.chunking_id, spec.rows_per_file, spec.encoding,
        spec.dimensions, spec.normalised, EXPORT_VERSION, extra,
    )  # fmt: skip
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
        for name in (spec.tables.columns if spec.tables else ())
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
    return replace(known.file, path=plan.path)


def _write(
    cursor: duckdb.DuckDBPyConnection, spec: ExportSpec, folder: Path, planned: Sequence[PlannedFile]
) -> list[ExportedFile]:
    total = sum(plan.rows for plan in planned)
    cursor.execute(
        f"""
        CREATE OR REPLACE TEMPORARY TABLE row_order AS
        SELECT planned.file, chunk.chunk_id, chunk.doc_id, chunk.chunk_index, chunk.text_key,
          row_number() OVER (ORDER BY planned.file, chunk.doc_id, chunk.chunk_index) - 1 AS place
        FROM {quoted(spec.dataset)}.chunks AS chunk JOIN planned ON planned.doc_id = chunk.doc_id
        WHERE chunk.chunking_id = ? AND list_contains(?, planned.file)
        """,
        [spec.chunking_id, [plan.number for plan in planned]],
    )
    rows = ordered_rows(cursor, _parts(spec), total, folder / _UNORDERED)
    with (
        track(f"{spec.dataset}: writing the release", total, "rows") as advance,
        closing(rows),
        closing(_Writer(folder, spec, {plan.number: plan for plan in planned})) as writer,
    ):
        for table in rows:
            writer.take(table)
            advance(table.num_rows)
        return writer.finish()


def _parts(spec: ExportSpec) -> Parts:
    """Where the columns of a row come from."""
    chunk_columns = {
        **{name: f"chunk.{quoted(name)}" for name in CHUNK_COLUMNS},
        **{
            name: f"coalesce(chunk.attributes[{literal(name)}], '') AS {quoted(name)}"
            for name in spec.section_columns
        },
    }
    of_chunks = [chunk_columns[name] for name in spec.columns if name in chunk_columns]
    of_documents = [
        f"document.{quoted(name)}"
        for name in spec.columns
        if name not in chunk_columns and name != spec.vector_column
    ]
    dataset = quoted(spec.dataset)
    return Parts(
        chunks=f"""
            SELECT row_order.place, row_order.file, {", ".join(of_chunks)}
            FROM {dataset}.chunks AS chunk JOIN row_order ON row_order.chunk_id = chunk.chunk_id
              AND row_order.doc_id = chunk.doc_id AND row_order.chunk_index = chunk.chunk_index
            WHERE chunk.chunking_id = {literal(spec.chunking_id)}
        """,
        vectors=f"""
            SELECT row_order.place, stored.vector AS {quoted(spec.vector_column)}
            FROM {spec.vectors} AS stored JOIN row_order ON row_order.text_key = stored.text_key
        """,
        documents=f"""
            SELECT wanted.stretch, {", ".join(["document.doc_id", *of_documents])}
            FROM {dataset}.documents AS document
            JOIN (SELECT DISTINCT doc_id, place // $length AS stretch FROM row_order) AS wanted
              ON wanted.doc_id = document.doc_id
        """,
    )


def json_vectors(matrix: np.ndarray) -> pa.Array:
    """Vectors as the contract has them: JSON lists of numbers, each the shortest that reads back the same.

    Args:
        matrix: float32, shape `(rows, dimensions)`.
    """
    texts = [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in matrix]
    offsets = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    # JSON of numbers is ASCII: nothing has to be looked at or copied again.
    return pa.StringArray.from_buffers(len(texts), pa.py_buffer(offsets), pa.py_buffer(b"".join(texts)))


def parquet_options(spec: ExportSpec, schema: pa.Schema) -> dict[str, Any]:
    """How files are written; the same for everyone who wants the same bytes.

    Args:
        spec: What is written.
        schema: Columns of the files.
    """
    large = {"text", "chunk_text", spec.vector_column}
    # The smallest and largest value of a page of text find nothing, and would be two whole texts in each page's head.
    plain = [name for name in schema.names if name not in large]
    options: dict[str, Any] = {
        "compression": "zstd",
        "write_page_index": True,
        "use_content_defined_chunking": _PAGES,
        "write_statistics": plain,
        "use_dictionary": [name for name in plain if name not in ("chunk_id", "chunk_xxh64")],
    }
    if spec.encoding == "float32":
        # The bytes of like weight beside each other: signs and exponents shrink, the rest does not.
        options["column_encoding"] = {f"{spec.vector_column}.list.element": "BYTE_STREAM_SPLIT"}
    return options


class _Writer:
    """Writes a stream of rows, ordered by planned file, into these files.

    Parquet is made on a thread of its own, one row group at a time, while the next one is prepared.
    """

    def __init__(self, folder: Path, spec: ExportSpec, planned: Mapping[int, PlannedFile]) -> None:
        self._folder = folder
        self._spec = spec
        self._planned = planned
        self._plan: PlannedFile | None = None
        self._group: list[pa.Table] = []
        self._group_rows = 0
        self._bad_vectors = 0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="parquet")
        self._pending: Future[None] | None = None
        self._parquet: pq.ParquetWriter | None = None
        self._files: list[ExportedFile] = []

    def take(self, rows: pa.Table) -> None:
        """Writes the rows of a table with the columns of the release and `file`."""
        numbers = rows.column("file").to_numpy()
        rows = rows.select(self._spec.columns)
        borders = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        for start, stop in pairwise(borders):
            if start < stop:
                self._begin(self._planned[int(numbers[start])])
                self._add(rows.slice(start, stop - start))

    def finish(self) -> list[ExportedFile]:
        """Ends the last file and gives all of them."""
        self._end()
        self._wait()
        return self._files

    def close(self) -> None:
        """Ends the thread, whatever happened."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._parquet is not None:
            self._parquet.close()

    def _begin(self, plan: PlannedFile) -> None:
        if plan is not self._plan:
            self._end()
            self._plan = plan

    def _add(self, rows: pa.Table) -> None:
        """Gathers rows and writes groups of the full size: files must not depend on how rows came."""
        while rows.num_rows:
            taken = rows.slice(0, _ROWS_PER_GROUP - self._group_rows)
            self._group.append(self._encoded(taken))
            self._group_rows += taken.num_rows
            rows = rows.slice(taken.num_rows)
            if self._group_rows == _ROWS_PER_GROUP:
                self._hand_over()

    def _encoded(self, rows: pa.Table) -> pa.Table:
        """The rows with their vectors as they are written; bad vectors are counted."""
        position = self._spec.columns.index(self._spec.vector_column)
        lists = rows.column(position).combine_chunks()
        matrix, bad = _matrix(lists, self._spec)
        self._bad_vectors += bad
        if self._spec.encoding == "json":
            written = json_vectors(matrix) if matrix is not None else _json_lists(lists)
        else:
            written = lists.cast(_FLOAT32_LIST)
        return rows.set_column(position, self._spec.vector_column, written)

    def _hand_over(self) -> None:
        """Lets the thread write the group, after the one before."""
        if self._group and self._plan is not None:
            group = pa.concat_tables(self._group)
            self._group, self._group_rows = [], 0
            self._wait()
            self._pending = self._thread.submit(self._write_group, self._folder / self._plan.path, group)

    def _write_group(self, target: Path, group: pa.Table) -> None:
        if self._parquet is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            options = parquet_options(self._spec, group.schema)
            self._parquet = pq.ParquetWriter(target, group.schema, **options)
        self._parquet.write_table(group.combine_chunks(), row_group_size=_ROWS_PER_GROUP)

    def _end(self) -> None:
        self._hand_over()
        if self._plan is not None:
            self._wait()
            self._pending = self._thread.submit(self._finish_file, self._plan, self._bad_vectors)
        self._plan, self._bad_vectors = None, 0

    def _finish_file(self, plan: PlannedFile, bad_vectors: int) -> None:
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        target = self._folder / plan.path
        size, sha256 = target.stat().st_size, file_sha256(target)
        self._files.append(ExportedFile(plan.path, plan.rows, size, sha256, plan.rows_sha256, bad_vectors))

    def _wait(self) -> None:
        if self._pending is not None:
            self._pending.result()
        self._pending = None


def _matrix(lists: pa.ListArray, spec: ExportSpec) -> tuple[np.ndarray | None, int]:
    """Vectors as rows of a matrix, none if their lengths differ, and how many cannot be searched with."""
    lengths = np.diff(lists.offsets.to_numpy())
    right = (lengths == spec.dimensions) & lists.is_valid().to_numpy(zero_copy_only=False)
    if not right.all():
        return None, int(np.count_nonzero(~right))
    matrix = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), spec.dimensions)
    good = np.isfinite(matrix).all(axis=1)
    if spec.normalised:
        with np.errstate(over="ignore", invalid="ignore"):
            squares = np.einsum("ij,ij->i", matrix, matrix)
            good &= np.abs(np.sqrt(squares) - 1) <= _NORM_TOLERANCE
    return matrix, int(np.count_nonzero(~good))


def _json_lists(lists: pa.ListArray) -> pa.Array:
    """As `json_vectors`, of vectors whose lengths differ: a release of them is built, and cannot be approved."""
    return pa.array(
        [None if row is None else orjson.dumps(row).decode() for row in lists.to_pylist()], pa.string()
    )
