"""Read-only SQL over the lake, for people.

What belongs here: one query in, rows out, with no way to write or to read anything but the lake. What does
not: the platform's own queries.
"""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from mediatech_assets.errors import ConfigurationError, LakeError
from mediatech_assets.lake.connection import Lake


def run_query(lake: Lake, query: str, catalogs: Sequence[str]) -> pa.RecordBatchReader:
    """Runs one SELECT.

    Reading alone would not be safe: DuckDB reads any file, so everything but the lake's folder is closed
    before the query runs, and only a single SELECT is taken.

    Args:
        lake: The lake, opened for reading.
        query: The SQL.
        catalogs: Catalogs that the query may name.

    Raises:
        ConfigurationError: not one SELECT, or an error in it.
        LakeError: a catalog cannot be opened.
    """
    for name in catalogs:
        lake.open(name, {})
    _require_select(query)
    cursor = lake.cursor()
    lake.close_to_everything_else(cursor)
    try:
        return cursor.execute(query).to_arrow_reader(10_000)
    except duckdb.IOException as error:
        raise LakeError(f"the lake cannot be read: {error}", "run `mediatech doctor`") from error
    except duckdb.Error as error:
        known = ", ".join(catalogs) or "none yet: run `mediatech update` first"
        raise ConfigurationError(
            f"the query failed: {error}", f"tables are named <catalog>.<table>; catalogs: {known}"
        ) from error


def _require_select(query: str) -> None:
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise ConfigurationError(f"the query cannot be parsed: {error}", "write one SELECT") from error
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ConfigurationError("only a single SELECT can be run", "write one SELECT statement")
