"""Releases as others read them: Croissant and DCAT readers, and vectors taken over by another lake."""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import absl.logging
import mlcroissant
import numpy as np
import pytest
import rdflib
import yaml

from mediatech_assets.chunks.build import text_key
from mediatech_assets.embeddings.collect import collect
from mediatech_assets.embeddings.exchange import import_vectors
from mediatech_assets.embeddings.store import VectorStore
from mediatech_assets.lake import Lake
from mediatech_assets.release.build import Release, ReleaseSpec, build_release
from mediatech_assets.release.dcat import _frequency
from mediatech_assets_tests.released import (
    as_float32,
    contents,
    fill,
    manifest,
    parquet_files,
    release_spec,
    tiny_profile,
    with_tables,
)
from mediatech_assets_tests.tiny import new_lake, open_dataset, rows

# Its handler, which comes with mlcroissant, would close the stream that pytest captures as soon as another library
# (alembic, when it makes Dagster's tables) configures logging.
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

DCAT = rdflib.Namespace("http://www.w3.org/ns/dcat#")
DCT = rdflib.Namespace("http://purl.org/dc/terms/")
SPDX = rdflib.Namespace("http://spdx.org/rdf/terms#")
EU = "http://publications.europa.eu/resource/authority"


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Iterator[Lake]:
    lake = new_lake(tmp_path_factory.mktemp("formats"))
    open_dataset(lake, "code")
    yield lake
    lake.close()


@pytest.fixture(scope="module")
def spec(lake, tmp_path_factory) -> ReleaseSpec:
    store = fill(lake)
    profile = tiny_profile()
    said = {
        "name": "tiny", "model": profile.model_id, "revision": profile.revision, "dimensions": 3,
        "fingerprint": profile.fingerprint,
    }  # fmt: skip
    spec = release_spec(store, tmp_path_factory.mktemp("releases"))
    column = f"embeddings_{profile.slug}"
    renamed = [
        {(column if name == "embeddings_tiny" else name): value for name, value in known.items()}
        for known in (spec.facts.columns, spec.facts.types)
    ]
    facts = replace(
        spec.facts, vector_column=column, columns=renamed[0], types=renamed[1], namespace="AgentPublic"
    )
    with lake.transaction("code") as cursor:
        cursor.execute(
            "INSERT INTO code.tombstones (doc_id, removed_at, removed_by) VALUES "
            "('gone', TIMESTAMP '2026-05-06', 'stock.tar.gz')"
        )
    return replace(spec, export=replace(spec.export, vector_column=column), facts=facts, profile=said)


def with_float32(spec: ReleaseSpec) -> ReleaseSpec:
    spec = as_float32(spec)
    return replace(
        spec, facts=replace(spec.facts, types={**spec.facts.types, spec.facts.vector_column: "list<float>"})
    )


@pytest.fixture(scope="module", params=[with_tables, with_float32], ids=["json, tables", "float32"])
def release(lake, spec, request) -> Release:
    return build_release(lake, request.param(spec))


def test_the_croissant_reader_takes_the_description_and_loads_the_rows(release):
    dataset = mlcroissant.Dataset(jsonld=str(release.folder / "croissant.json"))
    assert not dataset.metadata.issues.errors
    assert not dataset.metadata.issues.warnings
    column = manifest(release)["about"]["vector_column"]
    published = {row["chunk_id"]: row for found in parquet_files(release).values() for row in found}
    loaded = list(dataset.records("rows"))
    assert len(loaded) == len(published)
    for record in loaded:
        row = published[record["rows/chunk_id"].decode()]
        assert record["rows/text"].decode() == row["text"]
        assert record["rows/chunk_index"] == row["chunk_index"]
        vector = record[f"rows/{column}"]
        vector = json.loads(vector) if isinstance(vector, bytes) else vector
        expected = row[column] if isinstance(row[column], list) else json.loads(row[column])
        assert np.array_equal(np.array(vector, np.float32), np.array(expected, np.float32))
    (gone,) = islice(dataset.records("removed"), 2)
    assert gone == {"removed/doc_id": b"gone", "removed/removed_on": b"2026-01-01"}


def test_croissant_names_every_parquet_file_by_a_relative_path_with_its_hash(release):
    described = json.loads((release.folder / "croissant.json").read_text("utf-8"))
    named = {
        file["contentUrl"]: file["sha256"]
        for file in described["distribution"]
        if file["@type"] == "cr:FileObject"
    }
    assert named == {path: sha256 for path, sha256 in contents(release).items() if path.endswith(".parquet")}
    assert (described["dateModified"], described["version"]) == ("2026-01-03", "2026.1.3")


def test_dcat_describes_the_dataset_and_every_file(release):
    graph = rdflib.Graph()
    base = "https://example.org/release/"
    graph.parse(data=(release.folder / "dcat.jsonld").read_text("utf-8"), format="json-ld", base=base)
    (dataset,) = graph.subjects(rdflib.RDF.type, DCAT.Dataset)
    one = {name: graph.value(dataset, name) for name in (DCT.license, DCT.modified, DCT.accrualPeriodicity)}
    assert str(one[DCT.license]) == "https://www.etalab.gouv.fr/licence-ouverte-open-licence"
    assert str(one[DCT.modified]) == "2026-01-03"
    assert str(one[DCT.accrualPeriodicity]) == f"{EU}/frequency/UNKNOWN"
    publisher = graph.value(dataset, DCT.publisher)
    assert str(graph.value(publisher, rdflib.FOAF.name)) == "La DILA"
    period = graph.value(dataset, DCT.temporal)
    assert str(graph.value(period, DCAT.endDate)) == "2026-01-03"
    described = {}
    for distribution in graph.objects(dataset, DCAT.distribution):
        path = str(graph.value(distribution, DCAT.downloadURL)).removeprefix(base)
        checksum = graph.value(graph.value(distribution, SPDX.checksum), SPDX.checksumValue)
        described[path] = (str(checksum).lower(), int(str(graph.value(distribution, DCAT.byteSize))))
        assert "parquet" in str(graph.value(distribution, DCAT.mediaType))
    on_disk = {
        path: (sha256, (release.folder / path).stat().st_size)
        for path, sha256 in contents(release).items()
        if path.endswith(".parquet")
    }
    assert described == on_disk


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, "UNKNOWN"), (1, "DAILY"), (7, "WEEKLY"), (30, "MONTHLY"), (90, "QUARTERLY"), (1_000, "IRREG")],
)
def test_frequencies_are_those_of_the_eu(days, name):
    assert _frequency(days) == name


def test_the_card_says_how_to_load_and_what_vanished(release):
    text = (release.folder / "README.md").read_text("utf-8")
    header = yaml.safe_load(text.split("---\n")[1])
    assert header["license"] == "etalab-2.0"
    assert header["language"] == ["fr"]
    assert header["size_categories"] == ["n<1K"]
    (config,) = header["configs"]
    assert (config["config_name"], config["default"]) == ("latest", True)
    assert sorted(
        path.relative_to(release.folder).as_posix() for path in release.folder.glob(config["data_files"])
    ) == [*parquet_files(release)]
    assert 'load_dataset("AgentPublic/code", "latest", split="train")' in text
    is_json = manifest(release)["parameters"]["release_encoding"] == "json"
    assert ("json.loads(" in text) is is_json
    assert ("a list of float32" in text) is not is_json
    assert ('data_files="data/code-latest/code_code/*.parquet"' in text) is is_json  # the one with tables
    assert "les 1 documents que la source a retirés" in text
    assert '"".join(chunks["text"])' in text
    assert release.id not in text


def test_no_text_to_join_is_promised_where_none_is_published(lake, spec):
    columns = {name: text for name, text in spec.facts.columns.items() if name != "text"}
    published = tuple(name for name in spec.export.published_columns if name != "text")
    without = replace(
        spec,
        export=replace(spec.export, published_columns=published),
        facts=replace(spec.facts, columns=columns),
    )
    text = (build_release(lake, without).folder / "README.md").read_text("utf-8")
    assert "mises bout à bout" not in text
    assert '["text"]' not in text


def test_vectors_of_a_release_are_imported_whatever_their_encoding(lake, spec, release, tmp_path):
    there = new_lake(tmp_path)
    store = VectorStore(there, tiny_profile())
    imported = import_vectors(store, release.folder, text_key)
    held = sorted(rows(there, f"SELECT text_key, vector FROM {store.table}"))
    there.close()
    assert held == sorted(rows(lake, f"SELECT text_key, vector FROM {spec.export.vectors}"))
    assert (imported.read, imported.added, imported.refused) == (release.rows, len(held), {})


def test_vectors_that_a_kept_release_names_stay(lake, release):
    store = VectorStore(lake, tiny_profile())
    before = rows(lake, f"SELECT count(*) FROM {store.table}")
    with lake.transaction("code") as cursor:
        cursor.execute("CREATE TABLE code.kept AS SELECT * FROM code.chunks")
        cursor.execute("DELETE FROM code.chunks")
    try:
        collected = collect(store, [release.folder], text_key)
        assert (collected.removed, [(collected.kept,)]) == (0, before)
    finally:
        with lake.transaction("code") as cursor:
            cursor.execute("INSERT INTO code.chunks SELECT * FROM code.kept")
            cursor.execute("DROP TABLE code.kept")
