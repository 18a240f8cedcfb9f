"""Fixtures that several modules of this tier share.

What belongs here: a double of the hub, and releases to publish there. What does not: fixtures of one module (they
stand in its test file) and of every tier (`../conftest.py`).
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from mediatech_assets.release.stored import StoredRelease
from mediatech_assets_tests.doubles.hub import Hub, serving_hub, without_xet
from mediatech_assets_tests.services.hub_publishing import make_hub_release


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    """A double of the hub, which no variable of the environment leads past."""
    for name in ("HF_TOKEN", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    with serving_hub(tmp_path / "hub") as served, without_xet():
        yield served


@pytest.fixture
def make(tmp_path) -> Callable[..., StoredRelease]:
    """Makes releases for the hub below the test's folder."""
    return partial(make_hub_release, tmp_path / "releases")
