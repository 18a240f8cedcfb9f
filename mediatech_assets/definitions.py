"""Definitions: what Dagster loads.

What belongs here: putting assets, jobs and the resource together. What does not: any of their content.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.orchestration.alerts import alert_sensors
from mediatech_assets.orchestration.assets import dataset_assets
from mediatech_assets.orchestration.automation import automation_sensor
from mediatech_assets.orchestration.executors import executor_for
from mediatech_assets.orchestration.jobs import (
    candidates_job,
    prune_job,
    refresh_job,
    release_train_job,
    update_job,
)
from mediatech_assets.orchestration.loading import loading_check
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.pools import wait_for_pools_asleep
from mediatech_assets.orchestration.publication_assets import publication_assets
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.orchestration.schedules import schedules
from mediatech_assets.orchestration.sensors import upstream_check, upstream_sensor
from mediatech_assets.settings import load_settings


def build_defs(
    resource_overrides: Mapping[str, Any] | None = None, *, one_process: bool = False
) -> dg.Definitions:
    """All definitions.

    Args:
        resource_overrides: Resources by name that take the place of the default ones.
        one_process: Run every step in the caller's process, whatever the settings say of scale-out.
    """
    wait_for_pools_asleep()
    datasets = all_datasets().values()
    settings = load_settings()
    automation = settings.automation
    scaled_out = bool(settings.scale_out) and not one_process
    executor = executor_for(settings) if scaled_out else dg.in_process_executor
    platform = Platform(settings)
    return dg.Definitions(
        assets=[
            asset
            for dataset in datasets
            for asset in (
                *dataset_assets(dataset, platform, scaled_out=scaled_out),
                *publication_assets(dataset),
            )
        ],
        asset_checks=[check(dataset) for dataset in datasets for check in (upstream_check, loading_check)],
        sensors=[
            sensor
            for dataset in datasets
            for sensor in (
                upstream_sensor(dataset, automation=automation),
                automation_sensor(dataset, automation=automation),
            )
        ]
        + alert_sensors(automation=automation, configured=bool(settings.alerts.get_secret_value())),
        schedules=schedules(datasets, automation=automation),
        jobs=[
            *(job(dataset, executor) for dataset in datasets for job in (update_job, refresh_job)),
            release_train_job(datasets),
            candidates_job,
            prune_job,
        ],
        resources={"platform": PlatformResource.from_environment(), **(resource_overrides or {})},
        executor=executor,
    )


defs = build_defs()
