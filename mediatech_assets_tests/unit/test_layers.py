"""The order of the layers, and what people may write for them."""

import pytest

from mediatech_assets.errors import ConfigurationError
from mediatech_assets.layers import (
    BUILT_LAYERS,
    Layer,
    Sink,
    asset_key,
    layer_before,
    parse_layers,
    parse_sink,
)


def test_the_layers_follow_each_other():
    names = [layer.value for layer in Layer]
    assert names == ["upstream", "raw", "documents", "chunks", "embeddings", "index", "evaluation", "release"]
    assert [layer_before(layer).value for layer in BUILT_LAYERS] == names[:-1]
    assert asset_key("legi", Layer.CHUNKS) == ("legi", "chunks")
    with pytest.raises(ValueError, match="first"):
        layer_before(Layer.UPSTREAM)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raw", "raw"),
        ("raw..chunks", "raw documents chunks"),
        ("index..index", "index"),
        (" release , raw ", "raw release"),
        ("raw..documents,documents..chunks,", "raw documents chunks"),
        ("raw..release", "raw documents chunks embeddings index evaluation release"),
    ],
)
def test_what_people_write_for_layers(text, expected):
    assert [layer.value for layer in parse_layers(text)] == expected.split()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no layer"),
        (",", "no layer"),
        ("upstream", "'upstream'"),
        ("RAW", "'RAW'"),
        ("raw..", "''"),
        ("..chunks", "''"),
        ("chunks..raw", "backwards"),
        ("vectors", "'vectors'"),
    ],
)
def test_what_cannot_be_layers_is_named_with_the_remedy(text, said):
    with pytest.raises(ConfigurationError) as raised:
        parse_layers(text)
    assert said in raised.value.problem
    assert "raw" in raised.value.remedy


@pytest.mark.parametrize("text", ["data_gouv", " data-gouv ", "DATA_GOUV"])
def test_what_people_write_for_a_sink(text):
    assert parse_sink(text) is Sink.DATA_GOUV
    assert asset_key("legi", Sink.DATA_GOUV) == ("legi", "data_gouv")


@pytest.mark.parametrize("text", ["", "hub", "hugging face"])
def test_what_is_no_sink_is_named_with_the_remedy(text):
    with pytest.raises(ConfigurationError) as raised:
        parse_sink(text)
    assert repr(text) in raised.value.problem
    assert "huggingface, data_gouv, albert" in raised.value.remedy
