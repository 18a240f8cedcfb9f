"""Taking an erased document out of what Dagster recorded: samples in metadata, problems, output of steps.

What belongs here: the instance's event log and the files below its folder. What does not: any table of the lake.

Events stay, with their times and counts: only the texts in them that name the document are replaced. Dagster has no
interface for that, so the rows of its event log are changed through its own connections.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dagster import DagsterInstance
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageTable,
)

from mediatech_assets.lake.connection import rewrite_database
from mediatech_assets.orchestration.event_retention import RUNLESS

ERASED = "[erased]"

#: Where an event is kept as text.
_COLUMNS = (
    (SqlEventLogStorageTable, "id", "event"),
    (AssetKeyTable, "id", "last_materialization"),
    (AssetKeyTable, "id", "cached_status_data"),
    (AssetCheckExecutionsTable, "id", "evaluation_event"),
)
#: How long a table is waited for that others read.
_TABLE_LOCK_SECONDS = 60
_KEPT_BY_POSTGRESQL = (
    "dumps, standby servers and the write-ahead log of Dagster's PostgreSQL hold its former events: the log until it "
    "is recycled, the others until you remove them"
)


def erase_from_events(
    instance: DagsterInstance, doc_id: str, names: Callable[[str], bool]
) -> tuple[int, Sequence[str]]:
    """Replaces every text of every event that names a document.

    Args:
        instance: The instance.
        doc_id: The document.
        names: Whether a text names it.

    Returns:
        Events changed, and what the storage keeps beyond our reach, in sentences for people.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0, ["Dagster's event log is kept where it could not be searched: samples may show it"]
    with storage.index_connection() as connection:
        changed = _erase(connection, doc_id, names)
        if connection.dialect.name == "postgresql":
            _rewrite_tables(connection)
            return changed, [_KEPT_BY_POSTGRESQL]
    if isinstance(storage, SqliteEventLogStorage):
        for run_id in [*instance.get_run_ids(), RUNLESS]:
            with storage.run_connection(run_id) as connection:
                _erase(connection, doc_id, names)  # a file a run, with the same events once more
    return changed, []


def rewrite_files(folder: Path, doc_id: str, names: Callable[[str], bool]) -> list[str]:
    """Writes anew the databases and the output of steps below the instance's folder that still name a document.

    Args:
        folder: The instance's folder.
        doc_id: The document.
        names: Whether a text names it.

    Returns:
        Files of output that lost lines, by their path below the folder.
    """
    needles = {doc_id.encode(), json.dumps(doc_id)[1:-1].encode()}
    shortened = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".db":
            log = path.with_name(f"{path.name}-wal")
            # The free pages of a database keep what was replaced.
            if any(_holds(file, needles) for file in (path, log) if file.is_file()):
                rewrite_database(path)
        elif not path.name.endswith(("-wal", "-shm")) and _holds(path, needles):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            kept = [line for line in lines if not names(line)]
            if len(kept) < len(lines):
                path.write_text("".join(kept), encoding="utf-8")
                shortened.append(path.relative_to(folder).as_posix())
    return shortened


def _rewrite_tables(connection: sa.Connection) -> None:
    """Writes tables of PostgreSQL anew: replaced rows stay in their files until something needs the room.

    Always, also where no row was changed now: the purge before may have been killed in between.
    """
    connection.execute(sa.text(f"SET lock_timeout = '{_TABLE_LOCK_SECONDS}s'"))
    for name in dict.fromkeys(table.name for table, _, _ in _COLUMNS):
        if sa.inspect(connection).has_table(name):
            # Outside of a transaction: Dagster's connections commit by themselves.
            connection.execute(sa.text(f"VACUUM (FULL) {name}"))


def _erase(connection: sa.Connection, doc_id: str, names: Callable[[str], bool]) -> int:
    changed = 0
    written = json.dumps(doc_id)[1:-1]
    for table, key, column in _COLUMNS:
        if not sa.inspect(connection).has_table(table.name):
            continue
        rows = connection.execute(
            sa.select(table.c[key], table.c[column]).where(table.c[column].contains(written, autoescape=True))
        ).fetchall()
        for row_id, text in rows:
            event = json.loads(text)
            if any(names(value) for value in _texts(event)):
                without = json.dumps(_without(event, names))
                connection.execute(sa.update(table).where(table.c[key] == row_id).values({column: without}))
                changed += column == "event"
    return changed


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _without(value: Any, names: Callable[[str], bool]) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        return ERASED if names(value) else value
    if isinstance(value, dict):
        return {key: _without(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_without(item, names) for item in value]
    return value


def _holds(path: Path, needles: set[bytes]) -> bool:
    overlap = max(map(len, needles))
    tail = b""
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            if any(needle in tail + piece for needle in needles):
                return True
            tail = piece[-overlap:]
    return False
