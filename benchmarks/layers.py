"""What each layer costs, for every dataset and day: `python -m benchmarks.layers --mirror URL --days 0,1,2`.

What belongs here: documents a second from raw to chunks, the share of each layer, what a later day costs
against the first, what a run with nothing new asks and writes, and memory. What does not: the speed of an
embedding model (`embedding.py`): vectors are random numbers here, of the same size, keyed by the same texts.

`--mirror` is the address of a running mirror (`serve.py`), which is told which day to show; without it, the
sample upstream is used, which says what the overhead is. Layers are called in this process, without Dagster.
"""

import argparse
import platform
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import httpx
import numpy as np
import psutil

from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.embeddings.batches import EmbeddedBatch
from mediatech_assets.lake import number
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings
from mediatech_assets.workers import default_workers

_TEXTS_PER_BATCH = 1_024
_SAMPLING_SECONDS = 0.05
#: Layers whose time grows with the upstream and not with a model.
_TIMED = (Layer.RAW, Layer.DOCUMENTS, Layer.CHUNKS, Layer.INDEX, Layer.RELEASE)


@dataclass(frozen=True, slots=True)
class Day:
    """What bringing one dataset to one day cost.

    Args:
        seconds: Wall time by layer.
        documents: Documents held.
        changed: Documents added, changed or removed.
        embedded: Texts that had no vector.
        requests: Requests to the upstream.
        commits: Commits to the lake.
        peak: Largest memory of this process and its workers (PSS), MB.
    """

    seconds: dict[Layer, float]
    documents: int
    changed: int
    embedded: int
    requests: int
    commits: int
    peak: float

    @property
    def total(self) -> float:
        """Seconds of all timed layers."""
        return sum(self.seconds.values())


def main() -> None:
    """Runs every dataset through every day and prints one line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mirror", default="", help="address of a running serve.py; else the sample upstream"
    )
    parser.add_argument("--days", default="", help="days to show, in order (default: 0,1,2)")
    parser.add_argument("--datasets", default="", help="comma-separated; all when not given")
    asked = parser.parse_args()
    days = [int(day) for day in (asked.days or "0,1,2").split(",")]
    names = asked.datasets.split(",") if asked.datasets else list(all_datasets())
    print(
        f"{platform.machine()}, {default_workers()} cores, Python {platform.python_version()}, "
        f"duckdb {version('duckdb')}; upstream: {asked.mirror or 'sample'}; random vectors"
    )
    with tempfile.TemporaryDirectory(prefix="mediatech-bench-") as folder:
        for name in names:
            _measure_dataset(name, Path(folder), asked.mirror, days)


def _measure_dataset(name: str, folder: Path, mirror: str, days: list[int]) -> None:
    first: Day | None = None
    for position, day in enumerate([*days, days[-1]]):
        upstream = _show(mirror, day, folder)
        done = _bring_up_to_date(name, folder / "home", upstream)
        first = first or done
        again = position == len(days)
        print(_line(name, "again" if again else f"day {day}", done, first), flush=True)


def _show(mirror: str, day: int, folder: Path) -> str:
    if not mirror:
        return str(build_sample_upstream(folder / "upstream", day))
    httpx.get(f"{mirror}/_control/day?k={day}", trust_env=False).raise_for_status()
    return mirror


def _bring_up_to_date(name: str, home: Path, upstream: str) -> Day:
    settings = load_settings(home=home, upstream_base=upstream)
    work = Platform(settings)
    dataset = dataset_named(name)
    before = _commits(work, name)
    seconds: dict[Layer, float] = {}
    reports = {}
    embedded = 0
    with _PeakMemory() as memory:
        for layer in Layer:
            if layer is Layer.EMBEDDINGS:
                work.open(dataset)
                embedded = work.store.fill(name, work.chunking(dataset).id, _random_vectors(work)).embedded
            elif layer in _TIMED:
                reports[layer] = work.materialise(name, layer)
                seconds[layer] = reports[layer].seconds
    documents = reports[Layer.DOCUMENTS]
    commits = _commits(work, name) - before
    work.close()
    return Day(
        seconds,
        documents.rows,
        documents.added + documents.changed + documents.removed,
        embedded,
        int(reports[Layer.RAW].facts["requests"]),
        commits,
        memory.megabytes,
    )


def _random_vectors(work: Platform):  # noqa: ANN202 - an `EmbedTexts`
    generator = np.random.default_rng(1)
    dimensions = work.profile.dimensions

    def embed(texts: Iterable[tuple[str, str]]) -> Iterator[EmbeddedBatch[str]]:
        keys = iter(texts)
        while batch := [key for key, _ in islice(keys, _TEXTS_PER_BATCH)]:
            vectors = generator.standard_normal((len(batch), dimensions), dtype=np.float32)
            yield EmbeddedBatch(batch, vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    return embed


def _commits(work: Platform, name: str) -> int:
    work.open(dataset_named(name))
    return number(work.lake.cursor(), "SELECT count(*) FROM ducklake_snapshots(?)", [name])


class _PeakMemory:
    """Largest memory of this process and its children while the block runs."""

    def __init__(self) -> None:
        self.megabytes = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "_PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(_SAMPLING_SECONDS):
            try:
                processes = [own, *own.children(recursive=True)]
                used = sum(process.memory_full_info().pss for process in processes)
            except psutil.Error:  # a worker ended while it was looked at
                continue
            self.megabytes = max(self.megabytes, used / 1e6)


def _line(name: str, title: str, day: Day, first: Day) -> str:
    to_chunks = sum(day.seconds[layer] for layer in (Layer.RAW, Layer.DOCUMENTS, Layer.CHUNKS))
    shares = " ".join(f"{layer.value} {seconds:.2f} s" for layer, seconds in day.seconds.items())
    rate = day.documents / to_chunks if day is first else 0.0
    speed = (
        f"{rate:>7,.0f} documents/s to chunks"
        if rate
        else f"{day.total / first.total:>7.1%} of the first day"
    )
    return (
        f"{name:32} {title:6} {day.documents:>7,} documents {day.changed:>7,} changed {day.embedded:>7,} new texts "
        f"{day.total:>7.2f} s {speed}; {shares}; {day.requests} requests, {day.commits} commits, {day.peak:,.0f} MB"
    )


if __name__ == "__main__":
    main()
