"""What a tick costs in which no upstream changed: `python -m benchmarks.automation`.

What belongs here: the nine datasets on the sample upstream over HTTP; each one's sensor polls, its events are recorded,
and its conditions are evaluated until they find nothing to do, one dataset after the other, as the daemon does. What
does not: the work of a layer (`layers.py`), and the daemon's own messages to the process that holds the definitions.

The instance is one of SQLite on disk, as on a laptop. Before the measured ticks each dataset is made known: its
upstream was polled, and each layer was reported as made after it.
"""

import argparse
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import dagster as dg
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.definitions import build_defs
from mediatech_assets.layers import BUILT_LAYERS, asset_key
from mediatech_assets.orchestration.automation import automation_sensor_name
from mediatech_assets.orchestration.instance import dagster_instance
from mediatech_assets.orchestration.sensors import upstream_sensor_name
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings
from mediatech_assets.workers import default_workers

#: The tenth dataset is an example of how one is added.
_NAMES = [name for name in all_datasets() if name != "capp"]
_TICKS_BEFORE = 3


@dataclass(slots=True)
class Cost:
    """Seconds of one dataset's tick.

    Args:
        poll: The sensor, with what it asks of the upstream and the recording of its events.
        conditions: The evaluation of the conditions of all layers.
    """

    poll: float
    conditions: float


@dataclass(slots=True)
class Dataset:
    """A dataset as the daemon sees it.

    Args:
        name: Its name.
        poll_cursor: What its sensor remembers.
        conditions_cursor: What the evaluation of its conditions remembers.
    """

    name: str
    poll_cursor: str | None = None
    conditions_cursor: AssetDaemonCursor | None = None

    def tick(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> tuple[Cost, int]:
        """One tick: its cost, and how many layers it would start."""
        started = time.perf_counter()
        sensor = definitions.resolve_sensor_def(upstream_sensor_name(self.name))
        resources = dict(definitions.resources or {})
        with dg.build_sensor_context(
            instance=instance, cursor=self.poll_cursor, resources=resources
        ) as context:
            data = sensor.evaluate_tick(context)
        self.poll_cursor = data.cursor
        if not data.asset_events:
            raise SystemExit(f"the upstream of {self.name} was not polled: {data.skip_message}")
        for event in data.asset_events:
            instance.report_runless_asset_event(event)
        polled = time.perf_counter()
        automation = definitions.resolve_sensor_def(automation_sensor_name(self.name))
        result = dg.evaluate_automation_conditions(
            definitions,
            instance,
            asset_selection=automation.asset_selection,
            cursor=self.conditions_cursor,
        )
        self.conditions_cursor = result.cursor
        return Cost(polled - started, time.perf_counter() - polled), result.total_requested

    def report_made(self, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        """Says of each layer that it was made, in order, by the code that is here."""
        graph = definitions.resolve_asset_graph()
        for layer in BUILT_LAYERS:
            key = dg.AssetKey(asset_key(self.name, layer))
            tags = {"dagster/code_version": str(graph.get(key).code_version)}
            instance.report_runless_asset_event(dg.AssetMaterialization(key, tags=tags))


def main() -> None:
    """Prints what each measured tick cost, and the slowest dataset of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=5, help="ticks to measure")
    ticks = parser.parse_args().ticks
    print(
        f"{platform.machine()}, {default_workers()} cores, Python {platform.python_version()}, "
        f"dagster {version('dagster')}; {len(_NAMES)} datasets, sample upstream over HTTP, SQLite"
    )
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as folder, _served(Path(folder)) as url:
        os.environ |= {"MEDIATECH_HOME": f"{folder}/home", "MEDIATECH_UPSTREAM_BASE": url}
        definitions = build_defs()
        with dagster_instance(load_settings()) as instance:
            datasets = [Dataset(name) for name in _NAMES]
            for dataset in datasets:
                dataset.tick(definitions, instance)
                dataset.report_made(definitions, instance)
            for _ in range(_TICKS_BEFORE):
                for dataset in datasets:
                    dataset.tick(definitions, instance)
            for number in range(1, ticks + 1):
                print(_line(number, {each.name: each.tick(definitions, instance) for each in datasets}))


def _line(number: int, done: dict[str, tuple[Cost, int]]) -> str:
    polls = sum(cost.poll for cost, _ in done.values())
    conditions = sum(cost.conditions for cost, _ in done.values())
    slowest = max(done, key=lambda name: done[name][0].poll + done[name][0].conditions)
    return (
        f"tick {number}: {polls + conditions:.2f} s (polls {polls:.2f} s, conditions {conditions:.2f} s), "
        f"{sum(requested for _, requested in done.values())} layers started; slowest: {slowest}"
    )


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The sample upstream as a web server on a free port."""
    upstream = build_sample_upstream(folder / "upstream", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(upstream)))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":
    main()
