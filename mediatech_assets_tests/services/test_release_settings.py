"""What an installation's settings and its lake make of a release: its columns, and the judgements of other layers."""

from pathlib import Path

import pyarrow as pa
import pytest

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets, dataset_named
from mediatech_assets.evaluation.history import Subject, record
from mediatech_assets.evaluation.run import MODES
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.release.build import ReleaseSpec
from mediatech_assets.release.checks import Check, type_name
from mediatech_assets.release.croissant import _TYPES
from mediatech_assets.settings import load_settings
from mediatech_assets_tests.evaluated import evaluation_of

LEGI = dataset_named("legi")


def spec_of(platform: Platform, dataset: Dataset) -> ReleaseSpec:
    platform.open(dataset)
    return platform._release_spec(dataset)


@pytest.fixture
def platform(tmp_path: Path):
    platform = Platform(load_settings(home=str(tmp_path)))
    yield platform
    platform.close()


@pytest.mark.parametrize(
    ("encoding", "kind", "name"),
    [("json", pa.string(), "string"), ("float32", pa.list_(pa.float32()), "list<float>")],
)
def test_every_column_of_every_dataset_has_a_type_that_its_descriptions_know(tmp_path, encoding, kind, name):
    platform = Platform(load_settings(home=str(tmp_path), release_encoding=encoding))
    for dataset in all_datasets().values():
        schema = platform.published_schema(dataset)
        assert schema.field("embeddings_use-m3").type == kind
        assert {type_name(field.type) for field in schema} <= _TYPES.keys()
    spec = spec_of(platform, LEGI)
    platform.close()
    assert spec.export.encoding == spec.facts.encoding == encoding
    assert tuple(spec.facts.columns) == tuple(spec.facts.types) == spec.export.columns
    assert spec.facts.types["embeddings_use-m3"] == name


def judged(platform: Platform) -> Check:
    (check,) = (each for each in spec_of(platform, LEGI).checks if each.name == "finds_the_right_documents")
    assert check.blocking
    return check


def evaluate(platform: Platform, run: str, found: int) -> None:
    """Records an evaluation of 40 questions, of which `found` are answered in the first place."""
    ranks = [1] * found + [None] * (40 - found)
    subject = Subject("use", platform.profile.fingerprint, "legi-1", run, "questions", "1")
    record(platform.lake, "legi", subject, evaluation_of(dict.fromkeys(MODES, ranks)))


def test_the_newest_evaluation_is_held_to_the_floor_alone(platform):
    assert judged(platform) == Check(
        "finds_the_right_documents", True, True, "not judged: there is no evaluation of this profile"
    )
    evaluate(platform, "first", 40)
    assert judged(platform).passed
    evaluate(platform, "second", 20)  # worse, and above the floor: that is for the evaluation's own check
    assert judged(platform).passed
    evaluate(platform, "third", 1)
    assert judged(platform) == Check(
        "finds_the_right_documents", False, True, "hybrid recall@10 is 0.025 over 40 questions, floor 0.150"
    )


def test_a_file_that_was_not_applied_shows_and_does_not_block(platform):
    platform.open(LEGI)
    with platform.lake.transaction("legi") as cursor:
        cursor.execute(
            "INSERT INTO legi.raw_files (file, url, feed, kind, format, stamp, status) VALUES "
            "('Freemium_legi.tar.gz', 'https://h/f', '', 'stock', 'targz', '20260101-000000', 'unreadable')"
        )
    (check,) = (each for each in spec_of(platform, LEGI).checks if each.name == "up_to_date")
    assert (check.passed, check.blocking) == (False, False)
    assert "Freemium_legi.tar.gz" in check.detail
