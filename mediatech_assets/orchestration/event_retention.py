"""Taking old history out of the Dagster instance: runs, and the polls that no run made.

What belongs here: what may go without changing what the assets are said to be. What does not: texts of an erased
document (`erased_events.py`), and ticks, which `dagster.yaml` lets Dagster itself remove.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    SqlEventLogStorageTable,
)

#: What stands as the run of events that belong to none.
RUNLESS = ""

_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]


def delete_old_runs(instance: DagsterInstance, age: timedelta) -> int:
    """Removes runs that ended longer ago than `age`, with their events; gives their number.

    A run that last made an asset stays, however old: its events say what the asset is.
    """
    needed = set()
    for record in instance.get_asset_records():
        event = record.asset_entry.last_materialization_record
        needed.update(filter(None, (event.run_id if event else None, record.asset_entry.last_run_id)))
    old = instance.get_runs(RunsFilter(statuses=_ENDED, updated_before=datetime.now(UTC) - age))
    unneeded = [run.run_id for run in old if run.run_id not in needed]
    for run_id in unneeded:
        instance.delete_run(run_id)
    return len(unneeded)


def delete_old_polls(instance: DagsterInstance, age: timedelta) -> int:
    """Removes what sensors reported longer ago than `age`, and gives the number of events.

    A poll is an event of its upstream asset and an evaluation of its check, several times a day for ever; Dagster has
    no interface to remove events that belong to no run. The newest of each asset and kind stays.

    Args:
        instance: The instance; one whose events are not kept by SQL is left alone.
        age: How long they are kept.
    """
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    before = (datetime.now(UTC) - age).replace(tzinfo=None)
    with storage.index_transaction() as connection:
        deleted = _delete_events(connection, before)
        _delete_evaluations(connection, before)
    if isinstance(storage, SqliteEventLogStorage):
        with storage.run_connection(RUNLESS) as connection:
            _delete_events(connection, before)  # the same events once more
    return deleted


def _delete_events(connection: sa.Connection, before: datetime) -> int:
    events = SqlEventLogStorageTable
    newest = (
        sa.select(sa.func.max(events.c.id))
        .where(events.c.run_id == RUNLESS)
        .group_by(events.c.asset_key, events.c.dagster_event_type)
    )
    old = sa.and_(events.c.run_id == RUNLESS, events.c.timestamp < before, events.c.id.not_in(newest))
    if sa.inspect(connection).has_table(AssetEventTagsTable.name):
        ids = sa.select(events.c.id).where(old)
        connection.execute(sa.delete(AssetEventTagsTable).where(AssetEventTagsTable.c.event_id.in_(ids)))
    return connection.execute(sa.delete(events).where(old)).rowcount


def _delete_evaluations(connection: sa.Connection, before: datetime) -> None:
    checks = AssetCheckExecutionsTable
    newest = sa.select(sa.func.max(checks.c.id)).group_by(checks.c.asset_key, checks.c.check_name)
    old = sa.and_(
        checks.c.run_id == RUNLESS,
        checks.c.evaluation_event_timestamp < before,
        checks.c.id.not_in(newest),
    )
    connection.execute(sa.delete(checks).where(old))
