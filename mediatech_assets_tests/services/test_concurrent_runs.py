"""Eight runs at once on PostgreSQL, by the queue, the daemon and the code location of a deployment.

What belongs here: that no event is lost, no slot of a pool stays taken, and no lock is in the way. What does not:
what an update makes (tier `pipeline`), and commands on one machine (`test_instance_storage.py`).

`make test` launches one round of runs, which takes about a minute on two cores; `make soak` launches rounds for ten
minutes.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from mediatech_assets.layers import BUILT_LAYERS
from mediatech_assets.orchestration.jobs import update_job_name
from mediatech_assets_tests.deployment import DEPLOY
from mediatech_assets_tests.postgresql import Postgres, running_postgresql
from mediatech_assets_tests.running_deployment import Deployment, running_deployment
from mediatech_assets_tests.services.concurrent_runs_location import (
    FOLDER,
    HELD,
    MATERIALIZATIONS,
    MESSAGES,
    POOLS,
    RUNS,
)

#: For how long new rounds are launched after the first one.
SECONDS = float(os.environ.get("MEDIATECH_SOAK_SECONDS", "0"))
AT_ONCE = 8

_DATASETS = ("travail_emploi", "cnil", "constit")
_UPDATES_A_ROUND = 1
_POLL_SECONDS = 1.0
_LIMIT_SECONDS = 500.0
#: What PostgreSQL or Dagster say when runs are in each other's way.
_TROUBLE = re.compile(
    r"deadlock|database is locked|could not (?:obtain|serialize)|lock timeout|too many (?:clients|connections)|"
    r"remaining connection slots|OperationalError|DagsterPostgresException|canceling statement",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def deployment(postgres, tmp_path_factory) -> Iterator[Deployment]:
    """The deployment's instance with eight runs at once, and slots of ended runs that are free at once, not later."""
    instance = yaml.safe_load((DEPLOY / "dagster.production.yaml").read_text(encoding="utf-8"))
    instance["concurrency"]["runs"]["max_concurrent_runs"] = AT_ONCE
    instance["run_monitoring"] |= {"free_slots_after_run_end_seconds": 1, "poll_interval_seconds": 2}
    with running_deployment(
        tmp_path_factory.mktemp("concurrent"),
        postgres,
        services=("code", "daemon", "webserver"),
        module="mediatech_assets_tests.services.concurrent_runs_location",
        instance=yaml.safe_dump(instance),
    ) as running:
        yield running


@pytest.fixture
def instance(deployment, postgres, monkeypatch) -> Iterator[DagsterInstance]:
    """The instance that the processes share, seen from here."""
    for name, value in postgres.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_COMPUTE_LOGS", str(deployment.root / "run_logs"))
    with DagsterInstance.from_config(str(deployment.homes["daemon"])) as opened:
        yield opened


def test_runs_at_once_lose_no_event_and_leave_no_slot_taken(deployment, instance, postgres):
    rounds = Rounds(deployment, instance)
    started = time.monotonic()
    while not rounds.held or time.monotonic() < started + SECONDS:
        rounds.run_one()

    for run in rounds.crowds:
        assert_no_event_of_a_crowd_is_missing(instance, run)
    for run in rounds.updates:
        assert_every_layer_is_recorded(instance, run)
    assert_assets_show_every_materialization(instance, len(rounds.crowds) + len(rounds.held))
    assert_no_slot_is_taken(instance)
    said = {**deployment.logs(), "postgres": (postgres.folder / "log").read_text(encoding="utf-8")}
    trouble = [line for text in said.values() for line in text.splitlines() if _TROUBLE.search(line)]
    assert trouble == []
    print(
        f"{len(rounds.crowds) + len(rounds.held)} runs in {len(rounds.held)} rounds of {AT_ONCE} at once, "
        f"{len(rounds.updates)} updates, {postgres.value('SELECT count(*) FROM event_logs')} events, "
        f"{time.monotonic() - started:.0f} s"
    )


@dataclass(slots=True)
class Rounds:
    """Rounds of runs: eight that work at once, one of which is ended while it holds a slot, and updates beside them.

    Args:
        deployment: The processes.
        instance: Their instance.
        crowds: Runs that are to succeed.
        held: Runs that are to be ended, one a round.
        updates: Runs that update a dataset.
    """

    deployment: Deployment
    instance: DagsterInstance
    crowds: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    updates: list[str] = field(default_factory=list)

    def run_one(self) -> None:
        """Launches a round and waits until all of it has ended as it should."""
        folder = self.deployment.root / "rounds" / str(len(self.held))
        folder.mkdir(parents=True)
        tags = {FOLDER: str(folder), RUNS: str(AT_ONCE)}
        held = self._launched("crowd", {**tags, HELD: "yes"})
        crowds = [self._launched("crowd", tags) for _ in range(AT_ONCE - 1)]
        first = len(self.updates)
        updates = [
            self._launched(update_job_name(_DATASETS[number % len(_DATASETS)]), {})
            for number in range(first, first + _UPDATES_A_ROUND)
        ]
        holds = folder.parent / f"{held}.holds"
        self._wait(holds.exists, [held])
        assert holds.exists(), self._why({held: "ended too early"})
        self.deployment.operators.terminate(held)
        self._wait(lambda: False, [held, *crowds, *updates])
        ended = self._statuses([held, *crowds, *updates])
        expected = dict.fromkeys((*crowds, *updates), dg.DagsterRunStatus.SUCCESS)
        assert ended == {held: dg.DagsterRunStatus.CANCELED, **expected}, self._why(ended)
        self.held.append(held)
        self.crowds += crowds
        self.updates += updates

    def _launched(self, job: str, tags: dict[str, str]) -> str:
        launched = self.deployment.operators.launch(job, tags=tags)
        assert launched["__typename"] == "LaunchRunSuccess", launched
        return launched["run"]["runId"]

    def _wait(self, happened: Callable[[], bool], runs: Sequence[str]) -> None:
        """Until something happened or all these runs have ended."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not happened():
            found = self._statuses(runs)
            if all(status in FINISHED_STATUSES for status in found.values()):
                return
            assert time.monotonic() < deadline, self._why(found)
            time.sleep(_POLL_SECONDS)

    def _statuses(self, runs: Sequence[str]) -> dict[str, dg.DagsterRunStatus]:
        found = self.instance.get_runs(dg.RunsFilter(run_ids=list(runs)))
        return {run.run_id: run.status for run in found}

    def _why(self, statuses: Mapping[str, object]) -> str:
        """What the runs say of their failures."""
        failures = [
            f"{run} {entry.step_key}: {entry.dagster_event.event_specific_data}"
            for run in statuses
            for entry in self.instance.all_logs(run)
            if entry.dagster_event is not None and entry.dagster_event.is_failure
        ]
        return "\n".join([str(statuses), *failures, self.deployment.logs()["code"][-2000:]])


def assert_no_event_of_a_crowd_is_missing(instance: DagsterInstance, run: str) -> None:
    """Every step once from start to success, every message and every materialisation once."""
    entries = instance.all_logs(run)
    happened = Counter(
        (entry.dagster_event_type, entry.step_key) for entry in entries if entry.dagster_event is not None
    )
    for step in ("together", "embed", "index"):
        for kind in (dg.DagsterEventType.STEP_START, dg.DagsterEventType.STEP_SUCCESS):
            assert happened[kind, step] == 1, (run, step, kind)
    for kind in (
        dg.DagsterEventType.RUN_ENQUEUED,
        dg.DagsterEventType.RUN_STARTING,
        dg.DagsterEventType.RUN_START,
        dg.DagsterEventType.RUN_SUCCESS,
    ):
        assert happened[kind, None] == 1, (run, kind)
    messages = Counter(entry.user_message for entry in entries if " message " in entry.user_message)
    assert messages == {f"{pool} message {number}": 1 for pool in POOLS for number in range(MESSAGES)}, run
    made = Counter(
        (entry.asset_materialization.asset_key.path[-1], entry.asset_materialization.metadata["number"].value)
        for entry in entries
        if entry.asset_materialization is not None
    )
    assert made == {(pool, number): 1 for pool in POOLS for number in range(MATERIALIZATIONS)}, run


def assert_every_layer_is_recorded(instance: DagsterInstance, run: str) -> None:
    """The update's own events: each layer made once, in order."""
    made = [
        entry.asset_materialization.asset_key.path[-1]
        for entry in instance.all_logs(run)
        if entry.asset_materialization is not None
    ]
    layers = [layer.value for layer in BUILT_LAYERS]
    assert [layer for layer in made if layer in layers] == layers, run


def assert_assets_show_every_materialization(instance: DagsterInstance, runs: int) -> None:
    """Read as sensors and the UI read them: by asset, page by page."""
    for pool in POOLS:
        found: list[int] = []
        cursor = None
        while True:
            page = instance.fetch_materializations(
                dg.AssetKey(["crowd", pool]), limit=100, cursor=cursor, ascending=True
            )
            found += [record.storage_id for record in page.records]
            cursor = page.cursor
            if not page.has_more:
                break
        assert len(found) == len(set(found)) == runs * MATERIALIZATIONS, pool


def assert_no_slot_is_taken(instance: DagsterInstance) -> None:
    """Also of the runs that were ended while they held one."""
    storage = instance.event_log_storage
    for pool in storage.get_concurrency_keys():
        deadline = time.monotonic() + 120
        while (found := storage.get_concurrency_info(pool)).claimed_slots and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        assert (len(found.claimed_slots), len(found.pending_steps)) == (0, 0), found
        assert found.slot_count == 1, found
    assert set(POOLS) <= set(storage.get_concurrency_keys())
