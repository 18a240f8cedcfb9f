"""Updating and publishing datasets in this process, through Dagster, so that the UI shows what was done.

What belongs here: one run a dataset, and what came of it. What does not: the work of a layer or of a sink.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterInstance

from mediatech_assets.errors import BusyError
from mediatech_assets.lake import exclusive
from mediatech_assets.layers import Layer, Sink, asset_key
from mediatech_assets.orchestration.instance import PROCESS_TAG, process_tag
from mediatech_assets.orchestration.jobs import update_job_name
from mediatech_assets.orchestration.platform import dataset_lock
from mediatech_assets.orchestration.publication_assets import op_name
from mediatech_assets.settings import Settings

#: Dagster writes every event to the console by default; they are in the instance, for the UI.
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class DatasetUpdate:
    """What updating one dataset gave.

    Args:
        dataset: Its name.
        run_id: The Dagster run; empty when there was none.
        seconds: Wall time.
        layers: Metadata of the layers that were materialised, by layer.
        errors: Why a layer failed; the layers after it were not tried.
        problems: Inputs that could not be used although the layer went on.
    """

    dataset: str
    run_id: str
    seconds: float
    layers: dict[str, dict[str, object]]
    errors: list[str]
    problems: list[str]

    @property
    def succeeded(self) -> bool:
        """Whether everything asked for was done, with every input."""
        return not self.errors and not self.problems


def update_dataset_in_turn(
    definitions: dg.Definitions,
    instance: DagsterInstance,
    settings: Settings,
    dataset: str,
    layers: Sequence[Layer],
) -> DatasetUpdate:
    """As `update_dataset`, once no other process works on the dataset; without a run when one works on it too long.

    A run would wait, too, but for the pool that the other one's step holds: without a limit, and without its name.
    """
    started = time.monotonic()
    try:
        wait = settings.lock_timeout
        with exclusive(settings.locks_folder, dataset_lock(dataset), "starting an update", wait):
            pass
    except BusyError as error:
        return DatasetUpdate(dataset, "", round(time.monotonic() - started, 2), {}, [str(error)], [])
    return update_dataset(definitions, instance, dataset, layers)


def update_dataset(
    definitions: dg.Definitions, instance: DagsterInstance, dataset: str, layers: Sequence[Layer]
) -> DatasetUpdate:
    """Materialises layers of a dataset in order, in one run."""
    started = time.monotonic()
    job = definitions.resolve_job_def(update_job_name(dataset))
    chosen = {dg.AssetKey(asset_key(dataset, layer)) for layer in layers}
    # Assets that are named bring all their checks, also those that the job leaves out.
    whole = chosen == set(job.asset_layer.executable_asset_keys)
    result = job.execute_in_process(
        instance=instance,
        asset_selection=None if whole else sorted(chosen),
        raise_on_error=False,
        run_config=_QUIET,
        tags={PROCESS_TAG: process_tag()},
    )
    return DatasetUpdate(
        dataset=dataset,
        run_id=result.run_id,
        seconds=round(time.monotonic() - started, 2),
        layers=_materialised(result),
        errors=_errors(result),
        problems=_failed_checks(result),
    )


@dataclass(frozen=True, slots=True)
class PublicationRun:
    """What a run that publishes gave.

    Args:
        run_id: The Dagster run.
        facts: Metadata of the publication; empty when it failed.
        errors: Why it failed.
    """

    run_id: str
    facts: Mapping[str, object]
    errors: Sequence[str]


def publish_release(
    definitions: dg.Definitions,
    instance: DagsterInstance,
    dataset: str,
    sink: Sink,
    config: Mapping[str, object],
) -> PublicationRun:
    """Materialises a dataset's asset of a sink in one run.

    Args:
        definitions: The definitions.
        instance: The instance that the UI shows.
        dataset: Name of the dataset.
        sink: Where.
        config: Fields of `PublicationConfig`.
    """
    job = definitions.resolve_implicit_global_asset_job_def()
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(asset_key(dataset, sink))],
        raise_on_error=False,
        run_config={**_QUIET, "ops": {op_name(dataset, sink): {"config": dict(config)}}},
        tags={PROCESS_TAG: process_tag()},
    )
    return PublicationRun(result.run_id, _materialised(result).get(sink.value, {}), _errors(result))


def _materialised(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    for event in result.get_asset_materialization_events():
        materialization = event.step_materialization_data.materialization
        found[materialization.asset_key.path[-1]] = {
            name: value.value
            for name, value in materialization.metadata.items()
            if isinstance(value.value, str | int | float)
            and not name.startswith(("dagster/", "sample", "summary"))
        }
    return found


def _errors(result: dg.ExecuteInProcessResult) -> list[str]:
    errors = []
    for event in result.all_events:
        if event.is_step_failure:
            failure = event.step_failure_data
            described = failure.user_failure_data.description if failure.user_failure_data else None
            error = failure.error.cause or failure.error if failure.error else None
            errors.append(f"{event.step_key}: {described or (error.to_string() if error else 'failed')}")
        elif event.is_failure and not errors:
            errors.append(event.message or "the run failed")
    return errors


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[str]:
    problems = []
    for evaluation in result.get_asset_check_evaluations():
        if evaluation.passed or evaluation.severity is dg.AssetCheckSeverity.WARN:
            continue
        facts = {name: value.value for name, value in evaluation.metadata.items()}
        detail = facts.pop("problems", None) or ", ".join(f"{name}: {value}" for name, value in facts.items())
        problems.append(f"{'/'.join(evaluation.asset_key.path)} {evaluation.check_name}: {detail}")
    return problems
