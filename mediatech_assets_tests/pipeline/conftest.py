"""Fixtures that several pipeline tests share: days that are played once for all.

Files that share days stay in one worker process of pytest-xdist, or each worker would play them again.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from mediatech_assets_tests.conftest import serving
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
def _homes_outlive_a_test(no_settings_of_the_caller: None) -> None:
    """Homes of this tier are used outside of single tests, too."""


@pytest.fixture(scope="session")
def run(sample_days: Mapping[int, Path], tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """The sample upstream taken in on all its days. Never write inside it: take a copy."""
    return run_sample(sample_days, tmp_path_factory.mktemp("sample-run") / "home")


@pytest.fixture(scope="session")
def truth(mirror_small: Path) -> Truth:
    """What the small mirror must become."""
    return read_truth(mirror_small)


@pytest.fixture(scope="session")
def history(mirror_small: Path, truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> History:
    """The days of the small mirror up to chunks, for every dataset that it has. Never write inside it."""
    with serving(mirror_small) as server:
        return play(server, truth, tmp_path_factory.mktemp("history"), MIRRORED)
