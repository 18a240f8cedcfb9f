"""Polling an upstream: what it shows now, asked in a hurry and politely.

What belongs here: one poll, when the next one may be made, how old the newest publication is, and the poll as an
event. What does not: sensors (`sensors.py`), and fetching what is new (the layer `raw`).
"""

import json
import queue
import threading
import time
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import dagster as dg
import httpx

from mediatech_assets.datasets.base import Dataset
from mediatech_assets.errors import MediatechError, UpstreamError
from mediatech_assets.layers import Layer, asset_key
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.records import upstream_version
from mediatech_assets.retries import seconds_to_wait
from mediatech_assets.settings import Settings
from mediatech_assets.sources.download import RememberedPage

#: A tick of a sensor may take 60 s; what a host does not say in this time it says at the next poll.
POLL_SECONDS = 40.0
_REQUEST_SECONDS = 10.0

_POLLS_A_CADENCE = 24
#: Polls missed until a dataset counts as late, and until somebody must look.
_POLLS_TO_WARN, _POLLS_TO_FAIL = 6, 24
_SHORTEST_INTERVAL = timedelta(minutes=15)
_LONGEST_INTERVAL = timedelta(hours=6)
#: However long a host has been in trouble, or asks us to wait, it is asked again after this time.
_LONGEST_PAUSE = timedelta(hours=12)

_STAMP_FORMAT = "%Y%m%d-%H%M%S"

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Poll:
    """What an upstream showed.

    Args:
        version: Changes when, and only when, what it offers changes.
        newest: Stamp of the newest file: a time, or an ETag where the host gives no time.
        files: Files that it lists.
        seconds: What the poll took.
    """

    version: str
    newest: str
    files: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PollState:
    """What a sensor remembers from poll to poll.

    Args:
        version: Version shown by the last successful poll; empty before the first.
        since: When that version was first seen, seconds since 1970.
        failures: Polls failed in a row.
        not_before: When the next poll may be made, seconds since 1970; 0 when nothing speaks against it.
    """

    version: str = ""
    since: float = 0.0
    failures: int = 0
    not_before: float = 0.0

    @classmethod
    def from_cursor(cls, cursor: str | None) -> "PollState":
        """The state in a sensor's cursor; a cursor that is not ours (an older form) starts anew."""
        try:
            return cls(**json.loads(cursor or "{}"))
        except (TypeError, ValueError):
            return cls()

    def as_cursor(self) -> str:
        """The state as a sensor's cursor."""
        return json.dumps(asdict(self))

    def after(self, poll: Poll, now: float) -> "PollState":
        """The state after a successful poll."""
        return PollState(poll.version, self.since if poll.version == self.version else now)

    def after_failure(self, error: Exception, interval: timedelta, now: float) -> "PollState":
        """The state after a failed poll: the pause doubles from failure to failure, and what the host asks counts."""
        failures = self.failures + 1
        pause = min(interval * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
        wanted = min(_retry_after(error, now), _LONGEST_PAUSE)
        return replace(self, failures=failures, not_before=now + max(pause, wanted).total_seconds())


def poll_interval(dataset: Dataset) -> timedelta:
    """Time between two polls: a small part of the upstream's cadence, so that what is new is seen soon."""
    return min(max(dataset.cadence / _POLLS_A_CADENCE, _SHORTEST_INTERVAL), _LONGEST_INTERVAL)


def freshness_windows(dataset: Dataset) -> tuple[timedelta, timedelta]:
    """Time without a successful poll until a dataset counts as late, and until somebody must look."""
    interval = poll_interval(dataset)
    return _POLLS_TO_WARN * interval, _POLLS_TO_FAIL * interval


def poll(settings: Settings, dataset: Dataset, pages: MutableMapping[str, RememberedPage]) -> Poll:
    """Asks the upstream of a dataset what it offers: one listing, or one HEAD a file; one attempt, short time-outs.

    Args:
        settings: The settings of the installation.
        dataset: The dataset.
        pages: Listings read before: where the host allows it they are sent again only if they changed.

    Raises:
        MediatechError: the upstream cannot be read, or not in time.
    """
    hurried = settings.model_copy(
        update={"http_timeout": min(settings.http_timeout, _REQUEST_SECONDS), "http_attempts": 1}
    )
    started = time.monotonic()
    # Time-outs of requests do not bound a host that sends a byte a second.
    published = _in_time(
        lambda: Platform(hurried, read_only=True).published(dataset, pages),
        POLL_SECONDS,
        f"the upstream of {dataset.name}",
    )
    return Poll(
        version=upstream_version(published),
        newest=max(file.stamp for file in published),
        files=len(published),
        seconds=round(time.monotonic() - started, 3),
    )


def poll_event(
    dataset: str, version: str, newest: str, **facts: int | float | str | dg.MetadataValue
) -> dg.AssetMaterialization:
    """A successful poll, as an event of the upstream's asset.

    Args:
        dataset: Name of the dataset.
        version: The upstream's version, which becomes the asset's data version.
        newest: Stamp of its newest file.
        facts: Further metadata; underscores become spaces.
    """
    return dg.AssetMaterialization(
        asset_key=dg.AssetKey(asset_key(dataset, Layer.UPSTREAM)),
        metadata={
            "newest published": newest,
            **{name.replace("_", " "): fact for name, fact in facts.items()},
        },
        tags={"dagster/data_version": version},
    )


def published_at(stamp: str) -> datetime | None:
    """The time in a stamp: an archive's, or ISO 8601; nothing when it is an ETag."""
    try:
        moment = datetime.strptime(stamp, _STAMP_FORMAT)  # UTC
    except ValueError:
        try:
            moment = datetime.fromisoformat(stamp)
        except ValueError:
            return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def age_verdict(dataset: Dataset, newest: str, since: float, now: float) -> tuple[bool, str]:
    """Whether the newest publication is younger than the longest usual pause of the upstream, and why.

    Args:
        dataset: The dataset.
        newest: Stamp of the newest file.
        since: When that version was first seen, seconds since 1970, which counts where the stamp is no time; 0 when
            nobody knows.
        now: Seconds since 1970.
    """
    published = published_at(newest)
    moment = published.timestamp() if published else since
    if not moment:
        return True, f"{newest}: the host gives no time, and the version is seen for the first time"
    age = timedelta(seconds=int(now - moment))
    shown = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
    known = "published" if published else "first seen"
    return (
        age <= dataset.late_after,
        f"{known} {shown}, {age.days} days ago; late after {dataset.late_after.days}",
    )


def _retry_after(error: Exception, now: float) -> timedelta:
    """How long the host asks us to wait; nothing when it does not."""
    cause = error.__cause__
    wanted = cause.response.headers.get("Retry-After", "") if isinstance(cause, httpx.HTTPStatusError) else ""
    return timedelta(seconds=seconds_to_wait(wanted, datetime.fromtimestamp(now, UTC)) or 0.0)


def _in_time(work: Callable[[], Result], seconds: float, what: str) -> Result:
    """The result of `work`, which is left alone when it takes longer: it only reads, and ends with the process."""
    answers: queue.SimpleQueue[Result | Exception] = queue.SimpleQueue()

    def run() -> None:
        try:
            answers.put(work())
        except Exception as error:  # raised where it is waited for
            answers.put(error)

    threading.Thread(target=run, name=f"poll: {what}", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise UpstreamError(
            f"{what} did not answer within {seconds:g} s", "nothing to do: it is asked again later"
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


#: Errors of a poll that are the upstream's, or a setting's: told as a skipped tick.
POLL_ERRORS = (MediatechError, OSError)
