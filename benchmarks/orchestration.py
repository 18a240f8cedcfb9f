"""What Dagster adds to the work: `python -m benchmarks.orchestration [--upstream FOLDER_OR_URL]`.

What belongs here: how long the definitions take to load, one dataset materialised through the UI's own request
(webserver, run queue, daemon, a process of the run's own) against the same layers called from Python, and how long a
browser takes to draw the dataset's lineage. What does not: the work of a layer (`pipeline.py`), and ticks of the
sensors (`automation.py`).

Without `--upstream` it runs on the sample upstream, whose work is over in seconds: that shows the fixed part only. For
the share of a real dataset, point it at a served mirror.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from playwright.sync_api import sync_playwright

from mediatech_assets.layers import BUILT_LAYERS, Layer, Sink
from mediatech_assets.orchestration.jobs import update_job_name
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.workers import default_workers
from mediatech_assets_tests.browser.conftest import ARGUMENTS, PACKAGE
from mediatech_assets_tests.dagster_server import LOCATION, dagster_server
from mediatech_assets_tests.running_deployment import Webserver

_LOADS = 7
_VISITS = 3
_LOAD = """
import sys, time
started = time.perf_counter()
import mediatech_assets.definitions as loaded
loaded.defs.get_repository_def()
print(time.perf_counter() - started, time.process_time())
print(*({"torch", "transformers", "qdrant_client"} & sys.modules.keys()))
"""
_LAYERS = """
import sys
from mediatech_assets.layers import BUILT_LAYERS
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.settings import load_settings
platform = Platform(load_settings())
for layer in BUILT_LAYERS:
    problems = platform.materialise(sys.argv[1], layer).problems
    if problems:
        sys.exit(f"{layer}: {problems}")
platform.close()
"""
_TIMES = """
query ($id: ID!) { runOrError(runId: $id) { ... on Run {
  stepStats { stepKey startTime endTime }
  stats { ... on RunStatsSnapshot { enqueuedTime launchTime startTime endTime } } } } }
"""
_READY_SECONDS = 240.0
_RUN_SECONDS = 3_600.0
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LaunchedRun:
    """Where the time of a run that the UI launched went, in seconds.

    Args:
        total: From the request to the end of the run.
        queued: Until the daemon took it from the queue.
        starting: Until its own process ran its first step.
        steps: Of the steps themselves.
    """

    total: float
    queued: float
    starting: float
    steps: float


def main() -> None:
    """Prints the loads, then a line for each way and round."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", default="", help="folder or URL; the sample upstream when not given")
    parser.add_argument("--dataset", default="service_public", help="the dataset to materialise")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of both ways, each on an empty home")
    asked = parser.parse_args()
    print(
        f"{platform.machine()}, {default_workers()} cores, Python {platform.python_version()}, "
        f"dagster {version('dagster')}; {asked.dataset}, upstream: {asked.upstream or 'sample'}"
    )
    _print_loads()
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as folder:
        root = Path(folder)
        upstream = asked.upstream or str(build_sample_upstream(root / "upstream"))
        for number in range(asked.rounds):
            called = _called(root / f"called{number}", upstream, asked.dataset)
            run, visits = _launched(root / f"launched{number}", upstream, asked.dataset)
            print(
                f"round {number + 1}: called from Python {called:.1f} s, launched in the UI {run.total:.1f} s "
                f"({run.total / called - 1:+.1%}): in the queue {run.queued:.1f} s, starting {run.starting:.1f} s, "
                f"steps {run.steps:.1f} s, the rest {run.total - run.queued - run.starting - run.steps:.1f} s",
                flush=True,
            )
            drawn = ", ".join(f"{seconds:.1f}" for seconds in visits) or "no Chromium here"
            print(f"lineage drawn after (s): {drawn}", flush=True)


def _print_loads() -> None:
    walls, processors = [], []
    for _ in range(_LOADS):
        done = subprocess.run([sys.executable, "-c", _LOAD], capture_output=True, text=True, check=True)
        times, heavy = done.stdout.splitlines()
        if heavy:
            raise SystemExit(f"the definitions import {heavy}")
        wall, processor = map(float, times.split())
        walls.append(wall)
        processors.append(processor)
    print(
        f"definitions: {min(walls):.2f} to {max(walls):.2f} s, median {statistics.median(walls):.2f} s "
        f"(processor {statistics.median(processors):.2f} s), {_LOADS} processes",
        flush=True,
    )


def _called(home: Path, upstream: str, dataset: str) -> float:
    """Seconds of a process that materialises the layers one after the other."""
    environment = {**os.environ, "MEDIATECH_HOME": str(home), "MEDIATECH_UPSTREAM_BASE": upstream}
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", _LAYERS, dataset], env=environment, check=True)
    return time.perf_counter() - started


def _launched(home: Path, upstream: str, dataset: str) -> tuple[LaunchedRun, list[float]]:
    """The same through `dagster dev`, once it shows the definitions; then seconds until the lineage is drawn."""
    with dagster_server(home, upstream, home.with_suffix(".log")) as url:
        server = Webserver(url)
        deadline = time.monotonic() + _READY_SECONDS
        while server.location()["loadStatus"] != "LOADED" and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        asked_at = time.time()
        run_id = server.launch(update_job_name(dataset))["run"]["runId"]
        status = server.end_of(run_id, _RUN_SECONDS)
        if status != "SUCCESS":
            raise SystemExit(f"the run is {status} after {time.time() - asked_at:.0f} s: its page tells why")
        return _times(server.ask(_TIMES, id=run_id)["runOrError"], asked_at), list(
            _seconds_to_draw(url, dataset)
        )


def _seconds_to_draw(url: str, dataset: str) -> Iterator[float]:
    """On each visit of a browser that was never there; nothing without Chromium."""
    program = shutil.which(PACKAGE)
    if program is None:
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        for _ in range(_VISITS):
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            started = time.perf_counter()
            page.goto(f"{url}/locations/{LOCATION}/asset-groups/{dataset}/lineage")
            for name in (*Layer, *Sink):
                page.get_by_text(name.value, exact=True).filter(visible=True).first.wait_for()
            yield time.perf_counter() - started
            page.context.close()
        browser.close()


def _times(run: dict, asked_at: float) -> LaunchedRun:
    stats, steps = run["stats"], run["stepStats"]
    if len(steps) != len(BUILT_LAYERS):
        raise SystemExit(f"{len(steps)} steps instead of {len(BUILT_LAYERS)}")
    first = min(step["startTime"] for step in steps)
    return LaunchedRun(
        total=stats["endTime"] - asked_at,
        queued=stats["launchTime"] - asked_at,
        starting=first - stats["launchTime"],
        steps=sum(step["endTime"] - step["startTime"] for step in steps),
    )


if __name__ == "__main__":
    main()
