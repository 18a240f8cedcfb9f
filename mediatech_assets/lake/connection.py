"""DuckLake catalogs: one SQLite catalog and one data folder for each dataset, one more for vectors.

What belongs here: loading the extensions from their wheels, attaching catalogs, creating tables, and the
one way to write. What does not: queries about any layer.

Why one catalog a dataset: with SQLite, two writers of one catalog make each other's commits fail, even on
distinct tables, and a transaction can write one attached catalog only. So nothing here ever commits to two
catalogs at once, and each write holds the catalog's own lock.
"""

import importlib.resources
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from mediatech_assets import __version__
from mediatech_assets.errors import BusyError, LakeError
from mediatech_assets.lake.locks import exclusive
from mediatech_assets.schemas import LAKE_FORMAT, LAKE_FORMAT_TABLE

_EXTENSIONS = ("sqlite_scanner", "ducklake")
#: Rows of a Parquet row group: a writer holds a whole one in memory, and a document may have 100,000 characters.
_ROWS_PER_GROUP = 8_192
_COMMIT_WAIT_SECONDS = 120.0

#: DuckLake keeps the least and the greatest text that a column ever had, also when its row is long gone. This makes
#: them those of the present files, or unknown where a file does not say.
_BOUNDS_OF_TEXTS = """
    UPDATE ducklake_table_column_stats AS whole SET (min_value, max_value) = (
      SELECT CASE WHEN is_known THEN least END, CASE WHEN is_known THEN greatest END FROM (
        SELECT min(part.min_value) AS least, max(part.max_value) AS greatest,
          min(coalesce(part.null_count = file.record_count OR (
            part.min_value IS NOT NULL AND part.max_value IS NOT NULL), 0)) AS is_known
        FROM ducklake_data_file AS file LEFT JOIN ducklake_file_column_stats AS part
          ON part.data_file_id = file.data_file_id AND part.column_id = whole.column_id
        WHERE file.table_id = whole.table_id
      )
    )
    WHERE EXISTS (
      SELECT 1 FROM ducklake_column AS described WHERE described.table_id = whole.table_id
        AND described.column_id = whole.column_id AND described.column_type IN ('varchar', 'blob')
    )
"""


class Lake:
    """The catalogs below one folder, through one DuckDB connection of this process.

    Args:
        folder: Where catalogs and data lie.
        locks: Folder of the locks between processes.
        memory_limit: Memory that DuckDB may use before it spills to disk, such as `512MB`.
        threads: Threads that DuckDB uses.
        read_only: Attach catalogs for reading only.
    """

    def __init__(
        self,
        folder: Path,
        locks: Path,
        *,
        memory_limit: str = "512MB",
        threads: int = 2,
        read_only: bool = False,
    ) -> None:
        self._folder = folder
        self._locks = locks
        self._memory_limit = memory_limit
        self._threads = threads
        self._read_only = read_only
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._attached: dict[str, set[str]] = {}  # tables by catalog
        self._guard = threading.Lock()

    def close(self) -> None:
        """Closes the connection; it is opened again when needed."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._attached.clear()

    def catalogs(self) -> list[str]:
        """Names of the catalogs that exist on disk."""
        return sorted(path.stem for path in self._folder.glob("*.sqlite"))

    def exists(self, name: str) -> bool:
        """Whether catalog `name` exists on disk."""
        return self._catalog_file(name).is_file()

    def rewrite_catalog(self, name: str) -> None:
        """Writes the file of catalog `name` anew, so that nothing of deleted rows stays in its free pages or its log.

        The connection is closed, and opened again when needed.

        Raises:
            BusyError: another process keeps reading it.
            LakeError: the file cannot be written.
        """
        self.close()
        with exclusive(self._locks, f"lake-{name}", f"writing the {name} catalog anew", _COMMIT_WAIT_SECONDS):
            rewrite_database(self._catalog_file(name), _BOUNDS_OF_TEXTS)

    def open(self, name: str, tables: Mapping[str, pa.Schema]) -> None:
        """Attaches catalog `name`, creating it and the missing ones of its tables.

        Raises:
            LakeError: the catalog cannot be read, or a later version of this program wrote it.
        """
        with self._guard:
            if name not in self._attached:
                self._attached[name] = self._attach(name)
        missing = [table for table in tables if table not in self._attached[name]]
        if missing and not self._read_only:
            self._create_tables(name, {table: tables[table] for table in missing})
            self._attached[name] |= set(missing)

    def has_table(self, name: str, table: str) -> bool:
        """Whether the open catalog `name` has a table."""
        return table in self._attached.get(name, set())

    def table_bytes(self, name: str, table: str) -> int:
        """Bytes of the files of a catalog's table as it is now, without those of former snapshots."""
        with self.cursor() as cursor:
            row = cursor.execute(
                "SELECT file_size_bytes + delete_file_size_bytes FROM ducklake_table_info(?) WHERE table_name = ?",
                [name, table],
            ).fetchone()
        return int(row[0]) if row and row[0] else 0

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor of its own for reading: temporary tables and registered data stay private to it."""
        return self._connect().cursor()

    @contextmanager
    def transaction(
        self, name: str, cursor: duckdb.DuckDBPyConnection | None = None
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A transaction that writes catalog `name` alone; commits at the end of the block.

        Keep the block short: other processes wait for it. An exception rolls everything back.

        Args:
            name: The catalog.
            cursor: A cursor whose temporary tables the transaction needs; a new one when not given.
        """
        own = cursor or self.cursor()
        with exclusive(self._locks, f"lake-{name}", f"writing the {name} catalog", _COMMIT_WAIT_SECONDS):
            own.execute("BEGIN")
            try:
                yield own
                own.execute("COMMIT")
            except BaseException:
                _roll_back(own)
                raise
            finally:
                if cursor is None:
                    own.close()

    def close_to_everything_else(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Closes this process's DuckDB to every file but the lake's, for good: for queries of other people."""
        cursor.execute(f"SET allowed_directories = [{literal(str(self._folder) + '/')}]")
        cursor.execute("SET enable_external_access = false")
        cursor.execute("SET lock_configuration = true")

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if self._connection is None:
            spill = self._folder / "tmp"
            spill.mkdir(parents=True, exist_ok=True)
            connection = duckdb.connect(
                ":memory:",
                config={
                    "autoinstall_known_extensions": "false",
                    "autoload_known_extensions": "false",
                    "memory_limit": self._memory_limit,
                    "threads": str(self._threads),
                    "temp_directory": str(spill),
                    "preserve_insertion_order": "false",
                },
            )
            for extension in _EXTENSIONS:
                connection.execute(f"LOAD '{_extension_file(extension)}'")
            # Whole, or none: an interrupt between two extensions left half of one.
            self._connection = connection
        return self._connection

    def _catalog_file(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite"

    def _attach(self, name: str) -> set[str]:
        """Attaches catalog `name`, whole or not at all; gives its tables."""
        if self._read_only and not self.exists(name):
            raise LakeError(
                f"the lake holds nothing of {name} yet ({self._catalog_file(name)} does not exist)",
                f"run `mediatech update --datasets {name}` first",
            )
        connection = self._connect()
        options = [f"DATA_PATH {literal(str(self._folder / name) + '/')}", "OVERRIDE_DATA_PATH true"]
        if self._read_only:
            options.append("READ_ONLY")
        else:
            # Inlined rows are kept as text in the catalog: nested values and floats belong in Parquet.
            options += ["DATA_INLINING_ROW_LIMIT 0", "META_JOURNAL_MODE 'WAL'", "META_BUSY_TIMEOUT 30000"]
        source = literal(f"ducklake:sqlite:{self._catalog_file(name)}")
        with exclusive(self._locks, f"lake-{name}", f"opening the {name} catalog", _COMMIT_WAIT_SECONDS):
            try:
                connection.execute(f"ATTACH {source} AS {quoted(name)} ({', '.join(options)})")
                self._require_known_format(name)
                return self._tables(name)
            except BaseException as error:
                # Whatever it was (SQLite without room, an interrupt): a second try must not fail because the first one
                # left its catalog attached, which would hide the reason.
                connection.execute(f"DETACH DATABASE IF EXISTS {quoted(name)}")
                if not isinstance(error, duckdb.Error):
                    raise
                raise LakeError(
                    f"the {name} catalog of the lake cannot be opened ({self._catalog_file(name)}): {error}",
                    "if a newer mediatech wrote it, upgrade this one; else restore the file from a backup, "
                    "or remove the lake folder and run `mediatech update` to build it again",
                ) from error

    def _tables(self, name: str) -> set[str]:
        sql = "SELECT table_name FROM duckdb_tables() WHERE database_name = ?"
        return {row[0] for row in self.cursor().execute(sql, [name]).fetchall()}

    def _create_tables(self, name: str, tables: Mapping[str, pa.Schema]) -> None:
        with self.transaction(name) as cursor:
            present = self._tables(name)
            if "lake_format" not in present:
                cursor.execute(f"CALL {quoted(name)}.set_option('parquet_row_group_size', {_ROWS_PER_GROUP})")
                cursor.execute(create_table_sql(f"{quoted(name)}.lake_format", LAKE_FORMAT_TABLE))
                cursor.execute(
                    f"INSERT INTO {quoted(name)}.lake_format VALUES (?, ?)", [LAKE_FORMAT, __version__]
                )
            for table, schema in tables.items():
                if table in present:
                    continue  # another process was first
                cursor.execute(create_table_sql(f"{quoted(name)}.{quoted(table)}", schema, replace=False))

    def _require_known_format(self, name: str) -> None:
        if "lake_format" not in self._tables(name):
            return
        row = self.cursor().execute(f"SELECT format, written_by FROM {quoted(name)}.lake_format").fetchone()
        if row and row[0] > LAKE_FORMAT:
            raise LakeError(
                f"the {name} catalog ({self._catalog_file(name)}) has lake format {row[0]}, written by "
                f"mediatech {row[1]}; this is mediatech {__version__}, which knows up to format {LAKE_FORMAT}",
                "upgrade mediatech-assets, or point MEDIATECH_HOME at another folder",
            )


def rewrite_database(path: Path, *statements: str) -> None:
    """Writes a SQLite file anew and empties its write-ahead log: deleted rows leave both.

    Args:
        path: The file.
        *statements: SQL to run before, in one transaction.

    Raises:
        BusyError: another process keeps reading it.
        LakeError: the file cannot be written.
    """
    try:
        with closing(sqlite3.connect(path, timeout=_COMMIT_WAIT_SECONDS)) as database:
            with database:
                for statement in statements:
                    database.execute(statement)
            database.execute("VACUUM")
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise LakeError(
            f"{path} cannot be written anew: {error}",
            "end the processes that use it, make room on the disk, then run the same command again",
        ) from error
    if busy:
        raise BusyError(f"another process keeps reading {path}", "try again when it has finished, or stop it")


def quoted(identifier: str) -> str:
    """`identifier` quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def create_table_sql(name: str, schema: pa.Schema, *, replace: bool = False, temporary: bool = False) -> str:
    """SQL that makes the table `name` (already quoted) with the columns of `schema`."""
    columns = ", ".join(
        f"{quoted(field.name)} {sql_type(field.type)}{'' if field.nullable else ' NOT NULL'}"
        for field in schema
    )
    create = "CREATE OR REPLACE" if replace else "CREATE"
    return f"{create} {'TEMPORARY ' if temporary else ''}TABLE {name} ({columns})"


def sql_type(kind: pa.DataType) -> str:
    """DuckDB's name of an Arrow type that our schemas use.

    Raises:
        TypeError: a type that no schema of ours uses.
    """
    if pa.types.is_struct(kind):
        fields = ", ".join(f"{quoted(field.name)} {sql_type(field.type)}" for field in kind)
        return f"STRUCT({fields})"
    if pa.types.is_map(kind):
        return f"MAP({sql_type(kind.key_type)}, {sql_type(kind.item_type)})"
    if pa.types.is_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    for matches, name in _SIMPLE_TYPES:
        if matches(kind):
            return name
    raise TypeError(f"no lake type for {kind}")


_SIMPLE_TYPES = (
    (pa.types.is_string, "VARCHAR"),
    (pa.types.is_int64, "BIGINT"),
    (pa.types.is_float64, "DOUBLE"),
    (pa.types.is_float32, "FLOAT"),
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_binary, "BLOB"),
    (pa.types.is_timestamp, "TIMESTAMP"),
)


def _extension_file(name: str) -> Path:
    package = importlib.resources.files(f"duckdb_extension_{name}")
    path = Path(str(package)) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise LakeError(
            f"the DuckDB extension {name} for DuckDB {duckdb.__version__} is not installed (looked for {path})",
            f"pip install 'duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}'",
        )
    return path


def literal(text: str) -> str:
    """A text as SQL writes it, where a parameter is not possible."""
    return "'" + text.replace("'", "''") + "'"


def _roll_back(cursor: duckdb.DuckDBPyConnection) -> None:
    try:
        cursor.execute("ROLLBACK")
    except duckdb.Error:
        # The transaction is already gone when COMMIT itself failed.
        return
