"""Declarative automation over several ticks: what starts by itself, what does not, and how often at most.

Conditions are those of the platform; the assets under them are small ones whose outcome a test decides, so that a tick
costs milliseconds. Runs are real Dagster runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import dagster as dg
import pytest

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.definitions import build_defs
from mediatech_assets.layers import BUILT_LAYERS, Layer, Sink, asset_key
from mediatech_assets.orchestration.automation import (
    RETRY_CRONS,
    automation_condition,
    automation_sensor_name,
)
from mediatech_assets.orchestration.event_retention import delete_old_polls
from mediatech_assets.orchestration.polling import poll_event

GATE = "gate"


@dataclass
class Daemon:
    """A chain of all layers of one dataset under the platform's conditions, and a clock for its ticks.

    Args:
        instance: Where runs and polls are recorded.
        name: Name of the dataset.
        failing: Layers that fail when they run.
        refused: Layers whose blocking check fails.
    """

    instance: dg.DagsterInstance
    name: str = "sample"
    failing: set[Layer] = field(default_factory=set)
    refused: set[Layer] = field(default_factory=set)
    unreadable: bool = False
    now: datetime = datetime(2026, 3, 1, 23, 10, tzinfo=UTC)  # ten past midnight in Paris
    cursor: Any = None

    @cached_property
    def definitions(self) -> dg.Definitions:
        upstream = dg.AssetSpec(self.key(Layer.UPSTREAM))
        return dg.Definitions(
            assets=[upstream, *map(self._asset, BUILT_LAYERS)], executor=dg.in_process_executor
        )

    def key(self, layer: Layer) -> dg.AssetKey:
        return dg.AssetKey(asset_key(self.name, layer))

    def _asset(self, layer: Layer) -> dg.AssetsDefinition:
        before = self.key(list(Layer)[list(Layer).index(layer) - 1])
        readable = [dg.AssetCheckSpec("readable", asset=self.key(layer))] if layer is Layer.RAW else []

        @dg.asset(
            key=self.key(layer),
            deps=[before],
            automation_condition=automation_condition(layer),
            check_specs=[dg.AssetCheckSpec(GATE, asset=self.key(layer), blocking=True), *readable],
        )
        def materialise() -> dg.MaterializeResult:
            if layer in self.failing:
                raise dg.Failure(f"{layer} fails", allow_retries=False)
            gate = dg.AssetCheckResult(check_name=GATE, passed=layer not in self.refused)
            others = [dg.AssetCheckResult(check_name="readable", passed=not self.unreadable)]
            return dg.MaterializeResult(check_results=[gate, *(others if readable else [])])

        return materialise

    def last_run(self, layer: Layer) -> str:
        event = self.instance.get_latest_materialization_event(self.key(layer))
        assert event is not None
        return event.run_id

    def poll(self, version: str) -> None:
        self.instance.report_runless_asset_event(poll_event(self.name, version, version))

    def tick(self, minutes: int = 1) -> list[str]:
        """What the next evaluation requests; nothing is run."""
        self.now += timedelta(minutes=minutes)
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, cursor=self.cursor, evaluation_time=self.now
        )
        self.cursor = result.cursor
        return [layer.value for layer in BUILT_LAYERS if result.get_num_requested(self.key(layer))]

    def run(self, layers: list[str]) -> bool:
        """Runs layers in one run, as the daemon does with what a tick requested."""
        job = self.definitions.resolve_implicit_global_asset_job_def()
        keys = [dg.AssetKey([self.name, layer]) for layer in layers]
        return job.execute_in_process(
            instance=self.instance, asset_selection=keys, raise_on_error=False
        ).success

    def work(self, minutes: int = 1) -> list[str]:
        """A tick, and the run of what it requested."""
        requested = self.tick(minutes)
        if requested:
            self.run(requested)
        return requested

    def night(self, hours: int = 6) -> list[list[str]]:
        """What the hours after midnight request, in one tick each; empty ticks left out. All retries fall into six."""
        found = []
        assert self.tick() == []
        for _ in range(hours):
            if done := self.work(minutes=59):
                found.append(done)
                assert self.tick() == []  # ticks are a minute apart: one always sees the end of a run first
            else:
                self.now += timedelta(minutes=1)
        return found

    def next_night(self) -> list[list[str]]:
        """What the rest of the day and the next night request."""
        day = [done for _ in range(3) if (done := self.work(minutes=5 * 60))]
        self.now = self.now.replace(hour=23, minute=10)
        return day + self.night()


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(instance)


@pytest.fixture
def fresh(daemon: Daemon) -> Daemon:
    """A dataset that is up to date."""
    daemon.tick()
    daemon.poll("1")
    assert daemon.work() == CHAIN
    assert daemon.work() == []
    return daemon


CHAIN = [layer.value for layer in BUILT_LAYERS]


def test_nothing_starts_before_the_upstream_was_seen(daemon):
    assert [daemon.tick() for _ in range(3)] == [[], [], []]


@pytest.mark.parametrize("ticks_before", [0, 1, 3])
def test_the_first_poll_starts_the_chain_once_whichever_sensor_comes_first(daemon, ticks_before):
    for _ in range(ticks_before):
        daemon.tick()
    daemon.poll("1")
    assert daemon.work() == CHAIN
    assert [daemon.work() for _ in range(3)] == [[], [], []]


def test_a_poll_that_shows_the_same_version_starts_nothing(fresh):
    for _ in range(4):
        fresh.poll("1")
        assert fresh.tick(minutes=60) == []


def test_old_polls_go_without_starting_anything(fresh):
    for _ in range(3):
        fresh.poll("1")
        assert fresh.work() == []
    assert delete_old_polls(fresh.instance, timedelta(seconds=-5)) == 3
    fresh.poll("1")
    assert fresh.work() == []
    assert fresh.night() == []
    fresh.poll("2")
    assert fresh.work() == CHAIN


def test_a_new_version_starts_the_chain_once(fresh):
    fresh.poll("2")
    assert fresh.work() == CHAIN
    fresh.poll("2")
    assert fresh.night() == []


def test_what_was_updated_by_hand_is_not_made_again(fresh):
    # `mediatech update` polls, makes all layers in one run, and reports what it saw.
    fresh.poll("2")
    fresh.run(CHAIN)
    assert fresh.night() == []


def test_a_layer_made_by_hand_brings_those_after_it_up_to_date(fresh):
    fresh.run(["documents"])
    assert fresh.work() == CHAIN[CHAIN.index("chunks") :]
    assert fresh.tick() == []


def test_a_version_published_while_raw_runs_is_not_lost(fresh):
    fresh.poll("2")
    requested = fresh.tick()
    fresh.poll("3")  # the next poll, while the run still works on version 2
    fresh.poll("2")  # `raw` reports at its end what it had seen at its beginning
    fresh.run(requested)
    assert fresh.tick() == []
    fresh.poll("3")
    assert fresh.work() == CHAIN


def test_a_failed_blocking_check_stops_what_comes_after(fresh):
    fresh.refused = {Layer.EVALUATION}
    fresh.poll("2")
    before = fresh.last_run(Layer.RELEASE)
    assert fresh.work() == CHAIN
    assert fresh.night() == []
    after = fresh.last_run(Layer.RELEASE)
    assert after == before
    fresh.refused = set()
    fresh.run(["evaluation"])
    assert fresh.work() == ["release"]


@pytest.mark.parametrize("layer", [Layer.RAW, Layer.EMBEDDINGS])
def test_a_failed_run_is_asked_for_again_a_bounded_number_of_times(fresh, layer):
    fresh.failing = {layer}
    fresh.poll("2")
    assert fresh.work() == CHAIN
    left = CHAIN[CHAIN.index(layer) :]
    assert fresh.night() == [left] * len(RETRY_CRONS)
    assert fresh.next_night() == []


def test_something_new_is_a_new_beginning_with_as_many_retries(fresh):
    fresh.failing = {Layer.DOCUMENTS}
    for version in ("2", "3"):
        fresh.poll(version)
        assert fresh.work() == CHAIN
        assert fresh.night() == [CHAIN[1:]] * len(RETRY_CRONS)
        fresh.now = fresh.now.replace(hour=23, minute=10)


def test_polls_of_the_same_version_do_not_start_the_count_again(fresh):
    fresh.failing = {Layer.RAW}
    fresh.poll("2")
    fresh.work()
    done = []
    for _ in range(6):
        fresh.poll("2")
        done += fresh.night(hours=1)
    assert done == [CHAIN] * len(RETRY_CRONS)


def test_a_retry_that_succeeds_ends_it(fresh):
    fresh.failing = {Layer.EMBEDDINGS}
    fresh.poll("2")
    fresh.work()
    fresh.failing = set()
    assert fresh.night() == [CHAIN[CHAIN.index("embeddings") :]]


def test_a_file_that_could_not_be_read_is_looked_at_each_night(fresh):
    fresh.unreadable = True
    fresh.poll("2")
    fresh.work()
    assert fresh.night() == [CHAIN]
    fresh.unreadable = False
    assert fresh.next_night() == [CHAIN]
    assert fresh.next_night() == []


def test_a_run_in_progress_is_waited_for(fresh):
    job = fresh.definitions.resolve_implicit_global_asset_job_def()
    run = fresh.instance.create_run_for_job(job, asset_selection=frozenset({fresh.key(Layer.RAW)}))
    fresh.instance.report_dagster_event(
        dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, job.name), run.run_id
    )
    fresh.poll("2")
    assert fresh.tick() == []
    fresh.instance.report_run_failed(run)
    assert fresh.work() == CHAIN


# --- the platform's own definitions ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    return build_defs()


def test_each_dataset_has_its_own_sensor_and_no_sink_is_in_any(definitions):
    graph = definitions.resolve_asset_graph()
    sinks = {dg.AssetKey(asset_key(dataset, sink)) for dataset in all_datasets() for sink in Sink}
    targeted: set[dg.AssetKey] = set()
    for dataset in all_datasets():
        sensor = definitions.resolve_sensor_def(automation_sensor_name(dataset))
        keys = sensor.asset_selection.resolve(graph)
        assert keys == {dg.AssetKey(asset_key(dataset, layer)) for layer in BUILT_LAYERS}
        assert not targeted & keys
        targeted |= keys
        assert sensor.run_tags == {"dataset": dataset}
    assert not sinks & targeted
    assert all(graph.get(sink).automation_condition is None for sink in sinks)


def test_a_new_version_of_one_dataset_concerns_no_other(definitions):
    first, second, *_ = all_datasets()
    with dg.DagsterInstance.ephemeral() as instance:
        cursors = {}
        for dataset in (first, second):
            cursors[dataset] = _evaluated(definitions, instance, dataset, None).cursor
        instance.report_runless_asset_event(poll_event(first, "2", "2"))
        results = {name: _evaluated(definitions, instance, name, cursors[name]) for name in (first, second)}
        assert results[first].total_requested == len(BUILT_LAYERS)
        assert results[second].total_requested == 0


def _evaluated(definitions, instance, dataset, cursor):
    sensor = definitions.resolve_sensor_def(automation_sensor_name(dataset))
    return dg.evaluate_automation_conditions(
        definitions, instance, asset_selection=sensor.asset_selection, cursor=cursor
    )
