"""Jobs: updating a dataset, reading it all again, the release train, what waits for review, pruning.

What belongs here: what runs together, and with which executor. What does not: when (`automation.py`,
`schedules.py`), and the work.

`from __future__ import annotations` must stay out of this module: Dagster reads the type of `context`.
"""

from collections.abc import Iterable
from datetime import timedelta

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.errors import MediatechError
from mediatech_assets.layers import BUILT_LAYERS, Layer, asset_key
from mediatech_assets.orchestration.event_retention import delete_old_polls, delete_old_runs
from mediatech_assets.orchestration.loading import loading_check_key
from mediatech_assets.orchestration.publishing import open_for_decisions, release_states
from mediatech_assets.orchestration.resources import REPARSE_TAG, PlatformResource
from mediatech_assets.orchestration.upkeep import prune

RELEASE_TRAIN_JOB = "release_train"
CANDIDATES_JOB = "candidates"
PRUNE_JOB = "prune"


def update_job_name(dataset: str) -> str:
    """Name of the dataset's update job."""
    return f"update_{dataset}"


def refresh_job_name(dataset: str) -> str:
    """Name of the job that reads everything of the dataset again."""
    return f"refresh_{dataset}"


def update_job(dataset: Dataset, executor: dg.ExecutorDefinition) -> UnresolvedAssetJobDefinition:
    """The job that brings every layer of a dataset up to date, in order.

    Args:
        dataset: The dataset.
        executor: What runs the steps: see `executors.py`.
    """
    return dg.define_asset_job(
        update_job_name(dataset.name),
        # Not the whole group: the sinks are in it, and nothing is published unless a person asks for it.
        selection=_layers([dataset], BUILT_LAYERS),
        description=f"Upstream to release of {dataset.name}.",
        executor_def=executor,
        tags={"dataset": dataset.name},
    )


def refresh_job(dataset: Dataset, executor: dg.ExecutorDefinition) -> UnresolvedAssetJobDefinition:
    """The job that parses all raw files in use again, then makes the layers after them.

    For a doubt that the differences cannot settle, such as a disk that was repaired. A new parser needs none: its
    version alone has everything read again.

    Args:
        dataset: The dataset.
        executor: What runs the steps: see `executors.py`.
    """
    return dg.define_asset_job(
        refresh_job_name(dataset.name),
        selection=_layers([dataset], BUILT_LAYERS[BUILT_LAYERS.index(Layer.DOCUMENTS) :]),
        description=f"Raw files of {dataset.name}, all read again, to release.",
        executor_def=executor,
        tags={"dataset": dataset.name, REPARSE_TAG: "true"},
    )


def release_train_job(datasets: Iterable[Dataset]) -> UnresolvedAssetJobDefinition:
    """The job that builds releases of what is indexed, after the evaluation that holds back a bad one."""
    owners = list(datasets)
    return dg.define_asset_job(
        RELEASE_TRAIN_JOB,
        selection=_layers(owners, (Layer.EVALUATION, Layer.RELEASE))
        | dg.AssetSelection.checks(*(loading_check_key(dataset) for dataset in owners)),
        description="Evaluation and release of every dataset, from the present index; `datasets` loads each release.",
        executor_def=dg.in_process_executor,
    )


def _layers(datasets: Iterable[Dataset], layers: Iterable[Layer]) -> dg.AssetSelection:
    """Layers with the checks that their own runs make."""
    chosen, owners = list(layers), list(datasets)
    assets = dg.AssetSelection.assets(
        *(dg.AssetKey(asset_key(dataset.name, layer)) for dataset in owners for layer in chosen)
    )
    return assets - dg.AssetSelection.checks(*(loading_check_key(dataset) for dataset in owners))


@dg.op
def list_candidates(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Reports each release that waits for a decision on its asset's page, and in the log."""
    waiting = 0
    for dataset in all_datasets().values():
        if not platform.platform.lake.exists(dataset.name):
            continue
        open_for_decisions(platform.platform, dataset)
        for state in release_states(platform.platform, dataset):
            if state.state == "candidate":
                waiting += 1
                context.log.info(f"{dataset.name} {state.id} waits: `mediatech review {dataset.name}`")
                context.log_event(
                    dg.AssetObservation(
                        asset_key=dg.AssetKey(asset_key(dataset.name, Layer.RELEASE)),
                        description=f"{state.id} waits for a review",
                        metadata={"release": state.id, "review": f"mediatech review {dataset.name}"},
                    )
                )
    context.log.info(f"{waiting} release(s) wait for a review")
    context.add_output_metadata({"waiting": waiting})


@dg.op
def remove_unneeded(context: dg.OpExecutionContext, platform: PlatformResource) -> None:
    """Prunes the lake and the index, then the runs and polls that are too old to be of interest."""
    settings = platform.platform.settings
    try:
        pruned = prune(platform.platform, [])
    except MediatechError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error
    age = timedelta(days=settings.run_history_days)
    context.add_output_metadata(
        {
            "collections": ", ".join(pruned.collections) or "none",
            "chunks": sum(pruned.chunks.values()),
            "vectors": sum(pruned.vectors.values()),
            "stores of vanished profiles, kept": len(pruned.stores),
            "runs": delete_old_runs(context.instance, age),
            "polls": delete_old_polls(context.instance, age),
        }
    )


@dg.job(
    name=CANDIDATES_JOB, executor_def=dg.in_process_executor, description="Releases that wait for a review."
)
def candidates_job() -> None:
    """Lists the releases that wait for a review."""
    list_candidates()


@dg.job(
    name=PRUNE_JOB,
    executor_def=dg.in_process_executor,
    description="Removes what nothing needs any more: points, chunks and vectors of former profiles, snapshots of "
    "tables, old runs.",
)
def prune_job() -> None:
    """Removes what nothing needs any more."""
    remove_unneeded()
