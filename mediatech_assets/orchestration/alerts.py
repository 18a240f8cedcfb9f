"""Alerts: failed runs and late data, told to people through Apprise (mail, Matrix and Tchap, Mattermost…).

What belongs here: when something is told, and sending it. What does not: what counts as late (`polling.py` and the
checks). Nothing is sent unless MEDIATECH_ALERTS names an address. Addresses hold tokens and passwords: they stand in no
log, message or error.
"""

import json
import logging
import time
from typing import TYPE_CHECKING

import dagster as dg

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.datasets.registry import all_datasets
from mediatech_assets.errors import ConfigurationError, MediatechError
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.polling import freshness_windows
from mediatech_assets.orchestration.resources import PlatformResource
from mediatech_assets.orchestration.sensors import RECENT, UP_TO_DATE, sensor_status
from mediatech_assets.settings import Settings

if TYPE_CHECKING:
    import apprise

#: Characters of an error that are told; the rest is in the UI.
_LONGEST_MESSAGE = 1_000
_LATE_DATA_SECONDS = 900


class AlertError(MediatechError):
    """An alert that could not be sent."""


def notify(settings: Settings, title: str, body: str) -> None:
    """Tells every address of MEDIATECH_ALERTS; nothing when there is none.

    Raises:
        ConfigurationError: Apprise does not know an address.
        AlertError: an address did not take it.
    """
    for position, sender in enumerate(_senders(settings), start=1):
        if not sender.notify(title=title, body=body):
            raise AlertError(
                f"address {position} of MEDIATECH_ALERTS did not take the alert {title!r}",
                "check that the service answers and that the address's secret is valid",
            )


def known_addresses(settings: Settings) -> int:
    """How many addresses of MEDIATECH_ALERTS Apprise can send to; nothing is sent.

    Raises:
        ConfigurationError: Apprise does not know an address.
    """
    return len(_senders(settings))


def _senders(settings: Settings) -> "list[apprise.Apprise]":
    addresses = settings.alerts.get_secret_value().split()
    if not addresses:
        return []
    import apprise

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs addresses
    senders = []
    for position, address in enumerate(addresses, start=1):
        sender = apprise.Apprise()
        if not sender.add(address):
            raise ConfigurationError(
                f"address {position} of MEDIATECH_ALERTS is none that Apprise knows",
                "write it as https://github.com/caronc/apprise/wiki shows for the service",
            )
        senders.append(sender)
    return senders


def alert_sensors(*, automation: bool, configured: bool) -> list[dg.SensorDefinition]:
    """The sensors that tell people; stopped unless an address is configured and the installation works by itself."""
    status = sensor_status(automation=automation and configured)
    return [_on_failure(status), _on_late_data(status)]


def _on_failure(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="alert_on_failure",
        description="Tells people of each failed run, if MEDIATECH_ALERTS names an address.",
        default_status=status,
    )
    def alert_on_failure(context: dg.RunFailureSensorContext, platform: PlatformResource) -> None:
        run = context.dagster_run
        what = run.tags.get("dataset", run.job_name)
        reasons = [
            event.step_failure_data.user_failure_data.description
            for event in context.get_step_failure_events()
            if event.step_failure_data.user_failure_data
        ]
        reason = "\n".join(filter(None, reasons)) or context.failure_event.message or "no reason is known"
        try:
            notify(
                platform.platform.settings,
                f"mediatech: a run of {what} failed",
                f"{reason[:_LONGEST_MESSAGE]}\nRun {run.run_id}",
            )
        except MediatechError as error:
            context.log.error(str(error))

    return alert_on_failure


def _on_late_data(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="alert_on_late_data",
        minimum_interval_seconds=_LATE_DATA_SECONDS,
        description="Tells people when an upstream is not polled, publishes nothing or is not taken in; and when that "
        "is over. If MEDIATECH_ALERTS names an address.",
        default_status=status,
    )
    def alert_on_late_data(
        context: dg.SensorEvaluationContext, platform: PlatformResource
    ) -> dg.SensorResult:
        told = set(json.loads(context.cursor or "[]"))
        now = time.time()
        late = {
            f"{dataset.name}: {problem}": reason
            for dataset in all_datasets().values()
            for problem, reason in late_data(context.instance, dataset, now).items()
        }
        new, over = sorted(late.keys() - told), sorted(told - late.keys())
        if not new and not over:
            return dg.SensorResult(
                skip_reason=f"{len(late)} known problem(s), nothing new", cursor=context.cursor
            )
        lines = [f"{name} ({late[name]})" for name in new] + [f"over: {name}" for name in over]
        try:
            notify(
                platform.platform.settings,
                "mediatech: late data" if new else "mediatech: late data is over",
                "\n".join(lines),
            )
        except MediatechError as error:
            # Not remembered: told at a later tick.
            context.log.error(str(error))
            return dg.SensorResult(skip_reason=str(error), cursor=context.cursor)
        return dg.SensorResult(skip_reason="\n".join(lines), cursor=json.dumps(sorted(late)))

    return alert_on_late_data


def late_data(instance: dg.DagsterInstance, dataset: Dataset, now: float) -> dict[str, str]:
    """What is late about a dataset: the problem, and why one thinks so; nothing of one that was never polled."""
    upstream = dg.AssetKey(asset_key(dataset.name, Layer.UPSTREAM))
    poll = instance.get_latest_materialization_event(upstream)
    if poll is None:
        return {}
    found = {}
    silence = now - poll.timestamp
    if silence > freshness_windows(dataset)[1].total_seconds():
        found["its upstream is not polled"] = f"last poll {silence / 3600:.0f} hours ago"
    checks = {
        dg.AssetCheckKey(upstream, RECENT): "its upstream publishes nothing",
        dg.AssetCheckKey(
            dg.AssetKey(asset_key(dataset.name, Layer.DOCUMENTS)), UP_TO_DATE
        ): "what was published is not taken in",
    }
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(checks))
    for key, problem in checks.items():
        evaluation = records[key].evaluation if key in records else None
        if evaluation is not None and not evaluation.passed:
            facts = evaluation.metadata.get("problems")
            found[problem] = str(evaluation.description or (facts.value if facts else f"check {key.name}"))
    return found
