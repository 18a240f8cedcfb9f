"""Checks of documents, chunks and embeddings: each sees what is wrong in its table, and nothing else."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.embeddings.store import Filled
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.checks import (
    FEWEST_REFUSED,
    RULES,
    chunks_checks,
    count_verdict,
    documents_checks,
    embeddings_checks,
)
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.release.checks import Check
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets.settings import load_settings

DATASET = dataset_named("constit")
LONG_AGO = datetime(2000, 1, 1)
FIRST = "(SELECT min(chunk_id) FROM constit.chunks)"
REFUSALS = (
    "INSERT INTO constit.quarantine (subject, member, reason, source_file, seen_at) SELECT 'x', 'x.xml', 'bad', "
    f"'stock.tar.gz', TIMESTAMP '2026-01-01' FROM range({FEWEST_REFUSED})"
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an installation where every check passes."""
    folder = tmp_path_factory.mktemp("checks")
    upstream = build_sample_upstream(folder / "upstream", 0)
    platform = Platform(load_settings(home=str(folder / "home"), upstream_base=str(upstream)))
    for layer in (Layer.RAW, Layer.DOCUMENTS, Layer.CHUNKS, Layer.EMBEDDINGS):
        checks = platform.materialise(DATASET.name, layer).checks
        assert {check.name for check in checks} == RULES.get(layer, {}).keys()
        assert all(check.passed for check in checks), checks
    platform.close()
    return folder / "home"


@pytest.fixture
def platform(sound: Path, tmp_path: Path) -> Iterator[Platform]:
    """An installation of its own, to be spoiled."""
    shutil.copytree(sound, tmp_path / "home")
    platform = Platform(load_settings(home=str(tmp_path / "home")))
    platform.open(DATASET)
    yield platform
    platform.close()


def failed_checks(platform: Platform, layer: Layer) -> list[Check]:
    if layer is Layer.DOCUMENTS:
        found = documents_checks(platform, DATASET)
    elif layer is Layer.CHUNKS:
        found = chunks_checks(platform, DATASET)
    else:
        found = embeddings_checks(platform, DATASET, Filled(embedded=1, refused=0, reused=0), LONG_AGO)
    return [check for check in found if not check.passed]


@pytest.mark.parametrize(
    ("layer", "name", "spoil"),
    [
        (
            Layer.DOCUMENTS,
            "ids_unique",
            "INSERT INTO constit.documents SELECT * FROM constit.documents LIMIT 1",
        ),
        (Layer.DOCUMENTS, "few_refused", REFUSALS),
        (Layer.DOCUMENTS, "schema", "ALTER TABLE constit.documents ADD COLUMN stray INTEGER"),
        (Layer.CHUNKS, "ids_unique", f"UPDATE constit.chunks SET chunk_id = {FIRST}"),
        (Layer.CHUNKS, "within_the_models_limit", "UPDATE constit.chunks SET tokens = 100000"),
        (
            Layer.CHUNKS,
            "counts_reconcile",
            "DELETE FROM constit.documents WHERE doc_id = (SELECT min(doc_id) FROM constit.chunks)",
        ),
        (Layer.CHUNKS, "counts_reconcile", f"DELETE FROM constit.chunks WHERE chunk_id = {FIRST}"),
        (Layer.CHUNKS, "counts_reconcile", "UPDATE constit.documents SET content_hash = 'another'"),
        (Layer.EMBEDDINGS, "counts_reconcile", "UPDATE constit.chunks SET text_key = 'without vector'"),
    ],
)
def test_each_check_sees_its_fault_and_only_its_own(platform, layer, name, spoil):
    assert failed_checks(platform, layer) == []
    with platform.lake.transaction("constit") as cursor:
        cursor.execute(spoil)
    (failed,) = failed_checks(platform, layer)
    assert failed.name == name
    assert failed.detail
    assert failed.blocking is RULES[layer][name].blocking


@pytest.mark.parametrize("number", ["'NaN'::FLOAT", "0.5::FLOAT", "NULL"])
def test_a_vector_that_cannot_be_searched_with_is_seen(platform, number):
    with platform.lake.transaction("embeddings") as cursor:
        cursor.execute(
            f"UPDATE {platform.store.table} SET vector = list_transform(vector, lambda x: {number})"
        )
    (failed,) = failed_checks(platform, Layer.EMBEDDINGS)
    assert failed.name == "vectors_sound"


@pytest.mark.parametrize(
    ("count", "earlier", "passed"),
    [
        (0, [], True),
        (1_000, [1_000, 1_010, 990], True),
        (1_200, [1_000], True),
        (1_201, [1_000], False),
        (799, [1_000, 1_000, 5], False),
        (0, [40, 45], True),  # too few to say anything
        (0, [1_000], False),
    ],
)
def test_a_count_is_compared_with_what_was_usual(count, earlier, passed):
    verdict, why = count_verdict(count, earlier)
    assert verdict is passed
    assert f"{count:,} rows" in why
