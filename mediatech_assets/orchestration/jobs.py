"""Jobs: one update job a dataset.

What belongs here: which assets run together, and with which executor. What does not: when (automation).
"""

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from mediatech_assets.datasets.base import Dataset


def update_job_name(dataset: str) -> str:
    """Name of the dataset's update job."""
    return f"update_{dataset}"


def update_job(dataset: Dataset) -> UnresolvedAssetJobDefinition:
    """The job that brings every layer of a dataset up to date, in order.

    In one process: the layers follow each other, so processes would only cost their start; what is parallel
    inside a layer uses its own workers.
    """
    return dg.define_asset_job(
        update_job_name(dataset.name),
        selection=dg.AssetSelection.groups(dataset.name),
        description=f"Upstream to release of {dataset.name}.",
        executor_def=dg.in_process_executor,
        tags={"dataset": dataset.name},
    )
