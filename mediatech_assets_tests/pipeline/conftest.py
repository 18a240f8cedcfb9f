"""Fixtures that several pipeline tests share: upstreams that live long, and days that are played once for all.

Files that share days stay in one worker process of pytest-xdist, or each worker would play them again.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from mediatech_assets.sample_upstream import SAMPLE_DAYS, build_sample_upstream
from mediatech_assets_tests.conftest import MirrorServer, serving
from mediatech_assets_tests.pipeline.history import MIRRORED, History, play
from mediatech_assets_tests.pipeline.sample_run import SampleRun, run_sample
from mediatech_assets_tests.pipeline.truth import Truth, read_truth

#: Files by the fixture whose days they share; any other file stands for itself.
SHARE_DAYS = {
    "run": ("test_sample.py", "test_consumers.py"),
    "history": ("test_mirror.py", "test_words.py", "test_persons.py", "test_kill_anywhere.py"),
}


class SharedDays(LoadFileScheduling):
    """Gives a worker all files that share days, and otherwise file by file."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        for fixture, names in SHARE_DAYS.items():
            if Path(file).name in names:
                return fixture
        return file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SharedDays:
    return SharedDays(config, log)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_caller() -> Iterator[None]:
    """Removes the caller's settings also for homes that outlive one test."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name.startswith("MEDIATECH_") or name == "DAGSTER_HOME":
                environment.delenv(name)
        yield


@pytest.fixture(scope="session")
def sample_days(tmp_path_factory: pytest.TempPathFactory) -> Mapping[int, Path]:
    """The sample upstream on each of its days. Never write inside it."""
    folder = tmp_path_factory.mktemp("sample")
    return {day: build_sample_upstream(folder / f"day{day}", day) for day in SAMPLE_DAYS}


@pytest.fixture(scope="session")
def run(sample_days: Mapping[int, Path], tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """The sample upstream taken in on all its days. Never write inside it: take a copy."""
    return run_sample(sample_days, tmp_path_factory.mktemp("sample-run") / "home")


@pytest.fixture(scope="module")
def mirror(mirror_small: Path) -> Iterator[MirrorServer]:
    """The small mirror on a free port for all tests of a module; each sets the day that it needs."""
    with serving(mirror_small) as server:
        yield server


@pytest.fixture(scope="session")
def truth(mirror_small: Path) -> Truth:
    """What the small mirror must become."""
    return read_truth(mirror_small)


@pytest.fixture(scope="session")
def history(mirror_small: Path, truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The days of the small mirror up to chunks, for every dataset that it has. Never write inside it."""
    with serving(mirror_small) as server:
        return play(server, truth, tmp_path_factory.mktemp("history"), MIRRORED)
