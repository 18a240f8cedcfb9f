"""The processes of `deploy/compose.yaml` without containers: the same commands, files and secrets, and PostgreSQL.

What belongs here: that they find each other, run something, and that the reviewers' webserver refuses to. What
does not: containers and clusters, which cannot run here, and the files' own rules (`unit/test_deploy.py`).
"""

from collections.abc import Iterator

import pytest

from mediatech_assets.orchestration.pools import POOLS
from mediatech_assets_tests.deployment import compose
from mediatech_assets_tests.postgresql import Postgres, running_postgresql
from mediatech_assets_tests.running_deployment import Deployment, folders_of_the_image, running_deployment

_DATASET = "travail_emploi"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of its own."""
    with running_postgresql() as server:
        yield server


@pytest.fixture(scope="module")
def deployment(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Code location, daemon and both webservers."""
    with running_deployment(tmp_path_factory.mktemp("deployment"), postgres) as running:
        yield running


def test_the_webservers_load_the_code_location(deployment):
    for webserver in (deployment.operators, deployment.reviewers):
        entry = webserver.location()
        assert entry["name"] == "mediatech"
        assert entry["loadStatus"] == "LOADED"
        found = entry["locationOrLoadError"]
        assert found["__typename"] == "RepositoryLocation", found
        (repository,) = found["repositories"]
        assert len(repository["assetNodes"]) > 50


@pytest.mark.usefixtures("deployment")
def test_the_pools_are_made_before_any_run_asks_for_them(postgres):
    made = postgres.value(
        "SELECT string_agg(concurrency_key || ' ' || \"limit\", ', ' ORDER BY 1) FROM concurrency_limits"
    )
    assert made == ", ".join(f"{pool} 1" for pool in POOLS)


def test_the_reviewers_webserver_launches_nothing_and_the_daemon_runs_what_operators_launch(deployment):
    asked = {"assets": [[_DATASET, "raw"]]}

    refused = deployment.reviewers.launch(**asked)

    assert refused["__typename"] == "UnauthorizedError"
    assert deployment.operators.runs() == {}

    launched = deployment.operators.launch(**asked)

    assert launched["__typename"] == "LaunchRunSuccess", launched
    assert deployment.reviewers.end_of(launched["run"]["runId"]) == "SUCCESS"
    assert (deployment.homes["code"].parent / "raw" / _DATASET).is_dir()


def test_the_health_checks_of_the_containers_pass(deployment):
    services = compose()["services"]
    code = [*services["code"]["healthcheck"]["test"][1:-1], str(deployment.code_port)]
    daemon = services["daemon"]["healthcheck"]["test"]
    assert daemon[:2] == ["CMD", "with-secrets"]

    for service, command in (("code", code), ("daemon", daemon[2:])):
        checked = deployment.command(service, *command)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_dump_restores_the_history_into_an_empty_server(deployment, postgres, tmp_path):
    """The commands of the runbook; the runs of the tests before stand in the database."""
    counted = "SELECT count(*) FROM runs"
    assert int(postgres.value(counted)) == 1
    dump = tmp_path / "dagster.dump"
    postgres.run("pg_dump", "--format", "custom", "--file", dump)
    postgres.create("restored")

    postgres.run("pg_restore", "--clean", "--if-exists", dump, database="restored")

    assert int(postgres.value(counted, "restored")) == 1
    checked = deployment.command("daemon", "dagster", "run", "list", DAGSTER_PG_DB="restored")
    assert checked.returncode == 0, checked.stderr
    assert "__ASSET_JOB" in checked.stdout + checked.stderr


def test_the_password_stands_in_no_log(deployment, postgres):
    logs = deployment.logs()
    assert len(logs) == 4
    assert not any(postgres.password in log for log in logs.values())


def test_what_has_a_read_only_file_system_writes_nothing_beside_its_configuration(deployment):
    """Last of the module: the processes have worked by now."""
    for service in ("daemon", "webserver", "webserver_reviewers"):
        assert compose()["services"][service]["read_only"] is True
        found = {path.name for path in deployment.homes[service].rglob("*")}
        assert found == {"dagster.yaml", *folders_of_the_image()}, service
