"""Retries: how they are told to people, one line of the log each, and how long a host asks to wait.

What belongs here: the hook, and reading Retry-After. What does not: what is tried again and how often (callers know).
"""

import logging
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import stamina

_LOG = logging.getLogger(__name__)

_SECONDS = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)


def log_retries() -> None:
    """Has every retry of this process logged by us; call it before anything is tried again.

    By itself stamina tells structlog, which Dagster installs and which prints to standard output: `--json` promises
    that nothing else stands there.
    """
    stamina.instrumentation.set_on_retry_hooks([_log_retry])


def seconds_to_wait(retry_after: str, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3); nothing if neither."""
    seconds = written_seconds(retry_after)
    if seconds is not None:
        return seconds
    try:
        until = parsedate_to_datetime(retry_after.strip())
    except (TypeError, ValueError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - (now or datetime.now(UTC))).total_seconds())


def written_seconds(text: str) -> float | None:
    """A number of seconds as a header holds it, in ASCII digits; nothing for anything else."""
    return float(text) if _SECONDS.fullmatch(text.strip()) else None


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    error = details.caused_by
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    what = f"answered {status}" if status else f"{type(error).__name__}: {error}"
    where = error.request.url if isinstance(error, httpx.RequestError | httpx.HTTPStatusError) else ""
    _LOG.warning("%s %s: trying again in %.1f s", where, what, details.wait_for)
