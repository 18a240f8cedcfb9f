"""What Dagster loads: every asset, check, job, sensor and schedule by name, and what each asset says of itself."""

from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.definitions import build_defs, defs
from mediatech_assets.layers import BUILT_LAYERS, Layer, Sink, asset_key
from mediatech_assets.orchestration.publication_assets import op_name
from mediatech_assets.orchestration.resources import PlatformResource

SNAPSHOT = Path(__file__).with_name("asset_keys.txt")

GRAPH = defs.resolve_asset_graph()
BUILT = [dg.AssetKey(asset_key(dataset, layer)) for dataset in all_datasets() for layer in BUILT_LAYERS]
SINKS = [(dataset, sink) for dataset in all_datasets() for sink in Sink]


def names() -> list[str]:
    """Every asset, check, job, sensor and schedule, one line a dataset (and one for those of no dataset alone)."""
    found: dict[str, list[str]] = {}
    for key in GRAPH.get_all_asset_keys():
        found.setdefault(key.path[0], []).append(f"asset {'/'.join(key.path[1:])}")
    for check in GRAPH.asset_check_keys:
        own = f"check {'/'.join(check.asset_key.path[1:])}:{check.name}"
        found.setdefault(check.asset_key.path[0], []).append(own)
    for kind, named in (
        ("job", defs.resolve_all_job_defs()),
        ("sensor", defs.sensors or ()),
        ("schedule", defs.schedules or ()),
    ):
        for definition in named:
            owner = next((dataset for dataset in all_datasets() if dataset in definition.name), "(all)")
            if not definition.name.startswith("__"):
                found.setdefault(owner, []).append(f"{kind} {definition.name}")
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


def test_every_dataset_has_all_its_layers_and_sinks():
    stages = [*Layer, *Sink]
    keys = {dg.AssetKey(asset_key(dataset, stage)) for dataset in all_datasets() for stage in stages}
    assert set(GRAPH.get_all_asset_keys()) == keys


@pytest.mark.parametrize("dataset", all_datasets())
def test_the_layers_of_a_dataset_are_a_chain(dataset):
    chain = [dg.AssetKey(asset_key(dataset, layer)) for layer in Layer]
    assert GRAPH.get(chain[0]).parent_keys == set()
    for before, after in pairwise(chain):
        assert GRAPH.get(after).parent_keys == {before}
    sinks = {dg.AssetKey(asset_key(dataset, sink)) for sink in Sink}
    assert GRAPH.get(chain[-1]).child_keys == sinks
    for sink in sinks:
        assert GRAPH.get(sink).parent_keys == {chain[-1]}
        assert GRAPH.get(sink).child_keys == set()


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


@pytest.mark.parametrize(("dataset", "sink"), SINKS)
def test_a_sink_is_made_for_a_named_release_only(dataset, sink):
    node = GRAPH.get(dg.AssetKey(asset_key(dataset, sink)))
    assert node.group_name == dataset
    assert node.description
    assert node.owners
    assert node.kinds
    assert node.tags["layer"] == "publication"
    assert node.automation_condition is None
    job = defs.resolve_implicit_global_asset_job_def()
    chosen = job.get_subset(asset_selection={node.key})
    name = op_name(dataset, sink)
    assert dg.validate_run_config(chosen, {"ops": {name: {"config": {"release": "r"}}}})
    with pytest.raises(dg.DagsterInvalidConfigError, match="release"):
        dg.validate_run_config(chosen, {"ops": {name: {"config": {}}}})


@pytest.mark.parametrize("dataset", all_datasets())
def test_the_upstream_is_observed_and_not_built(dataset):
    node = GRAPH.get(dg.AssetKey(asset_key(dataset, Layer.UPSTREAM)))
    assert not node.is_materializable
    assert node.group_name == dataset
    assert node.tags["layer"] == "upstream"
    assert "homepage" in node.metadata


@pytest.mark.parametrize("dataset", all_datasets())
def test_a_job_updates_all_layers_of_one_dataset_and_publishes_nothing(dataset):
    job = defs.resolve_job_def(f"update_{dataset}")
    assert set(job.asset_layer.executable_asset_keys) == {
        dg.AssetKey(asset_key(dataset, layer)) for layer in BUILT_LAYERS
    }


@pytest.mark.parametrize("scale_out", ["multiprocess", "celery"])
def test_assets_that_workers_share_are_the_same_assets(monkeypatch, scale_out):
    monkeypatch.setenv("MEDIATECH_SCALE_OUT", scale_out)
    monkeypatch.setenv("MEDIATECH_CELERY_BROKER", "redis://127.0.0.1:1/0")
    divided = build_defs()
    graph = divided.resolve_asset_graph()
    assert set(graph.get_all_asset_keys()) == set(GRAPH.get_all_asset_keys())
    assert graph.asset_check_keys == GRAPH.asset_check_keys
    for key in BUILT:
        ours, theirs = graph.get(key), GRAPH.get(key)
        for name in ("parent_keys", "group_name", "description", "owners", "code_version", "kinds", "tags"):
            assert getattr(ours, name) == getattr(theirs, name), (key, name)
    job = divided.resolve_job_def("update_cnil")
    assert {node.name for node in job.nodes if isinstance(node.definition, dg.GraphDefinition)} == {
        "cnil__documents",
        "cnil__embeddings",
    }
    assert job.executor_def.name == scale_out
    one_process = build_defs(one_process=True).resolve_job_def("update_cnil")
    assert not any(isinstance(node.definition, dg.GraphDefinition) for node in one_process.nodes)


def test_resources_can_be_overridden():
    own = PlatformResource(home="/somewhere")
    assert build_defs({"platform": own}).resources == {"platform": own}


if __name__ == "__main__":
    print("\n".join(names()))
