"""Definitions: what Dagster loads.

What belongs here: putting assets, jobs and the resource together. What does not: any of their content.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.orchestration.assets import dataset_assets
from mediatech_assets.orchestration.jobs import update_job
from mediatech_assets.orchestration.resources import PlatformResource


def build_defs(resource_overrides: Mapping[str, Any] | None = None) -> dg.Definitions:
    """All definitions.

    Args:
        resource_overrides: Resources by name that take the place of the default ones.
    """
    datasets = all_datasets().values()
    return dg.Definitions(
        assets=[asset for dataset in datasets for asset in dataset_assets(dataset)],
        jobs=[update_job(dataset) for dataset in datasets],
        resources={"platform": PlatformResource.from_environment(), **(resource_overrides or {})},
        executor=dg.in_process_executor,
    )


defs = build_defs()
