"""Jobs and schedules on a real installation: full refresh, release train, what waits for review, pruning, pools."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from mediatech_assets.definitions import build_defs
from mediatech_assets.layers import BUILT_LAYERS, Layer, Sink, asset_key
from mediatech_assets.orchestration.event_retention import delete_old_runs
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.loading import LOADS_WITH_DATASETS, loads
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.settings import load_settings

NAME = "constit"
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs") / "home"


@pytest.fixture(scope="module")
def definitions(home: Path, sample_days: Mapping[int, Path]) -> dg.Definitions:
    platform = PlatformResource(home=str(home), upstream_base=str(sample_days[2]))
    return build_defs({"platform": platform})


@pytest.fixture(scope="module")
def instance(home: Path, definitions: dg.Definitions) -> Iterator[dg.DagsterInstance]:
    """An instance on disk, which knows pools, where one dataset is up to date."""
    with dagster_instance(load_settings(home=str(home))) as instance:
        job = definitions.resolve_job_def(f"update_{NAME}")
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
        yield instance


def key(layer: Layer) -> dg.AssetKey:
    return dg.AssetKey(asset_key(NAME, layer))


def facts(result: dg.ExecuteInProcessResult, layer: Layer) -> Mapping[str, object]:
    (event,) = result.asset_materializations_for_node(f"{NAME}__{layer.value}")
    return {name: value.value for name, value in event.metadata.items()}


def test_a_full_refresh_reads_every_file_again_and_changes_nothing(instance, definitions):
    update = definitions.resolve_job_def(f"update_{NAME}").execute_in_process(
        instance=instance, run_config=QUIET
    )
    assert facts(update, Layer.DOCUMENTS)["files applied"] == "none"
    job = definitions.resolve_job_def(f"refresh_{NAME}")
    assert set(job.asset_layer.executable_asset_keys) == {key(layer) for layer in BUILT_LAYERS[1:]}
    refresh = job.execute_in_process(instance=instance, run_config=QUIET)
    assert refresh.success
    documents = facts(refresh, Layer.DOCUMENTS)
    assert str(documents["files applied"]).count(".tar.gz") == 3
    assert (documents["added"], documents["changed"], documents["removed"]) == (0, 0, 0)
    assert facts(refresh, Layer.RELEASE)["new"] == "false"


def test_the_release_train_has_a_run_for_each_dataset_with_an_index(instance, definitions):
    schedule = definitions.resolve_schedule_def("release_train")
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=datetime(2026, 3, 15, 4, tzinfo=UTC)
    )
    data = schedule.evaluate_tick(context)
    (request,) = data.run_requests
    assert request.run_key == f"2026-03-15-{NAME}"
    assert request.asset_selection == [key(Layer.EVALUATION), key(Layer.RELEASE)]
    job = definitions.resolve_job_def(schedule.job_name)
    result = job.execute_in_process(
        instance=instance, asset_selection=request.asset_selection, run_config=QUIET
    )
    assert result.success
    (loaded,) = (
        each for each in result.get_asset_check_evaluations() if each.check_name == LOADS_WITH_DATASETS
    )
    assert loaded.passed
    assert "columns" in str(loaded.metadata["detail"].value)


def test_a_release_that_datasets_cannot_load_says_why(tmp_path):
    (tmp_path / "README.md").write_text("---\nconfigs: []\n---\n", encoding="utf-8")
    passed, detail = loads(tmp_path)
    assert not passed
    assert "latest" in detail or "data" in detail


def test_no_job_publishes_by_itself(definitions):
    sinks = {sink.value for sink in Sink}
    for job in definitions.resolve_all_job_defs():
        if not job.name.startswith("__"):
            assert not sinks & {key.path[-1] for key in job.asset_layer.executable_asset_keys}
    for schedule in definitions.schedules:
        assert schedule.execution_timezone == "Europe/Paris"


def test_releases_that_wait_for_a_review_are_listed(instance, definitions):
    assert (
        definitions.resolve_job_def("candidates")
        .execute_in_process(instance=instance, run_config=QUIET)
        .success
    )
    (record,) = instance.fetch_observations(key(Layer.RELEASE), limit=5).records
    assert "waits for a review" in str(record.asset_observation.description)


def test_pruning_keeps_what_is_in_use(instance, definitions):
    result = definitions.resolve_job_def("prune").execute_in_process(instance=instance, run_config=QUIET)
    assert result.success
    update = definitions.resolve_job_def(f"update_{NAME}").execute_in_process(
        instance=instance, run_config=QUIET
    )
    assert all(facts(update, layer)["added"] == 0 for layer in BUILT_LAYERS)


def test_old_runs_go_and_the_runs_that_made_what_is_there_stay(instance):
    before = {run.run_id for run in instance.get_runs()}
    made = {record.asset_entry.last_materialization_record.run_id for record in instance.get_asset_records()}
    assert delete_old_runs(instance, timedelta(days=1)) == 0
    assert delete_old_runs(instance, timedelta(seconds=-5)) == len(before - made)
    assert {run.run_id for run in instance.get_runs()} == before & made
    for layer in BUILT_LAYERS:
        assert instance.get_latest_materialization_event(key(layer)) is not None


_HOLDER = """
import os, sys, time
from mediatech_assets.orchestration.instance import PROCESS_TAG, dagster_instance, process_tag
from mediatech_assets.settings import load_settings
import dagster as dg

@dg.op(pool="dila")
def hold():
    print("held", flush=True)
    time.sleep(60)

@dg.job(executor_def=dg.in_process_executor)
def holds():
    hold()

with dagster_instance(load_settings()) as instance:
    holds.execute_in_process(instance=instance, tags={PROCESS_TAG: process_tag()})
"""


def test_a_killed_command_leaves_no_pool_behind(instance, definitions, home):
    environment = {**os.environ, "MEDIATECH_HOME": str(home)}
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout is not None
    assert any("held" in line for line in holder.stdout)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    pool = instance.event_log_storage.get_concurrency_info("dila")
    assert len(pool.claimed_slots) == 1
    # What every command does first.
    with dagster_instance(load_settings(home=str(home))) as own:
        assert not own.event_log_storage.get_concurrency_info("dila").claimed_slots
        job = definitions.resolve_job_def(f"update_{NAME}")
        assert job.execute_in_process(
            instance=own, asset_selection=[key(Layer.RAW)], run_config=QUIET
        ).success
