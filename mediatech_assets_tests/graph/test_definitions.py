"""What Dagster loads: every asset, check and job by name, and what each asset says of itself."""

from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.definitions import build_defs, defs
from mediatech_assets.layers import BUILT_LAYERS, Layer, asset_key
from mediatech_assets.orchestration.resources import PlatformResource

SNAPSHOT = Path(__file__).with_name("asset_keys.txt")

GRAPH = defs.resolve_asset_graph()
BUILT = [dg.AssetKey(asset_key(dataset, layer)) for dataset in all_datasets() for layer in BUILT_LAYERS]


def names() -> list[str]:
    """Every asset, check and job, one line a dataset (and one for jobs of no dataset alone)."""
    found: dict[str, list[str]] = {}
    for key in GRAPH.get_all_asset_keys():
        found.setdefault(key.path[0], []).append(f"asset {'/'.join(key.path[1:])}")
    for check in GRAPH.asset_check_keys:
        own = f"check {'/'.join(check.asset_key.path[1:])}:{check.name}"
        found.setdefault(check.asset_key.path[0], []).append(own)
    for job in defs.resolve_all_job_defs():
        dataset = job.name.removeprefix("update_")
        if not job.name.startswith("__"):
            found.setdefault(dataset if dataset in found else "(all)", []).append(f"job {job.name}")
    return [f"{dataset}: {', '.join(sorted(own))}" for dataset, own in sorted(found.items())]


def test_the_definitions_can_be_loaded():
    dg.Definitions.validate_loadable(defs)


def test_names_are_those_of_the_snapshot():
    expected = SNAPSHOT.read_text("utf-8").splitlines()
    gone = sorted(set(expected) - set(names()))
    new = sorted(set(names()) - set(expected))
    assert names() == expected, (
        f"names that others rely on changed. Gone: {gone}. New: {new}. If that is meant, write them again:\n"
        f"  python -m {__name__} > {SNAPSHOT}"
    )


def test_every_dataset_has_all_its_layers():
    keys = {dg.AssetKey(asset_key(dataset, layer)) for dataset in all_datasets() for layer in Layer}
    assert set(GRAPH.get_all_asset_keys()) == keys


@pytest.mark.parametrize("dataset", all_datasets())
def test_the_layers_of_a_dataset_are_a_chain(dataset):
    chain = [dg.AssetKey(asset_key(dataset, layer)) for layer in Layer]
    assert GRAPH.get(chain[0]).parent_keys == set()
    for before, after in pairwise(chain):
        assert GRAPH.get(after).parent_keys == {before}
    assert GRAPH.get(chain[-1]).child_keys == set()


@pytest.mark.parametrize("key", BUILT, ids=dg.AssetKey.to_user_string)
def test_an_asset_says_what_it_is_and_whose(key):
    node = GRAPH.get(key)
    dataset, layer = key.path
    assert node.group_name == dataset
    assert node.description
    assert node.owners
    assert node.code_version
    assert node.kinds
    assert node.tags["layer"] == layer


@pytest.mark.parametrize("dataset", all_datasets())
def test_the_upstream_is_observed_and_not_built(dataset):
    node = GRAPH.get(dg.AssetKey(asset_key(dataset, Layer.UPSTREAM)))
    assert not node.is_materializable
    assert node.group_name == dataset
    assert node.tags["layer"] == "upstream"
    assert "homepage" in node.metadata


@pytest.mark.parametrize("dataset", all_datasets())
def test_a_job_updates_all_layers_of_one_dataset(dataset):
    job = defs.resolve_job_def(f"update_{dataset}")
    assert set(job.asset_layer.executable_asset_keys) == {
        dg.AssetKey(asset_key(dataset, layer)) for layer in BUILT_LAYERS
    }


def test_resources_can_be_overridden():
    own = PlatformResource(home="/somewhere")
    assert build_defs({"platform": own}).resources == {"platform": own}


if __name__ == "__main__":
    print("\n".join(names()))
