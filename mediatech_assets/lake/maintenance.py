"""Upkeep of a catalog: few large files instead of many small ones, and no more history than is needed.

What belongs here: merging files, dropping deleted rows for good, expiring snapshots and removing files that
nothing names any more, for any catalog. What does not: which snapshots a release needs, and which rows of a
table are garbage.

Nothing here changes a row that a reader sees, and nothing takes a file from a reader that began before: files
go away only when they have been out of use for the grace period.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb

from mediatech_assets.errors import LakeError
from mediatech_assets.lake.connection import Lake, literal, quoted

#: Size of a merged file. The catalog's lock is held while one is written, so others wait a second or two.
_TARGET_FILE_SIZE = "128MB"
#: A file is written anew when this part of its rows was deleted.
_DELETED_PART = 0.1

#: Longer than any query or transaction of ours.
GRACE = timedelta(days=1)

#: Changes of a snapshot that change the rows of tables.
_CHANGES_OF_ROWS = ("tables_inserted_into", "tables_deleted_from")


@dataclass(frozen=True, slots=True)
class Compaction:
    """What an upkeep did to a catalog.

    Args:
        files_before: Files of the tables' present rows and of their deletions, before.
        files_after: The same, after.
        bytes_before: Their size, before.
        bytes_after: Their size, after.
        snapshots_expired: Snapshots that can no longer be read.
        files_removed: Files that were removed from disk.
    """

    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    snapshots_expired: int
    files_removed: int


def compact(
    lake: Lake,
    catalog: str,
    keep_snapshots: Iterable[int] = (),
    *,
    dated_tables: Iterable[str] | None = None,
    grace: timedelta = GRACE,
) -> Compaction:
    """Merges the files of a catalog, expires its old snapshots, and removes files that are out of use.

    Safe beside readers and writers of other processes: each step is a short transaction under the catalog's
    lock, and running it again continues what a killed run left.

    These snapshots stay readable: those named, those younger than the grace period, the newest one, and the
    newest one that changed the rows of each dated table.

    Args:
        lake: The lake, opened for writing.
        catalog: The catalog.
        keep_snapshots: Snapshots that must stay readable, such as those that kept releases name.
        dated_tables: Tables whose last change dates what is made of them, such as a release; all when not given.
            Rows that this change deleted stay on disk until the next one.
        grace: How long snapshots, and files that are out of use, are kept for those who still read them.

    Raises:
        LakeError: the catalog cannot be opened, or a step failed; no row is lost.
    """
    lake.open(catalog, {})
    try:
        files_before, bytes_before = _files(lake, catalog)
        _limit_file_size(lake, catalog)
        for table in _tables(lake, catalog):
            _rewrite(lake, catalog, table)
            _merge(lake, catalog, table)
        until = datetime.now(UTC) - grace
        dated = None if dated_tables is None else frozenset(dated_tables)
        expired = _expire(lake, catalog, frozenset(keep_snapshots), dated, until)
        removed = _remove_files(lake, catalog, until)
        files_after, bytes_after = _files(lake, catalog)
    except duckdb.Error as error:
        lake.close()  # an internal error of DuckDB leaves a connection that answers nothing more
        raise LakeError(
            f"upkeep of the {catalog} catalog failed: {error}",
            "nothing was lost: its rows are as before; run `mediatech doctor`, then the upkeep again",
        ) from error
    return Compaction(files_before, files_after, bytes_before, bytes_after, expired, removed)


def forget(lake: Lake, catalog: str, *, dated_tables: Iterable[str] = ()) -> Compaction:
    """Makes deleted rows unreadable for good: their files, every snapshot that shows them, and the catalog's own pages.

    Unlike `compact` it leaves nothing to readers that began before, and no snapshot that a release names. Running
    it again continues what a killed run left.

    Args:
        lake: The lake, opened for writing.
        catalog: The catalog.
        dated_tables: Tables whose last change dates what is made of them. Their former snapshots go as well, so a row
            of each is written again as it is: the snapshot of that dates them from now on.

    Raises:
        LakeError: the catalog cannot be opened, or a step failed; no row is lost.
        BusyError: another process keeps reading the catalog.
    """
    lake.open(catalog, {})
    try:
        files_before, bytes_before = _files(lake, catalog)
        for table in _tables(lake, catalog):
            with lake.transaction(catalog) as cursor:
                cursor.execute(
                    f"CALL ducklake_rewrite_data_files({literal(catalog)}, {literal(table)}, delete_threshold => 0)"
                )
        for table in dated_tables:
            _date_anew(lake, catalog, table)
        now = datetime.now(UTC) + GRACE  # beyond every snapshot and file
        expired = _expire(lake, catalog, frozenset(), frozenset(), now)
        removed = _remove_files(lake, catalog, now)
        files_after, bytes_after = _files(lake, catalog)
    except duckdb.Error as error:
        lake.close()
        raise LakeError(
            f"the history of the {catalog} catalog cannot be removed: {error}",
            "nothing else was lost; run `mediatech doctor`, then the same command again",
        ) from error
    lake.rewrite_catalog(catalog)
    return Compaction(files_before, files_after, bytes_before, bytes_after, expired, removed)


def _date_anew(lake: Lake, catalog: str, table: str) -> None:
    name = f"{quoted(catalog)}.{quoted(table)}"
    with lake.transaction(catalog) as cursor:
        row = cursor.execute(f"SELECT min(rowid) FROM {name}").fetchone()
        if row and row[0] is not None:
            column = cursor.execute(f"SELECT * FROM {name} LIMIT 0").description or []
            same = quoted(column[0][0])
            cursor.execute(f"UPDATE {name} SET {same} = {same} WHERE rowid = ?", [row[0]])


def _files(lake: Lake, catalog: str) -> tuple[int, int]:
    with lake.cursor() as cursor:
        row = cursor.execute(
            """
            SELECT coalesce(sum(file_count + delete_file_count), 0),
              coalesce(sum(file_size_bytes + delete_file_size_bytes), 0)
            FROM ducklake_table_info(?)
            """,
            [catalog],
        ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _tables(lake: Lake, catalog: str) -> list[str]:
    with lake.cursor() as cursor:
        rows = cursor.execute("SELECT table_name FROM ducklake_table_info(?) ORDER BY 1", [catalog])
        return [name for (name,) in rows.fetchall()]


def _limit_file_size(lake: Lake, catalog: str) -> None:
    """Sets the size of merged files. It is the catalog's own option: inserts cut their files there as well."""
    with lake.transaction(catalog) as cursor:
        cursor.execute(
            f"CALL ducklake_set_option({literal(catalog)}, 'target_file_size', {literal(_TARGET_FILE_SIZE)})"
        )


def _rewrite(lake: Lake, catalog: str, table: str) -> None:
    """Writes files anew that hold many deleted rows."""
    with lake.transaction(catalog) as cursor:
        cursor.execute(
            f"CALL ducklake_rewrite_data_files({literal(catalog)}, {literal(table)}, "
            f"delete_threshold => {_DELETED_PART})"
        )


def _merge(lake: Lake, catalog: str, table: str) -> None:
    """Merges small files, one new file a transaction: the lock is free between two of them."""
    merged = True
    while merged:
        with lake.transaction(catalog) as cursor:
            merged = cursor.execute(
                f"CALL ducklake_merge_adjacent_files({literal(catalog)}, {literal(table)}, "
                "max_compacted_files => 1)"
            ).fetchall()


def _expire(
    lake: Lake, catalog: str, kept: frozenset[int], dated: frozenset[str] | None, until: datetime
) -> int:
    with lake.transaction(catalog) as cursor:
        tables = cursor.execute(
            "SELECT CAST(table_id AS VARCHAR), table_name FROM ducklake_table_info(?)", [catalog]
        ).fetchall()
        ids = {number for number, name in tables if dated is None or name in dated}
        snapshots = cursor.execute(
            """
            SELECT snapshot_id, epoch_us(snapshot_time), changes FROM ducklake_snapshots(?)
            ORDER BY snapshot_id DESC
            """,
            [catalog],
        ).fetchall()
        needed = kept | set(_newest(snapshots, ids))
        limit = until.timestamp() * 1e6
        old = [snapshot for snapshot, made, _ in snapshots if made < limit and snapshot not in needed]
        if old:
            cursor.execute(f"CALL ducklake_expire_snapshots({literal(catalog)}, versions => {old})")
    return len(old)


def _newest(snapshots: list[tuple[int, int, dict[str, list[str]]]], tables: set[str]) -> Iterator[int]:
    """The newest snapshot, and for each table the newest that changed its rows.

    Args:
        snapshots: Number, time and changes, newest first.
        tables: Numbers of the tables.
    """
    undated = set(tables)
    for position, (snapshot, _, changes) in enumerate(snapshots):
        changed = {table for change in _CHANGES_OF_ROWS for table in (changes or {}).get(change, ())}
        if position == 0 or changed & undated:
            yield snapshot
        undated -= changed


def _remove_files(lake: Lake, catalog: str, until: datetime) -> int:
    """Removes files that are out of use, and those that killed writers left.

    Under the lock nobody writes, so that a file without an entry is nobody's.
    """
    older = f"older_than => TIMESTAMPTZ {literal(until.isoformat())}"
    with lake.transaction(catalog) as cursor:
        out_of_use = cursor.execute(
            f"CALL ducklake_cleanup_old_files({literal(catalog)}, {older})"
        ).fetchall()
        orphaned = cursor.execute(
            f"CALL ducklake_delete_orphaned_files({literal(catalog)}, {older})"
        ).fetchall()
    return len(out_of_use) + len(orphaned)
