"""Sensors: one a dataset, which polls its upstream and reports what it saw.

What belongs here: what a tick does with a poll, and the checks on an upstream's own age and on what was not taken in.
What does not: the poll itself (`polling.py`), and what starts because of it (`automation.py`).

A sensor starts nothing. It reports each successful poll as a materialisation of `[dataset, upstream]` whose data
version is the upstream's version; automation reacts to a data version that changed. A poll that fails is a skipped
tick: it never hides another upstream, and after it the host is left alone for a while.
"""

import time

import dagster as dg

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.polling import (
    POLL_ERRORS,
    Poll,
    PollState,
    age_verdict,
    poll,
    poll_event,
    poll_interval,
)
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.sources.download import RememberedPage

#: Name of the check on the age of what an upstream published last.
RECENT = "recent"
#: Name of the check of `documents` that a lag fails.
UP_TO_DATE = "up_to_date"

#: A version listed for so many polls and not taken in is a lag: automation starts within minutes.
_POLLS_BEFORE_LAG = 3

#: Listings of this process, so that an unchanged one need not be sent again.
_PAGES: dict[str, RememberedPage] = {}


def sensor_status(*, automation: bool) -> dg.DefaultSensorStatus:
    """What sensors are as long as nobody switches them in the UI."""
    return dg.DefaultSensorStatus.RUNNING if automation else dg.DefaultSensorStatus.STOPPED


def upstream_sensor_name(dataset: str) -> str:
    """Name of the sensor that polls a dataset's upstream."""
    return f"{dataset}_upstream"


def upstream_sensor(dataset: Dataset, *, automation: bool) -> dg.SensorDefinition:
    """The sensor that polls a dataset's upstream."""
    interval = poll_interval(dataset)

    @dg.sensor(
        name=upstream_sensor_name(dataset.name),
        minimum_interval_seconds=int(interval.total_seconds()),
        default_status=sensor_status(automation=automation),
        description=f"Polls the upstream of {dataset.name} every {interval} and reports which version it shows.",
        tags={"dataset": dataset.name},
    )
    def poll_upstream(context: dg.SensorEvaluationContext, platform: PlatformResource) -> dg.SensorResult:
        state, now = PollState.from_cursor(context.cursor), time.time()
        if now < state.not_before:
            return _skipped(
                state, f"{state.failures} polls failed in a row: next one {_clock(state.not_before)}"
            )
        try:
            seen = poll(platform.platform.settings, dataset, _PAGES)
        except POLL_ERRORS as error:
            after = state.after_failure(error, interval, now)
            context.log.warning(f"the upstream of {dataset.name} cannot be read: {error}")
            return _skipped(after, f"{error}\nnext poll {_clock(after.not_before)}")
        after = state.after(seen, now)
        news = "unchanged" if seen.version == state.version else "a new version"
        return dg.SensorResult(
            skip_reason=f"{news}: {seen.version} ({seen.files} files, {seen.seconds} s)",
            cursor=after.as_cursor(),
            asset_events=[
                _event(dataset, seen, after),
                _age_evaluation(dataset, seen.newest, after.since, now),
                *_lag_evaluations(context.instance, dataset, after, now),
            ],
        )

    return poll_upstream


def upstream_check(dataset: Dataset) -> dg.AssetChecksDefinition:
    """The check on the age of what the upstream published last, for a run by hand; polls report it, too."""
    key = dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM))

    @dg.asset_check(
        asset=key,
        name=RECENT,
        description=f"The upstream published something in the last {dataset.late_after.days} days.",
    )
    def recent(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
        facts = _latest_facts(context.instance, key)
        if not facts:
            return dg.AssetCheckResult(
                passed=False, severity=dg.AssetCheckSeverity.WARN, description="it was never polled"
            )
        since = float(str(facts.get("version since") or 0))
        passed, why = age_verdict(dataset, str(facts["newest published"]), since, time.time())
        return dg.AssetCheckResult(passed=passed, severity=dg.AssetCheckSeverity.WARN, description=why)

    return recent


def _event(dataset: Dataset, seen: Poll, state: PollState) -> dg.AssetMaterialization:
    return poll_event(
        dataset.name,
        seen.version,
        seen.newest,
        files=seen.files,
        seconds=seen.seconds,
        version_since=dg.MetadataValue.timestamp(state.since),
    )


def _age_evaluation(dataset: Dataset, newest: str, since: float, now: float) -> dg.AssetCheckEvaluation:
    """The upstream's own age: a warning, because nothing of ours is wrong."""
    passed, why = age_verdict(dataset, newest, since, now)
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM)),
        check_name=RECENT,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=why,
    )


def _lag_evaluations(
    instance: dg.DagsterInstance, dataset: Dataset, state: PollState, now: float
) -> list[dg.AssetCheckEvaluation]:
    """A failure of `up_to_date` when the version shown has been there for a while and `raw` has not seen it.

    The check itself is made by the run of `documents`. This is the lag that no run can see, because none was made:
    automation that stands still, or runs that fail before `documents`.
    """
    facts = _latest_facts(instance, dg.AssetKey(asset_key(dataset.name, Layer.RAW)))
    taken_in = facts.get("upstream version")
    waited = now - state.since
    patience = _POLLS_BEFORE_LAG * poll_interval(dataset).total_seconds()
    if taken_in is None or taken_in == state.version or waited < patience:
        return []
    return [
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset_key(dataset.name, Layer.DOCUMENTS)),
            check_name=UP_TO_DATE,
            passed=False,
            severity=dg.AssetCheckSeverity.ERROR,
            metadata={
                "problems": f"the upstream has shown {state.version} since {_clock(state.since)}, and {taken_in} is "
                f"what was taken in: look at the runs of {dataset.name}, or run `mediatech update --datasets "
                f"{dataset.name}`"
            },
        )
    ]


def _latest_facts(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, object]:
    event = instance.get_latest_materialization_event(key)
    materialization = event.asset_materialization if event else None
    return {name: fact.value for name, fact in materialization.metadata.items()} if materialization else {}


def _skipped(state: PollState, reason: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=state.as_cursor())


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment))
