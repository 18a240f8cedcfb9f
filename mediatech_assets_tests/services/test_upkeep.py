"""Upkeep of an installation: stores of profiles that are described no more."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mediatech_assets.embeddings.collect import stores
from mediatech_assets.embeddings.profiles import profile_named
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.upkeep import prune
from mediatech_assets.settings import load_settings


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """An installation whose lake holds a vector of `use`, and one of a model that nobody describes any more."""
    platform = Platform(load_settings(home=str(tmp_path)))
    use = profile_named("use")
    for profile in (use, replace(use, slug="former", revision="another")):
        store = VectorStore(platform.lake, profile)
        store.open()
        vector = np.zeros((1, profile.dimensions), dtype=np.float32)
        vector[0, 0] = 1
        store.add(["0" * 64], vector)
    yield platform
    platform.close()


def test_a_store_of_a_vanished_profile_is_named_and_kept(platform):
    pruned = prune(platform, [])
    (name,) = pruned.stores
    assert name.startswith("former_")
    assert pruned.stores[name] == 1
    assert set(stores(platform.lake)) == {platform.profile.store, name}


@pytest.mark.parametrize("dry_run", [True, False])
def test_it_is_dropped_when_that_is_asked_for(platform, dry_run):
    prune(platform, [], dry_run=dry_run, drop_stores=True)
    left = set(stores(platform.lake))
    assert platform.profile.store in left
    assert (len(left) == 2) is dry_run
