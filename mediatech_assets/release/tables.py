"""Names of the folders of a release that has one folder a table.

What belongs here: from documents to the table that each belongs to, and a name for each table that never changes
again. What does not: what a dataset calls a table (its module of `datasets/`), and files (`export.py`).

A table is one thing, such as a code, that has an identity of its own and a title that may change. Its folder is
named when it is first released, and consumers read it by that name: the lake remembers it in `release_tables`.
"""

import hashlib
from collections.abc import Iterable, Mapping

import duckdb
import pyarrow as pa

from mediatech_assets.lake import quoted
from mediatech_assets.release.table_rule import TableRule

#: Longest name that PostgreSQL keeps whole, where some consumers load a folder as a table.
LONGEST_NAME = 63


def name_tables(cursor: duckdb.DuckDBPyConnection, dataset: str, rule: TableRule | None) -> dict[str, str]:
    """Fills the temporary table `tables`: the folder for every combination of the columns that decide it.

    Args:
        cursor: Cursor whose temporary tables an export uses.
        dataset: Name of the dataset; its catalog is open.
        rule: How its documents are divided; all are one table without.

    Returns:
        Name of the folder by identity, for the tables of today.
    """
    if rule is None:
        cursor.execute(f"CREATE OR REPLACE TEMPORARY TABLE tables AS SELECT '{dataset}' AS table_name")
        return {}
    columns = ", ".join(quoted(name) for name in rule.columns)
    found = cursor.execute(
        f"SELECT {columns}, max({quoted(rule.newest)}) AS newest FROM {quoted(dataset)}.documents GROUP BY ALL"
    ).to_arrow_table()
    documents = found.to_pylist()
    wished = [rule.table(row) for row in documents]
    newest: dict[str, tuple[str, str]] = {}
    for row, table in zip(documents, wished, strict=True):
        wish = (str(row["newest"] or ""), table.name)
        newest[table.identity] = max(wish, newest.get(table.identity, wish))
    given = give_names({identity: name for identity, (_, name) in newest.items()}, _given(cursor, dataset))
    names = pa.array([given[table.identity] for table in wished], pa.string())
    cursor.register("named", found.append_column("table_name", names))
    cursor.execute("CREATE OR REPLACE TEMPORARY TABLE tables AS SELECT * FROM named")
    cursor.unregister("named")
    return given


def give_names(wished: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """A name for each table, unique and never another one than it has.

    Args:
        wished: The name that a table would have, by identity.
        given: Names that tables have, by identity; they stay taken although a table is gone.

    Returns:
        Name by identity, for the tables of `wished`.
    """
    names = {identity: given[identity] for identity in wished if identity in given}
    taken = set(given.values())
    # A table that is nothing but its name has it before one that is only called so; then the oldest identifier.
    for identity in sorted(
        wished.keys() - given.keys(), key=lambda identity: (identity != wished[identity], identity)
    ):
        name = next(name for name in _candidates(wished[identity], identity) if name not in taken)
        names[identity] = name
        taken.add(name)
    return names


def remember_names(cursor: duckdb.DuckDBPyConnection, dataset: str, names: Mapping[str, str]) -> None:
    """Adds the names that are new to `release_tables`, within the caller's transaction."""
    known = _given(cursor, dataset)
    new = sorted(names.items() - known.items())
    if new:
        cursor.executemany(
            f"INSERT INTO {quoted(dataset)}.release_tables (identity, name) VALUES (?, ?)", new
        )


def _given(cursor: duckdb.DuckDBPyConnection, dataset: str) -> dict[str, str]:
    return dict(cursor.execute(f"SELECT identity, name FROM {quoted(dataset)}.release_tables").fetchall())


def _candidates(name: str, identity: str) -> Iterable[str]:
    """The name itself if it is not too long, then cut at a word with more and more of the identity's hash."""
    if len(name) <= LONGEST_NAME:
        yield name
    digest = hashlib.sha256(identity.encode()).hexdigest()
    for digits in (8, 16, 32):
        yield f"{_cut_at_word(name, LONGEST_NAME - digits - 1)}_{digest[:digits]}"


def _cut_at_word(name: str, room: int) -> str:
    if len(name) <= room:
        return name
    # One character more is looked at, so that a word which ends exactly at the limit is kept. The first word is
    # the dataset: what is left of it alone would say nothing.
    kept = name[: room + 1].rpartition("_")[0]
    return kept if "_" in kept else name[:room]
