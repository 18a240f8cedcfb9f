"""Column lineage and code versions: published columns have origins that exist, and versions follow their stage."""

from dataclasses import replace

import pytest

from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.code_versions import code_version
from mediatech_assets.orchestration.column_lineage import column_lineage
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.schemas import CHUNKS, RAW_FILES, VECTORS, documents_schema
from mediatech_assets.settings import load_settings

DATASETS = tuple(all_datasets())

pytestmark = pytest.mark.usefixtures("home")


def schemas(dataset):
    return {
        Layer.RAW: RAW_FILES,
        Layer.DOCUMENTS: documents_schema(dataset.metadata_schema),
        Layer.CHUNKS: CHUNKS,
        Layer.EMBEDDINGS: VECTORS,
    }


@pytest.mark.parametrize("name", DATASETS)
def test_every_origin_is_a_column_of_a_layer_of_the_dataset(name):
    dataset = dataset_named(name)
    known = {
        (name, layer.value, column) for layer, schema in schemas(dataset).items() for column in schema.names
    }
    published = Platform(load_settings()).published_schema(dataset)
    for layer, schema in {**schemas(dataset), Layer.RELEASE: published}.items():
        for origins in column_lineage(dataset, layer, schema.names).deps_by_column.values():
            assert {(*origin.asset_key.path, origin.column_name) for origin in origins} <= known


@pytest.mark.parametrize("name", DATASETS)
def test_every_published_column_comes_from_somewhere(name):
    dataset = dataset_named(name)
    columns = Platform(load_settings()).published_schema(dataset).names
    lineage = column_lineage(dataset, Layer.RELEASE, columns).deps_by_column
    assert list(lineage) == columns
    [vector] = lineage[next(column for column in columns if column.startswith("embeddings_"))]
    assert (vector.asset_key.path, vector.column_name) == ([name, "embeddings"], "vector")


def test_what_is_embedded_comes_from_sections_and_from_what_the_heading_reads():
    lineage = column_lineage(dataset_named("constit"), Layer.CHUNKS, CHUNKS.names).deps_by_column
    assert {origin.column_name for origin in lineage["chunk_text"]} == {
        "sections",
        "title",
        "number",
        "nature",
        "solution",
    }
    assert {origin.column_name for origin in lineage["text"]} == {"sections"}
    assert "chunking_id" not in lineage


def versions(dataset, **settings):
    platform = Platform(load_settings().model_copy(update=settings))
    return {layer: code_version(platform, dataset, layer) for layer in Layer if layer is not Layer.UPSTREAM}


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"profile": "minilm"}, {Layer.CHUNKS, Layer.EMBEDDINGS, Layer.INDEX}),
        ({"redaction": "full"}, {Layer.DOCUMENTS}),
        ({"release_encoding": "float32"}, {Layer.RELEASE}),
        ({"workers": 1}, set()),
    ],
)
def test_the_version_of_a_layer_changes_with_what_makes_it(settings, changed):
    dataset = dataset_named("local_administrations_directory")
    before, after = versions(dataset), versions(dataset, **settings)
    assert {layer for layer in before if before[layer] != after[layer]} == changed


def test_another_parser_is_another_version_of_documents_alone():
    dataset = dataset_named("legi")
    before, after = versions(dataset), versions(replace(dataset, parser_version="next"))
    assert {layer for layer in before if before[layer] != after[layer]} == {Layer.DOCUMENTS}
