"""Dagster's instance on a real PostgreSQL: what our commands do with it, and what they say when it cannot be used.

What belongs here: commands on one machine. What does not: the processes of a deployment
(`test_deploy_processes.py`), and many runs at once (`test_concurrent_runs.py`).
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.execution.plan.instance_concurrency_context import InstanceConcurrencyContext

from mediatech_assets.definitions import build_defs
from mediatech_assets.errors import InstanceError
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.erasure import purge
from mediatech_assets.orchestration.event_retention import delete_old_polls
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.polling import poll_event
from mediatech_assets.orchestration.pools import POOLS
from mediatech_assets.orchestration.storage import storage_works
from mediatech_assets.release.approval import Person
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings
from mediatech_assets_tests.command_line import mediatech
from mediatech_assets_tests.deployment import DEPLOY, PROJECT
from mediatech_assets_tests.postgresql import Postgres, free_port, running_postgresql

_DATASETS = ("travail_emploi", "cnil", "constit")
_LIMIT_SECONDS = 300


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def upstream(tmp_path_factory) -> Path:
    return build_sample_upstream(tmp_path_factory.mktemp("upstream"))


@pytest.fixture
def instance_home(home) -> Path:
    """The platform's folder with the instance of a deployment, as an administrator lays it there."""
    _configure(home, (DEPLOY / "dagster.production.yaml").read_text(encoding="utf-8"))
    return home


@pytest.fixture
def on_postgres(instance_home, postgres, monkeypatch) -> Path:
    """The platform's folder with a configuration that names an empty database."""
    database = f"empty_{secrets.token_hex(4)}"
    postgres.create(database)
    _set(monkeypatch, postgres.variables(database), instance_home)
    return instance_home


def _configure(home: Path, text: str) -> None:
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    (home / "dagster" / "dagster.yaml").write_text(text, encoding="utf-8")


def _set(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str], home: Path) -> None:
    for name, value in {**variables, "DAGSTER_COMPUTE_LOGS": str(home / "dagster" / "storage")}.items():
        monkeypatch.setenv(name, value)


def test_first_commands_at_once_make_one_sound_storage(on_postgres, postgres, upstream, monkeypatch):
    """Dagster's tables are made by the first of them alone; nothing is kept in SQLite besides."""
    monkeypatch.setenv("MEDIATECH_UPSTREAM_BASE", str(upstream))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    command = [
        sys.executable,
        "-m",
        "mediatech_assets.cli",
        "update",
        "--layers",
        "raw",
        "--json",
        "--datasets",
    ]
    with ExitStack() as running:
        started = {
            dataset: running.enter_context(
                subprocess.Popen(
                    [*command, dataset], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            )
            for dataset in _DATASETS
        }
        for dataset, process in started.items():
            output, errors = process.communicate(timeout=_LIMIT_SECONDS)
            assert process.returncode == 0, f"{dataset}: {output}{errors}"
            assert json.loads(output)["datasets"][dataset]["layers"]["raw"]
            assert "Retrying" not in errors

    database = os.environ["DAGSTER_PG_DB"]
    assert postgres.value("SELECT count(*) FROM alembic_version", database) == "1"
    runs = postgres.value("SELECT count(*) FROM runs WHERE status = 'SUCCESS'", database)
    assert runs == str(len(_DATASETS))
    assert postgres.value("SELECT count(*) FROM concurrency_limits", database) == str(len(POOLS))
    assert not list((on_postgres / "dagster").rglob("*.db"))


def test_a_purge_leaves_nothing_of_the_document_in_the_files_of_the_database(on_postgres, postgres, upstream):
    name = "service_public"
    update = (on_postgres, "update", "--datasets", name, "--layers")
    mediatech(*update, "raw", upstream_base=str(upstream))
    _leave_values_unpacked(postgres)
    mediatech(*update, "documents", upstream_base=str(upstream))
    platform = Platform(load_settings(upstream_base=str(upstream)))
    rows = mediatech(
        on_postgres, "sql", f"SELECT doc_id FROM {name}.documents ORDER BY doc_id", "--json"
    ).json
    shown = _sample(platform, name)
    doc_id = next(row["doc_id"] for row in rows["rows"] if row["doc_id"] in shown)
    assert len(_files_of_tables(postgres, doc_id)) > 1, "the search itself finds files and rows"

    erasure = purge(platform, name, doc_id, "asked for", Person("Jeanne Martin", "declared"))
    platform.close()

    assert erasure.removed["events of Dagster"] >= 1
    assert any("write-ahead log of Dagster's PostgreSQL" in line for line in erasure.remains)
    assert _files_of_tables(postgres, doc_id) == []
    assert "[erased]" in _sample(platform, name)


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
def test_old_polls_go_and_the_newest_of_each_asset_stays(home, storage, request):
    if storage == "postgresql":
        request.getfixturevalue("on_postgres")
    upstreams = [dg.AssetKey(asset_key(name, Layer.UPSTREAM)) for name in _DATASETS]
    with dagster_instance(load_settings(home=str(home))) as instance:
        for number in range(4):
            for name, key in zip(_DATASETS, upstreams, strict=True):
                instance.report_runless_asset_event(poll_event(name, str(number), str(number)))
                judged = dg.AssetCheckEvaluation(asset_key=key, check_name="recent", passed=True)
                instance.report_runless_asset_event(judged)
        assert delete_old_polls(instance, timedelta(days=1)) == 0
        gone = delete_old_polls(instance, timedelta(seconds=-5))
        assert gone >= 3 * len(_DATASETS)
        assert delete_old_polls(instance, timedelta(seconds=-5)) == 0
        for key in upstreams:
            (record,) = instance.fetch_materializations(key, limit=10).records
            made = record.asset_materialization
            assert made is not None
            assert made.tags == {"dagster/data_version": "3"}
            check = dg.AssetCheckKey(key, "recent")
            assert len(instance.event_log_storage.get_asset_check_execution_history(check, limit=10)) == 1


def test_a_run_that_waits_for_a_pool_sleeps_until_it_may_ask_again(home, caplog):
    """Dagster's own answer is never above zero: a run that waits would ask all the time."""
    build_defs()
    run = dg.DagsterRun("updates_a_dataset")
    with dagster_instance(load_settings(home=str(home))) as instance:
        instance.event_log_storage.claim_concurrency_slot(POOLS[0], "another-run", "raw")
        with InstanceConcurrencyContext(instance, run) as context, caplog.at_level("INFO", "mediatech"):
            assert not context.claim(POOLS[0], "cnil__raw")
            assert 0 < context.interval_to_next_pending_claim_check() < _LIMIT_SECONDS
        instance.event_log_storage.free_concurrency_slots_for_run("another-run")
        with InstanceConcurrencyContext(instance, run) as context:
            assert context.claim(POOLS[0], "cnil__raw")
            assert context.interval_to_next_pending_claim_check() == 0
    assert "cnil__raw waits for its turn" in caplog.text


def test_a_server_that_is_down_is_named_with_the_variables_that_name_it(instance_home, upstream, monkeypatch):
    variables = Postgres(free_port(), "very-secret", Path(), Path()).variables()
    _set(monkeypatch, variables, instance_home)

    ran = mediatech(instance_home, "update", "--datasets", "cnil", code=1)

    _names_everything(
        ran.err, f"127.0.0.1:{variables['DAGSTER_PG_PORT']}", "DAGSTER_PG_HOST", "DAGSTER_PG_PORT"
    )
    finding = _examined(instance_home, upstream, code=1)
    assert finding["state"] == "failure"
    _names_everything(
        f"{finding['found']} {finding['remedy']}", variables["DAGSTER_PG_PORT"], "DAGSTER_PG_PORT"
    )


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("DAGSTER_PG_PASSWORD", "very-secret", "password authentication failed"),
        ("DAGSTER_PG_DB", "no_such_database", "no_such_database"),
        ("DAGSTER_PG_HOST", "nowhere.invalid", "nowhere.invalid"),
        ("DAGSTER_PG_PORT", "five", "DAGSTER_PG_PORT"),
    ],
)
def test_a_wrong_variable_is_named(instance_home, postgres, monkeypatch, name, value, named):
    _set(monkeypatch, {**postgres.variables(), name: value}, instance_home)

    with pytest.raises(InstanceError) as refused:
        storage_works(instance_home / "dagster")

    _names_everything(str(refused.value), named, name)
    assert postgres.password not in str(refused.value)


def test_missing_variables_are_named_all_at_once(instance_home, postgres, monkeypatch):
    _set(monkeypatch, postgres.variables(), instance_home)
    for name in ("DAGSTER_PG_HOST", "DAGSTER_PG_PASSWORD"):
        monkeypatch.delenv(name)

    ran = mediatech(instance_home, "update", "--datasets", "cnil", code=1)

    _names_everything(ran.err, "DAGSTER_PG_HOST, DAGSTER_PG_PASSWORD", "with-secrets")


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (
            "postgresql//dagster:very-secret@127.0.0.1/dagster",
            "postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        ("postgresql://dagster:very-secret@127.0.0.1:{free}/dagster", "127.0.0.1:{free}"),
    ],
)
def test_a_wrong_address_is_refused_without_its_password(home, url, named):
    free = str(free_port())
    _configure(home, yaml.safe_dump({"storage": {"postgres": {"postgres_url": url.replace("{free}", free)}}}))

    ran = mediatech(home, "update", "--datasets", "cnil", code=1)

    _names_everything(ran.err, named.replace("{free}", free), "dagster.yaml")


@pytest.mark.parametrize("text", ["storage: {postgres: 5}\n", "storage: [\n", "nonsense: {}\n"])
def test_a_configuration_that_dagster_cannot_read_is_named(home, text):
    _configure(home, text)

    ran = mediatech(home, "update", "--datasets", "cnil", code=1)

    _names_everything(ran.err, "dagster.yaml cannot be used", "correct it, or remove it")


@pytest.mark.usefixtures("on_postgres")
def test_a_server_that_stops_during_a_command_is_named(postgres):
    """What is committed stays: the same command works when the server is back."""
    settings = load_settings()

    def count_runs_of_a_server_that_stops() -> None:
        with dagster_instance(settings) as instance:
            postgres.stop()
            instance.get_runs_count()

    try:
        with pytest.raises(InstanceError) as refused:
            count_runs_of_a_server_that_stops()
    finally:
        postgres.start()
    _names_everything(str(refused.value), f"127.0.0.1:{postgres.port}", "start the server")
    with dagster_instance(settings) as instance:
        assert instance.get_runs_count() == 0


def test_the_doctor_names_the_server_that_works(on_postgres, postgres, upstream):
    finding = _examined(on_postgres, upstream)
    assert finding["state"] == "ok"
    assert f"PostgreSQL at 127.0.0.1:{postgres.port}" in finding["found"]


def _examined(home: Path, upstream: Path, code: int = 0) -> Mapping[str, str]:
    """What the doctor says of the storage."""
    findings = mediatech(home, "doctor", "--json", code=code, upstream_base=str(upstream)).json["findings"]
    return next(finding for finding in findings if finding["subject"] == "Dagster's storage")


def _sample(platform: Platform, dataset: str) -> str:
    """The rows that the newest event of a dataset's documents shows."""
    key = dg.AssetKey(asset_key(dataset, Layer.DOCUMENTS))
    with dagster_instance(platform.settings) as instance:
        event = instance.get_latest_materialization_event(key)
    assert event is not None
    assert event.asset_materialization is not None
    return str(event.asset_materialization.metadata["sample"].value)


def _leave_values_unpacked(postgres: Postgres) -> None:
    """From now on PostgreSQL packs no long value of a table, so that a search of its files finds every word."""
    postgres.run(
        "psql",
        "--command",
        """
        DO $$ DECLARE long record; BEGIN
            FOR long IN
                SELECT attrelid::regclass AS of_table, attname AS name
                FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
                WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND attstorage = 'x'
            LOOP
                EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', long.of_table, long.name);
            END LOOP;
        END $$
        """,
        database=os.environ["DAGSTER_PG_DB"],
    )


def _files_of_tables(postgres: Postgres, text: str) -> list[str]:
    """Files of tables, of any database, that hold a text, and whether a row does."""
    postgres.run("psql", "--command", "CHECKPOINT")
    found = [
        path.name
        for path in (postgres.folder / "data" / "base").rglob("*")
        if path.is_file() and text.encode() in path.read_bytes()
    ]
    dumped = postgres.run("pg_dump", "--inserts", database=os.environ["DAGSTER_PG_DB"])
    return [*found, *(["a row"] if text in dumped else [])]


def _names_everything(text: str, *named: str) -> None:
    shown = " ".join(text.split())
    for name in named:
        assert name in shown
    assert "very-secret" not in shown
    assert "Traceback" not in shown
