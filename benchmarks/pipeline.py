"""The main job, from upstream to release: `python -m benchmarks.pipeline [--upstream FOLDER_OR_URL]`.

What belongs here: wall time, rows and peak memory of `mediatech update`, as a user runs it: the first run, the
run after it with nothing new, and a first run without embedding. What does not: the speed of single parts
(`embedding.py`, `index.py`).

Without `--upstream` it runs on the sample upstream, which says what the overhead is; for rates, point it at a
served mirror.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.workers import default_workers


def main() -> None:
    """Runs the three updates and prints one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--upstream", default="", help="folder or URL; the sample upstream when not given")
    parser.add_argument("--datasets", default="legi,service_public,travail_emploi", help="comma-separated")
    asked = parser.parse_args()
    print(
        f"{platform.machine()}, {default_workers()} cores, Python {platform.python_version()}, "
        f"dagster {version('dagster')}, duckdb {version('duckdb')}; upstream: {asked.upstream or 'sample'}"
    )
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as folder:
        root = Path(folder)
        upstream = asked.upstream or str(build_sample_upstream(root / "upstream"))
        _measure(
            "first run, raw..chunks", root / "parse", upstream, asked.datasets, ["--layers", "raw..chunks"]
        )
        _measure("first run, all layers", root / "full", upstream, asked.datasets, [])
        _measure("second run, nothing new", root / "full", upstream, asked.datasets, [])


def _measure(title: str, home: Path, upstream: str, datasets: str, options: list[str]) -> None:
    command = [sys.executable, "-m", "mediatech_assets.cli", "update", "--json", "--upstream", upstream]
    environment = {**os.environ, "MEDIATECH_HOME": str(home)}
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--datasets", datasets, *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    seconds = time.monotonic() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"\n{title}: {seconds:.1f} s in all, largest process so far {peak:,.0f} MB")
    for dataset, update in json.loads(done.stdout)["datasets"].items():
        for layer, facts in update["layers"].items():
            rate = facts["added"] / facts["seconds"] if facts["seconds"] else 0.0
            print(
                f"  {dataset:16} {layer:11} {facts['rows']:>8,} rows  +{facts['added']:<7,} ~{facts['changed']:<6,}"
                f" -{facts['removed']:<6,} {facts['seconds']:>7.2f} s {rate:>9,.0f} added/s"
            )


if __name__ == "__main__":
    main()
