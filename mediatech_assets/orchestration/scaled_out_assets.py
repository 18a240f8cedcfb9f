"""A heavy layer as an asset of several steps: plan, work on each shard, commit.

What belongs here: the ops and the graph of such an asset. What does not: what the steps do (`scale_out.py`), what the
asset is called and says of itself (`assets.py`), and what runs the steps (`executors.py`).

No value passes between the steps: a shard's name is the mapping key of its step, and everything else is in files. So
no I/O manager has to be shared by machines.

`from __future__ import annotations` must stay out of this module: Dagster reads the type of `context`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypedDict

import dagster as dg

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.layers import Layer
from mediatech_assets.orchestration.executors import WORK_TAGS
from mediatech_assets.orchestration.failures import told_to_people
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.orchestration.scale_out import commit, plan, work_on

#: What is reported of a layer that was brought up to date.
Result = Callable[[dg.DagsterInstance, Platform, Dataset, LayerReport], dg.MaterializeResult]


class LayerAttributes(TypedDict):
    """What a layer's asset is called and says of itself, in words of `dg.asset` and `dg.graph_asset`."""

    key: dg.AssetKey
    group_name: str
    description: str
    tags: Mapping[str, str]
    kinds: AbstractSet[str]
    owners: Sequence[str]
    code_version: str
    automation_condition: dg.AutomationCondition
    check_specs: Sequence[dg.AssetCheckSpec]


def scaled_out_asset(
    dataset: Dataset, layer: Layer, before: dg.AssetKey, attributes: LayerAttributes, result: Result
) -> dg.AssetsDefinition:
    """The asset of a layer whose work is divided.

    Args:
        dataset: The dataset.
        layer: A layer of `DIVIDED_LAYERS`.
        before: Key of the asset that it reads.
        attributes: What the asset is called and says of itself.
        result: What is reported of it.
    """
    prefix = attributes["key"].to_python_identifier()
    check_outputs = [check.get_python_identifier() for check in attributes["check_specs"]]
    tags = {"layer": layer.value}

    @dg.op(
        name=f"{prefix}__plan",
        description="Writes the work as shards.",
        ins={"before": dg.In(dg.Nothing)},
        out=dg.DynamicOut(dg.Nothing),
        tags=tags,
    )
    def plan_shards(context: dg.OpExecutionContext, platform: PlatformResource) -> Iterator[dg.DynamicOutput]:
        with told_to_people():
            planned = plan(platform.platform, dataset.name, layer)
        context.log.info(f"{len(planned.unfinished)} shards to do, {planned.finished} done by an earlier run")
        for name in planned.unfinished:
            yield dg.DynamicOutput(None, mapping_key=name)

    @dg.op(
        name=f"{prefix}__work",
        description="Does one shard, on any worker.",
        ins={"shard": dg.In(dg.Nothing)},
        out=dg.Out(dg.Nothing),
        tags={**tags, **WORK_TAGS},
    )
    def work_on_shard(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
        name = context.get_mapping_key()
        if name is None:
            raise RuntimeError("this step is made for each shard by the plan, never alone")
        with told_to_people():
            work_on(platform.platform, dataset.name, layer, name)

    @dg.op(
        name=f"{prefix}__commit",
        description="Brings the layer up to date with what the workers did.",
        ins={"shards": dg.In(dg.Nothing)},
        out={name: dg.Out(dg.Nothing) for name in ("result", *check_outputs)},
        tags=tags,
    )
    def commit_shards(
        context: dg.OpExecutionContext, platform: PlatformResource
    ) -> Iterator[dg.MaterializeResult]:
        with told_to_people():
            report = commit(platform.platform, dataset.name, layer)
        yield result(context.instance, platform.platform, dataset, report)

    @dg.graph_asset(ins={"before": dg.AssetIn(key=before, dagster_type=dg.Nothing)}, **attributes)
    def divided(before):  # noqa: ANN001, ANN202 - what Dagster gives and takes while it composes the graph
        outputs = commit_shards(plan_shards(before).map(work_on_shard).collect())
        if not check_outputs:
            return outputs
        return {name: getattr(outputs, name) for name in ("result", *check_outputs)}

    return divided
