"""Schedules: what happens at fixed hours, all in the time of Paris.

What belongs here: the fortnightly release train and the weekly pruning. What does not: what reacts to an upstream
(`automation.py`), and the jobs themselves (`jobs.py`). Nothing here publishes.
"""

from collections.abc import Iterable, Iterator

import dagster as dg

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.automation import TIMEZONE
from mediatech_assets.orchestration.jobs import CANDIDATES_JOB, PRUNE_JOB, RELEASE_TRAIN_JOB

#: The first and the fifteenth: a fortnight that people can remember.
RELEASE_TRAIN_CRON = "0 5 1,15 * *"
#: When the train's runs are over and people are at work.
CANDIDATES_CRON = "0 9 1,15 * *"
#: Sunday night: pruning waits for every dataset and lets none be worked on meanwhile.
PRUNE_CRON = "0 2 * * 0"


def schedules(datasets: Iterable[Dataset], *, automation: bool) -> list[dg.ScheduleDefinition]:
    """All schedules; stopped unless the installation works by itself.

    Args:
        datasets: The datasets.
        automation: Whether it does.
    """
    status = dg.DefaultScheduleStatus.RUNNING if automation else dg.DefaultScheduleStatus.STOPPED
    return [
        _release_train(list(datasets), status),
        dg.ScheduleDefinition(
            name="candidates",
            job_name=CANDIDATES_JOB,
            cron_schedule=CANDIDATES_CRON,
            execution_timezone=TIMEZONE,
            default_status=status,
            description="Lists the releases that wait for a review, after the release train.",
        ),
        dg.ScheduleDefinition(
            name="prune",
            job_name=PRUNE_JOB,
            cron_schedule=PRUNE_CRON,
            execution_timezone=TIMEZONE,
            default_status=status,
            description="Removes what nothing needs any more.",
        ),
    ]


def _release_train(datasets: list[Dataset], status: dg.DefaultScheduleStatus) -> dg.ScheduleDefinition:
    @dg.schedule(
        name="release_train",
        job_name=RELEASE_TRAIN_JOB,
        cron_schedule=RELEASE_TRAIN_CRON,
        execution_timezone=TIMEZONE,
        default_status=status,
        description="Builds a release of every dataset that has an index. Publishes nothing.",
    )
    def release_train(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        indexed = [dataset for dataset in datasets if _is_indexed(context.instance, dataset)]
        if not indexed:
            yield dg.SkipReason("no dataset has an index yet: there is nothing to release")
        day = context.scheduled_execution_time.date().isoformat()
        for dataset in indexed:
            # A run a dataset: one that fails keeps no other from the train.
            yield dg.RunRequest(
                run_key=f"{day}-{dataset.name}",
                asset_selection=[
                    dg.AssetKey(asset_key(dataset.name, layer)) for layer in (Layer.EVALUATION, Layer.RELEASE)
                ],
                tags={"dataset": dataset.name, "release_train": day},
            )

    return release_train


def _is_indexed(instance: dg.DagsterInstance, dataset: Dataset) -> bool:
    key = dg.AssetKey(asset_key(dataset.name, Layer.INDEX))
    return instance.get_latest_materialization_event(key) is not None
