"""Read-only SQL over the lake, for people.

What belongs here: one query in, rows out, with no way to write or to read anything but the lake. What does
not: the platform's own queries.
"""

import json
from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from mediatech_assets.errors import ConfigurationError, LakeError
from mediatech_assets.lake.connection import Lake

_BATCH_ROWS = 10_000

#: Table functions that only look. Others write or read beside DuckDB's own file system, which its settings do
#: not reach: `sqlite_scan` opens any SQLite file, `ducklake_merge_adjacent_files` leaves files in the lake.
_HARMLESS_FUNCTIONS = frozenset(
    (
        "unnest", "range", "generate_series", "repeat", "json_each", "json_tree", "query_table", "summary",
        "read_parquet", "parquet_scan", "parquet_metadata", "parquet_schema", "parquet_file_metadata",
        "parquet_kv_metadata",
        "duckdb_columns", "duckdb_databases", "duckdb_functions", "duckdb_keywords",
        "duckdb_memory", "duckdb_schemas", "duckdb_settings",
        "duckdb_tables", "duckdb_types", "duckdb_views", "pragma_table_info", "pragma_version",
        "ducklake_current_snapshot", "ducklake_last_committed_snapshot", "ducklake_list_files", "ducklake_options",
        "ducklake_snapshots", "ducklake_table_changes", "ducklake_table_deletions", "ducklake_table_info",
        "ducklake_table_insertions",
    )
)  # fmt: skip


def run_query(lake: Lake, query: str, catalogs: Sequence[str]) -> pa.RecordBatchReader:
    """Runs one SELECT.

    Reading alone would not be safe: DuckDB reads any file, so everything but the lake's folder is closed
    before the query runs, and only a single SELECT of harmless functions is taken. The lake is closed for
    good: one query a `Lake`.

    Args:
        lake: The lake, opened for reading.
        query: The SQL.
        catalogs: Catalogs that the query may name.

    Returns:
        The rows; reading them raises what this function does.

    Raises:
        ConfigurationError: not one SELECT, or an error in it.
        LakeError: a catalog cannot be opened.
    """
    _require_select(query)
    cursor = lake.cursor()
    _require_harmless(cursor, query)
    for name in catalogs:
        lake.open(name, {})
    lake.close_to_everything_else(cursor)
    try:
        reader = cursor.execute(query).to_arrow_reader(_BATCH_ROWS)
    except duckdb.Error as error:
        raise _explained(error, catalogs) from error
    return pa.RecordBatchReader.from_batches(reader.schema, _batches(reader, catalogs))


def _batches(reader: pa.RecordBatchReader, catalogs: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows; an error in the middle of them is explained like one at the start."""
    try:
        yield from reader
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise _explained(error, catalogs) from error


def _explained(error: Exception, catalogs: Sequence[str]) -> ConfigurationError | LakeError:
    if isinstance(error, duckdb.IOException):
        return LakeError(f"the lake cannot be read: {error}", "run `mediatech doctor`")
    known = ", ".join(catalogs) or "none yet: run `mediatech update` first"
    return ConfigurationError(
        f"the query failed: {error}", f"tables are named <catalog>.<table>; catalogs: {known}"
    )


def _require_select(query: str) -> None:
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise ConfigurationError(f"the query cannot be parsed: {error}", "write one SELECT") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ConfigurationError("only a single SELECT can be run", "write one SELECT statement")


def _require_harmless(cursor: duckdb.DuckDBPyConnection, query: str) -> None:
    row = cursor.execute("SELECT json_serialize_sql(?)", [query]).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise ConfigurationError("the query is nested too deeply", "write a simpler SELECT") from None
    if tree["error"]:
        raise ConfigurationError("only a single SELECT can be run", "write one SELECT statement")
    refused = sorted(set(_table_functions(tree)) - _HARMLESS_FUNCTIONS)
    if refused:
        raise ConfigurationError(
            f"the query calls {', '.join(refused)}, which can reach beyond the lake",
            "select from tables, which are named <catalog>.<table>",
        )


def _table_functions(tree: object) -> Iterator[str]:
    """Names of the functions that a syntax tree reads from, in lower case."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if node.get("type") == "TABLE_FUNCTION":
                yield node["function"]["function_name"].lower()
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
