"""Fixtures of the tests of faults: installations that work, to be spoiled."""

import shutil
from collections.abc import Callable

import pytest

from mediatech_assets_tests.faults.installation import DATASETS, Installation


@pytest.fixture(scope="session", autouse=True)
def _homes_outlive_a_test(no_settings_of_the_caller: None) -> None:
    """Homes of this tier are used outside of single tests, too."""


@pytest.fixture(scope="session")
def first_day(tmp_path_factory) -> Installation:
    """Documents of every dataset as they are on the sample's day 1, and no more. Never write inside it."""
    folder = tmp_path_factory.mktemp("first-day")
    installation = Installation(folder / "home", folder / "upstream")
    installation.show_day(1)
    installation.update(",".join(DATASETS), code=0)
    return installation


@pytest.fixture(scope="session")
def copy_of_first_day(
    first_day: Installation, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Installation]:
    """Gives copies of the first day's installation, each to be spoiled."""

    def copied() -> Installation:
        folder = tmp_path_factory.mktemp("spoiled")
        shutil.copytree(first_day.home, folder / "home", symlinks=True)
        shutil.copytree(first_day.upstream, folder / "upstream")
        return Installation(folder / "home", folder / "upstream")

    return copied


@pytest.fixture
def installed(copy_of_first_day) -> Installation:
    """A copy of the first day's installation, to be spoiled."""
    return copy_of_first_day()


@pytest.fixture
def empty(tmp_path) -> Installation:
    """Nothing installed yet; the upstream shows its first day."""
    installation = Installation(tmp_path / "home", tmp_path / "upstream")
    installation.show_day(1)
    return installation
