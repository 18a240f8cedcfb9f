"""The small statements that every layer makes.

What belongs here: reading one number, writing one row, and the time as the lake keeps it. What does not: any
table's name or columns.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb

from mediatech_assets.lake.connection import quoted


def number(cursor: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = ()) -> int:
    """The single whole number that a query gives; 0 when it gives none."""
    row = cursor.execute(sql, list(parameters)).fetchone()
    return int(row[0]) if row else 0


def insert_row(cursor: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, Any]) -> None:
    """Inserts one row.

    Args:
        cursor: In the caller's transaction.
        table: Name of the table, quoted for SQL.
        row: Values by column.
    """
    columns = ", ".join(quoted(name) for name in row)
    cursor.execute(
        f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(row))})", list(row.values())
    )


def utc_now() -> datetime:
    """The time as every table keeps it: UTC, without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)
