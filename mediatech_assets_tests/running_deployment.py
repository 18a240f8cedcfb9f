"""The processes of `deploy/compose.yaml`, started without containers: their commands, files, secrets and database.

What belongs here: starting and stopping them, and asking their webservers. What does not: what a test expects, and
the server itself (`postgresql.py`).
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets_tests.deployment import DEPLOY, PROJECT, command_of_image, compose, stages
from mediatech_assets_tests.postgresql import Postgres, free_port

_READY_SECONDS = 240.0
_POLL_SECONDS = 0.25
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")

_LOCATIONS = """
query { workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError {
  __typename ... on PythonError { message }
  ... on RepositoryLocation { repositories { name assetNodes { id } } } } } } } }
"""
_LAUNCH = """
mutation ($parameters: ExecutionParams!) { launchPipelineExecution(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message } ... on InvalidSubsetError { message } } }
"""
_TERMINATE = """
mutation ($id: String!) { terminateRun(runId: $id) {
  __typename ... on TerminateRunFailure { message } ... on PythonError { message } } }
"""
_RUNS = "query { runsOrError { ... on Runs { results { runId status } } } }"


@dataclass(frozen=True, slots=True)
class Webserver:
    """A webserver that answers.

    Args:
        address: Its address, with its prefix.
    """

    address: str

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """What it answers to a GraphQL query."""
        answer = httpx.post(
            f"{self.address}/graphql",
            json={"query": query, "variables": variables},
            timeout=120,
            trust_env=False,
        )
        answer.raise_for_status()
        body = answer.json()
        assert "errors" not in body, json.dumps(body["errors"])
        return body["data"]

    def location(self) -> dict[str, Any]:
        """The one code location, and whether it is loaded."""
        (entry,) = self.ask(_LOCATIONS)["workspaceOrError"]["locationEntries"]
        return entry

    def launch(
        self,
        job: str = "__ASSET_JOB",
        assets: Sequence[Sequence[str]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Asks for a run; the answer, which may be a refusal."""
        selector: dict[str, Any] = {
            "repositoryLocationName": "mediatech",
            "repositoryName": "__repository__",
            "pipelineName": job,
        }
        if assets:
            selector["assetSelection"] = [{"path": list(asset)} for asset in assets]
        parameters = {
            "selector": selector,
            "mode": "default",
            "runConfigData": {},
            "executionMetadata": {
                "tags": [{"key": key, "value": value} for key, value in (tags or {}).items()]
            },
        }
        return self.ask(_LAUNCH, parameters=parameters)["launchPipelineExecution"]

    def terminate(self, run: str) -> None:
        """Asks for the end of a run."""
        ended = self.ask(_TERMINATE, id=run)["terminateRun"]
        assert ended["__typename"] == "TerminateRunSuccess", ended

    def runs(self) -> dict[str, str]:
        """Status of every run."""
        return {run["runId"]: run["status"] for run in self.ask(_RUNS)["runsOrError"]["results"]}

    def end_of(self, run: str, seconds: float = _READY_SECONDS) -> str:
        """Status of a run when it has ended, or when waiting for it has."""
        deadline = time.monotonic() + seconds
        while (status := self.runs()[run]) not in _ENDED and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return status


@dataclass(frozen=True, slots=True)
class Deployment:
    """Running processes.

    Args:
        root: Folder of all that they write, and of their logs (`<service>.log`).
        operators: The operators' webserver.
        reviewers: The reviewers' webserver; its address is that of nothing when it was not asked for.
        environment: What every process of ours gets, secrets apart.
        homes: DAGSTER_HOME of each process, by service.
        code_port: Port of the code location.
    """

    root: Path
    operators: Webserver
    reviewers: Webserver
    environment: Mapping[str, str]
    homes: Mapping[str, Path]
    code_port: int

    def command(self, service: str, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """What a health check does: a command beside the service's own process."""
        return subprocess.run(
            [DEPLOY / "with-secrets.sh", *command],
            env={**self.environment, **variables, "DAGSTER_HOME": str(self.homes[service])},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def logs(self) -> dict[str, str]:
        """What each process printed."""
        return {path.stem: path.read_text(encoding="utf-8") for path in self.root.glob("*.log")}


@contextmanager
def running_deployment(
    root: Path,
    postgres: Postgres,
    *,
    services: Sequence[str] = ("code", "daemon", "webserver", "webserver_reviewers"),
    module: str = "mediatech_assets.definitions",
    instance: str = "",
) -> Iterator[Deployment]:
    """Code location, daemon and webservers, started with the commands of the images and of `compose.yaml`.

    Args:
        root: Where they write.
        postgres: The server of the instance.
        services: Those to start; `code` and `webserver` have to be among them.
        module: What the code location loads.
        instance: Text of `dagster.yaml`; empty: the one of `deploy/`.
    """
    kept = root / "secrets"
    kept.mkdir()
    variables = postgres.variables()
    (kept / "DAGSTER_PG_PASSWORD").write_text(f"{variables.pop('DAGSTER_PG_PASSWORD')}\n", encoding="utf-8")
    # Password files and certificates lie in the same folder, and are no variables.
    (kept / "operators").write_text("nobody:x\n", encoding="utf-8")
    ports = {name: free_port() for name in ("code", "webserver", "webserver_reviewers")}
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MEDIATECH_", "DAGSTER"))
        },
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(PROJECT),  # this tree, whatever is installed
        "SECRETS_FOLDER": str(kept),
        **variables,
        "DAGSTER_COMPUTE_LOGS": str(root / "run_logs"),
        "MEDIATECH_CODE_HOST": "127.0.0.1",
        "MEDIATECH_CODE_PORT": str(ports["code"]),
    }
    settings = {
        "MEDIATECH_HOME": str(root / "home"),
        "MEDIATECH_UPSTREAM_BASE": str(build_sample_upstream(root / "upstream")),
        "MEDIATECH_HUB_NAMESPACE": "",  # as an empty variable of deploy/.env arrives
    }
    homes = {name: root / name for name in services}
    homes["code"] = root / "home" / "dagster"
    for home in homes.values():
        home.mkdir(parents=True)
        for folder in folders_of_the_image():
            (home / folder).mkdir()
        if instance:
            (home / "dagster.yaml").write_text(instance, encoding="utf-8")
        else:
            shutil.copyfile(DEPLOY / "dagster.production.yaml", home / "dagster.yaml")
    found = Deployment(
        root=root,
        operators=Webserver(f"http://127.0.0.1:{ports['webserver']}"),
        reviewers=Webserver(f"http://127.0.0.1:{ports['webserver_reviewers']}/review"),
        environment=environment,
        homes=homes,
        code_port=ports["code"],
    )
    migrated = found.command("code", *compose()["services"]["instance"]["command"])
    assert migrated.returncode == 0, migrated.stderr
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name in services:
            own = settings if name == "code" else {}
            with (root / f"{name}.log").open("wb") as log:
                running[name] = subprocess.Popen(
                    [DEPLOY / "with-secrets.sh", *_here(name, ports.get(name), module)],
                    env={**environment, **own, "DAGSTER_HOME": str(homes[name])},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=root,
                    start_new_session=True,
                )
            if name == "code":
                _wait(lambda: _listens(ports["code"]), running[name], root / "code.log")
        for name, webserver in (("webserver", found.operators), ("webserver_reviewers", found.reviewers)):
            if name in running:
                _wait(lambda webserver=webserver: _answers(webserver), running[name], root / f"{name}.log")
        yield found
    finally:
        for process in reversed(running.values()):
            process.terminate()
        for process in running.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
            # Its children, too: a code location whose runs do not end would outlive it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def folders_of_the_image() -> set[str]:
    """What the image holds in DAGSTER_HOME."""
    made = " ".join(rest for name, rest in stages()["runtime"] if name == "RUN")
    return set(re.findall(r" /var/lib/mediatech/dagster/(\S+)", made))


def _here(service: str, port: int | None, module: str) -> list[str]:
    """The command of a container, on this machine's loopback, a free port and the real workspace file."""
    command = compose()["services"][service].get("command") or command_of_image(service)
    replaced = {
        "0.0.0.0": "127.0.0.1",
        "/etc/mediatech/workspace.yaml": str(DEPLOY / "workspace.production.yaml"),
        "mediatech_assets.definitions": module,
    }
    here = [replaced.get(part, part) for part in command]
    if port is not None:
        here[here.index("--port") + 1] = str(port)
    return here


def _wait(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"{log.stem} is not ready:\n{log.read_text(encoding='utf-8')[-4000:]}")
        time.sleep(_POLL_SECONDS)


def _answers(webserver: Webserver) -> bool:
    try:
        return httpx.get(f"{webserver.address}/server_info", timeout=5, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
