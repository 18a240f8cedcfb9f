"""Fixtures that several pipeline tests share: upstreams that live long, and days that are played once for all."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mediatech_assets.sample_upstream import SAMPLE_DAYS, build_sample_upstream
from mediatech_assets_tests.conftest import MirrorServer, serving
from mediatech_assets_tests.pipeline.history import MIRRORED, History, play
from mediatech_assets_tests.pipeline.truth import Truth, read_truth


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
