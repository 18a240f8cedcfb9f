"""Declarative automation: what starts by itself, and why each term is there.

What belongs here: the conditions of the built layers, as named policies, and the sensors that evaluate them. What
does not: what an upstream showed (`sensors.py`) and fixed hours (`schedules.py`). Assets of publication have no
condition: nothing is published unless a person asks for it.

Conditions are made of Dagster's own terms only, so that the daemon evaluates them and the UI shows why each asset was
or was not requested.
"""

import dagster as dg
from dagster import AutomationCondition as When

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.layers import BUILT_LAYERS, Layer, asset_key
from mediatech_assets.orchestration.sensors import sensor_status

TIMEZONE = "Europe/Paris"

#: When what failed is asked for again. Each serves once, then something new must happen: within two hours, within
#: four, the next night. No two fall on the same hour, which would spend two retries on one run.
RETRY_CRONS = ("0 1-23/2 * * *", "0 2-22/4 * * *", "0 4 * * *")

#: When `raw` looks again for a file that could not be fetched or read: the listing does not change when it is mended.
MEND_CRON = "30 4 * * *"

#: Seconds between two evaluations: a day's work need not start within half a minute, and SQLite has other readers.
_INTERVAL_SECONDS = 60


def automation_condition(layer: Layer) -> When:
    """When a built layer is made without anybody asking for it."""
    return _RAW if layer is Layer.RAW else _NEXT_LAYERS


def automation_sensor_name(dataset: str) -> str:
    """Name of the sensor that evaluates a dataset's conditions."""
    return f"{dataset}_automation"


def automation_sensor(dataset: Dataset, *, automation: bool) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates a dataset's conditions.

    One a dataset: one sensor for all would put what it requests in a tick into one run, where the failure of a
    dataset would fail the others' retries with it.
    """
    return dg.AutomationConditionSensorDefinition(
        automation_sensor_name(dataset.name),
        target=dg.AssetSelection.assets(
            *(dg.AssetKey(asset_key(dataset.name, layer)) for layer in BUILT_LAYERS)
        ),
        # Stopped is Dagster's default, even where assets have conditions.
        default_status=sensor_status(automation=automation),
        minimum_interval_seconds=_INTERVAL_SECONDS,
        run_tags={"dataset": dataset.name},
        description=f"Makes the layers of {dataset.name} when its upstream has changed.",
        tags={"dataset": dataset.name},
    )


def _retry(something_new: When) -> When:
    """What failed, asked for again at the next of each of `RETRY_CRONS`.

    A requested run that fails is not requested again by itself: one evening without the embedding service cost a day.
    Without a bound, an archive that breaks a layer would run for ever. So each retry is spent at its first hour, and
    they are all there again when the asset is made, or when there is something new to make it of.

    An hour that passes while the last execution is a failed one is written as `since` inside `since`, not with `&`:
    Dagster 1.13 names the memory of a `since` by the kinds of what is directly below it, so that three of them over an
    `&` shared one memory and retried for ever.
    """
    made_or_new = When.newly_updated() | something_new
    # A run that fails between two ticks was never seen as anything but failed: a request ends the former failure, too.
    not_failed = ~When.execution_failed() | When.newly_requested()
    first, *others = (
        When.cron_tick_passed(cron, TIMEZONE).since(not_failed).since(made_or_new).newly_true()
        for cron in RETRY_CRONS
    )
    for other in others:
        first = first | other
    return first.with_label(f"failed, and not yet asked for again {len(RETRY_CRONS)} times")


def _policy(name: str, something_new: When, *others: When) -> When:
    """Made when missing or when there is something new, if nothing stands against it."""
    handled = When.newly_requested() | When.newly_updated()
    wanted = (
        # Not `since_last_handled`: it forgets what is missing at its first evaluation, so that a dataset whose upstream
        # was polled before this sensor's first tick waited for the upstream's next version.
        (When.newly_missing() | something_new).since(handled).with_label("missing, or something new")
        | _retry(something_new)
    )
    for other in others:
        wanted = wanted | other
    return (
        wanted
        # An upstream that was never seen, or a layer that failed at its first try: there is nothing to read.
        & ~When.any_deps_missing()
        # The layer before is being made, by `mediatech update` or by hand: its result comes first.
        & ~When.any_deps_in_progress()
        # A poll during a long run would queue a second run of the same dataset, which waits for its lock and fails.
        & ~When.in_progress()
        # A layer whose blocking check failed was made all the same: without this term the next tick built a release of
        # an index that finds nothing.
        & When.all_deps_blocking_checks_passed()
    ).with_label(name)


#: `eager` reacts to every materialisation of what it depends on. A poll is one: each hour all layers ran again, for
#: nothing. The version is what counts.
_UPSTREAM_CHANGED = When.any_deps_match(When.data_version_changed()).with_label(
    "the upstream has another version"
)

#: The layer before was made by another run than one that makes this layer too, or is about to be.
_LAYER_BEFORE_MADE = When.any_deps_updated()

_RAW = _policy(
    "raw: when the upstream has another version",
    _UPSTREAM_CHANGED,
    # A file that could not be fetched stays in the listing, whose version does not change when it is mended.
    (When.cron_tick_passed(MEND_CRON, TIMEZONE) & When.any_checks_match(When.check_failed())).with_label(
        "a file could not be read: looked at again each night"
    ),
)

_NEXT_LAYERS = _policy(
    "next layers: when the layer before was made",
    # A new parser, splitter or model replays what is held, without waiting for the upstream.
    _LAYER_BEFORE_MADE | When.code_version_changed(),
)
