"""Dagster as a deployment of one machine runs it: `dagster dev` on the project's own workspace and instance.

What belongs here: starting it on a free port, its address, and ending every process of it. What does not: what is seen
in a browser.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from mediatech_assets.orchestration.instance import prepare_dagster_home
from mediatech_assets.settings import load_settings
from mediatech_assets_tests.postgresql import free_port
from mediatech_assets_tests.process_groups import group_alive

WORKSPACE = Path(__file__).resolve().parents[1] / "workspace.yaml"
LOCATION = "mediatech"

_START_SECONDS = 180.0
_END_SECONDS = 20.0
_POLL_SECONDS = 0.05


@contextmanager
def dagster_server(home: Path, upstream: str, log: Path) -> Iterator[str]:
    """Runs `dagster dev` (webserver, daemon, run queue, code location) while the block runs; gives its address.

    The instance is the installation's own, with the project's `dagster.yaml`, as `mediatech ui` prepares it.

    Args:
        home: MEDIATECH_HOME; may be empty.
        upstream: MEDIATECH_UPSTREAM_BASE: a folder or an address.
        log: File that gets what the processes say.

    Raises:
        RuntimeError: it ended, or did not answer in time; with the end of what it said.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEDIATECH_", "DAGSTER_")) and not name.lower().endswith("_proxy")
    }
    environment["MEDIATECH_HOME"] = str(home)
    environment["MEDIATECH_UPSTREAM_BASE"] = upstream
    environment["DAGSTER_HOME"] = str(_prepared(home))
    port = free_port()  # `dagster dev` does not say which one it took for port 0
    command = [sys.executable, "-m", "dagster", "dev", "-w", WORKSPACE, "-h", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            cwd=WORKSPACE.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_serving(process, url, log)
        yield url
    finally:
        _end(process)


def _prepared(home: Path) -> Path:
    """The instance's folder; this process's own environment stays as it was."""
    before = os.environ.get("DAGSTER_HOME")
    try:
        return prepare_dagster_home(load_settings(home=str(home)))
    finally:
        os.environ.pop("DAGSTER_HOME", None)
        if before is not None:
            os.environ["DAGSTER_HOME"] = before


def _wait_until_serving(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            if httpx.get(f"{url}/server_info", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text("utf-8", errors="replace")[-4_000:]
            raise RuntimeError(f"dagster dev does not answer (exit code {process.returncode}):\n{said}")
        time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the group politely, then surely: none of it may write to the home after."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        if group_alive(process.pid):
            os.killpg(process.pid, wanted)
            _wait_until_gone(process.pid)
    process.wait()


def _wait_until_gone(group: int) -> None:
    deadline = time.monotonic() + _END_SECONDS
    while group_alive(group) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
