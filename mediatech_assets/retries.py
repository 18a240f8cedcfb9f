"""How retries are told to people: one line of the log each.

What belongs here: the hook. What does not: what is tried again and how often (the callers know).
"""

import logging

import httpx
import stamina

_LOG = logging.getLogger(__name__)


def log_retries() -> None:
    """Has every retry of this process logged by us; call it before anything is tried again.

    By itself stamina tells structlog, which Dagster installs and which prints to standard output: `--json` promises
    that nothing else stands there.
    """
    stamina.instrumentation.set_on_retry_hooks([_log_retry])


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    error = details.caused_by
    status = error.response.status_code if isinstance(error, httpx.HTTPStatusError) else None
    what = f"answered {status}" if status else f"{type(error).__name__}: {error}"
    where = error.request.url if isinstance(error, httpx.RequestError | httpx.HTTPStatusError) else ""
    _LOG.warning("%s %s: trying again in %.1f s", where, what, details.wait_for)
