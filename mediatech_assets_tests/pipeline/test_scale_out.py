"""Heavy layers spread over workers: the same tables and vectors as one process makes, also when a worker is killed.

Celery workers and the broker are real processes; a worker's process is killed by the kernel, in the middle of a result.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dagster import AssetKey, AssetRecordsFilter, DagsterInstance, DagsterRun, DagsterRunStatus

from mediatech_assets.definitions import build_defs
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.instance import prepare_dagster_home
from mediatech_assets_tests.conftest import IN_CI
from mediatech_assets_tests.pipeline.installation import Installation

FOLD, SNAPSHOT = "legi", "service_public"
DAY = 2
LAYERS = (Layer.DOCUMENTS, Layer.CHUNKS, Layer.EMBEDDINGS)
#: Several shards of either kind out of the few texts of the sample.
SHARD_BYTES = {"scale_out_parse_bytes": "25000", "scale_out_embed_bytes": "6000"}

PACKAGE = "redis-server"
LAKE_WORKER, OTHER_WORKER = "lake@here", "other@here"
SECONDS = 240.0


@dataclass(frozen=True)
class Workers:
    """A broker and two workers on one home.

    Args:
        installation: The installation that they work on.
        settings: Settings of a run that is to use them.
        dying_words: A worker's process that finds this file dies of it.
    """

    installation: Installation
    settings: Mapping[str, str]
    dying_words: Path


@pytest.fixture(scope="module")
def fetched(sample_days, tmp_path_factory) -> Installation:
    """Raw files of both datasets, and nothing made of them. Never write inside it."""
    installation = Installation(tmp_path_factory.mktemp("fetched") / "home")
    for dataset in (FOLD, SNAPSHOT):
        installation.materialised(sample_days[DAY], dataset, (Layer.RAW,))
    return installation


@pytest.fixture(scope="module")
def alone(fetched, sample_days, tmp_path_factory) -> Installation:
    """What one process makes of them."""
    installation = fetched.copied_to(tmp_path_factory.mktemp("alone") / "home")
    for dataset in (FOLD, SNAPSHOT):
        installation.materialised(sample_days[DAY], dataset, LAYERS)
    return installation


@pytest.fixture(scope="module")
def workers(fetched, tmp_path_factory) -> Iterator[Workers]:
    """Two Celery workers, of which only one serves the steps that open the lake."""
    folder = tmp_path_factory.mktemp("workers")
    installation = fetched.copied_to(folder / "home")
    with ExitStack() as running:
        broker = running.enter_context(redis(folder))
        settings = {"scale_out": "celery", "celery_broker": broker, **SHARD_BYTES}
        environment = {**environment_of(installation, settings), "DYING_WORDS": str(folder / "die")}
        for name, queues in ((LAKE_WORKER, "dagster,mediatech-work"), (OTHER_WORKER, "mediatech-work")):
            log = folder / f"{name}.log"
            command = ["celery", "-A", "mediatech_assets_tests.pipeline.mortal_worker", "worker"]
            options = ["-n", name, "-Q", queues, "--concurrency", "1", "--loglevel", "info"]
            process = running.enter_context(started([*command, *options], environment, log))
            wait_for(lambda log=log: " ready." in log.read_text("utf-8"), process, log)
        yield Workers(installation, settings, folder / "die")


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Debian's Redis on a socket, keeping nothing; gives its URL."""
    program = shutil.which(PACKAGE)
    if program is None:
        reason = f"no broker: install Debian's package {PACKAGE} (apt-get install {PACKAGE})"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    socket, log = folder / "redis.sock", folder / "redis.log"
    # A program of its own name, not `python -m`.
    options = [
        "--port",
        "0",
        "--unixsocket",
        str(socket),
        "--save",
        "",
        "--appendonly",
        "no",
        "--dir",
        str(folder),
    ]
    with started([program, *options], dict(os.environ), log) as process:
        wait_for(socket.exists, process, log)
        yield f"redis+socket://{socket}"


@contextmanager
def started(
    command: list[str], environment: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process with all that it starts, which is gone when the block ends."""
    program = command if Path(command[0]).is_absolute() else [sys.executable, "-m", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            program,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(happened: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not happened():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{process.args} does not start:\n{log.read_text('utf-8')}")
        time.sleep(0.02)


def environment_of(installation: Installation, settings: Mapping[str, str]) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("MEDIATECH_")},
        "MEDIATECH_HOME": str(installation.home),
        "DAGSTER_HOME": str(installation.settings.dagster_home),
        **{f"MEDIATECH_{name.upper()}": value for name, value in settings.items()},
    }


def scaled_out(
    installation: Installation, dataset: str, layers: tuple[Layer, ...], settings: Mapping[str, str]
) -> DagsterRun:
    """Materialises layers in a run that Dagster's command launches; it has to succeed."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DAGSTER_HOME", "")
        prepare_dagster_home(installation.settings)
    chosen = " or ".join(f'key:"{dataset}/{layer.value}"' for layer in layers)
    command = [
        "-m",
        "dagster",
        "asset",
        "materialize",
        "-m",
        "mediatech_assets.definitions",
        "--select",
        chosen,
    ]
    done = subprocess.run(
        [sys.executable, *command],
        env=environment_of(installation, settings),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with instance_of(installation) as instance:
        run = instance.get_runs(limit=1)[0]
    assert run.status is DagsterRunStatus.SUCCESS
    return run


@contextmanager
def instance_of(installation: Installation) -> Iterator[DagsterInstance]:
    with DagsterInstance.from_config(str(installation.settings.dagster_home)) as instance:
        yield instance


def starts_of_shards(installation: Installation, run: DagsterRun, layer: Layer) -> Counter[tuple[str, str]]:
    """How often each shard's step was begun, by the step and the Celery worker."""
    with instance_of(installation) as instance:
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    starts: Counter[tuple[str, str]] = Counter()
    for event in events:
        if event.step_key and f"__{layer.value}__work[" in event.step_key and event.is_engine_event:
            for name, value in event.engine_event_data.metadata.items():
                if name == "Celery worker":
                    starts[event.step_key, str(value.value)] += 1
    return starts


def assert_same_documents(made: Installation, alone: Installation, dataset: str) -> None:
    """Same tables but for the times of commits, and no shard left."""
    held, expected = made.holdings(dataset), alone.holdings(dataset)
    times = {"first_seen", "changed_at"}

    def timeless(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        return {key: {name: row[name] for name in row.keys() - times} for key, row in rows.items()}

    assert held.documents
    assert timeless(held.documents) == timeless(expected.documents)
    assert sorted(held.tombstones) == sorted(expected.tombstones)
    assert held.applied == expected.applied
    assert held.refused == expected.refused
    assert [path for path in made.settings.scale_out_folder.rglob("*") if path.is_file()] == []


def assert_same(made: Installation, alone: Installation, dataset: str) -> None:
    """Same tables, and same vectors but for the last bits, which vary with the texts of a batch."""
    assert_same_documents(made, alone, dataset)
    held = made.holdings(dataset)
    assert held.chunks == alone.holdings(dataset).chunks
    ours, theirs = vectors(made, held.text_keys), vectors(alone, held.text_keys)
    assert ours.keys() == theirs.keys() == held.text_keys
    for key, vector in ours.items():
        assert np.allclose(vector, theirs[key], atol=1e-5), key


def vectors(installation: Installation, keys: set[str]) -> dict[str, list[float]]:
    [(store,)] = installation.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'embeddings' AND table_name <> 'lake_format'"
    )
    found = installation.rows(f"SELECT text_key, vector FROM embeddings.{store}")
    assert len(found) == len({key for key, _ in found}), "a vector is stored twice"
    return {key: vector for key, vector in found if key in keys}


def test_processes_of_one_machine_make_what_one_process_makes(fetched, alone, tmp_path):
    installation = fetched.copied_to(tmp_path / "home")
    layers = (Layer.DOCUMENTS,)
    run = scaled_out(installation, SNAPSHOT, layers, {"scale_out": "multiprocess", **SHARD_BYTES})
    assert_same_documents(installation, alone, SNAPSHOT)
    key = AssetKey([SNAPSHOT, Layer.DOCUMENTS.value])
    with instance_of(installation) as instance:
        steps = [step.step_key for step in instance.get_run_step_stats(run.run_id)]
        [record] = instance.fetch_materializations(AssetRecordsFilter(asset_key=key), limit=1).records
        asset = build_defs().resolve_asset_graph().get(key)
        checked = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(asset.check_keys))
    assert sum("__work[" in step for step in steps) > 1, steps
    # The asset is the one that a single process makes.
    made = record.asset_materialization
    assert made is not None
    assert made.tags is not None
    assert made.tags["dagster/code_version"] == asset.code_version
    assert {"dagster/column_schema", "dagster/row_count", "sample"} <= made.metadata.keys()
    assert set(checked) == asset.check_keys


def test_celery_workers_make_what_one_process_makes(workers, alone):
    run = scaled_out(workers.installation, FOLD, LAYERS, workers.settings)
    assert_same(workers.installation, alone, FOLD)
    for layer in (Layer.DOCUMENTS, Layer.EMBEDDINGS):
        starts = starts_of_shards(workers.installation, run, layer)
        assert {worker for _, worker in starts} == {LAKE_WORKER, OTHER_WORKER}
        assert set(starts.values()) == {1}


def test_a_killed_worker_costs_its_shard_alone(workers, alone, sample_days):
    workers.installation.materialised(sample_days[DAY], SNAPSHOT, (Layer.DOCUMENTS, Layer.CHUNKS))
    workers.dying_words.touch()
    run = scaled_out(workers.installation, SNAPSHOT, (Layer.EMBEDDINGS,), workers.settings)
    assert not workers.dying_words.exists(), "nobody was killed"
    starts: Counter[str] = Counter()
    for (step, _), times in starts_of_shards(workers.installation, run, Layer.EMBEDDINGS).items():
        starts[step] += times
    assert sorted(starts.values()) == [*(1 for _ in range(len(starts) - 1)), 2], "one shard was done again"
    assert_same(workers.installation, alone, SNAPSHOT)
