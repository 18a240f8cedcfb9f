"""Progress of long steps, shown by whoever runs them.

What belongs here: the way a step says how far it is, and the plain-log reporter. What does not: terminal
drawing (the command line installs its own reporter).
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_LOG = logging.getLogger("mediatech.progress")
_SECONDS_BETWEEN_LINES = 5.0

#: Called with the number of units done since the last call.
Advance = Callable[[int], None]


class Reporter(Protocol):
    """Shows the progress of one step at a time."""

    def start(self, title: str, total: int | None, unit: str) -> Advance:
        """A step begins; the returned function is called as it advances."""
        ...

    def stop(self) -> None:
        """The step that was started last has ended."""
        ...


class LogReporter:
    """Writes a log line every few seconds: for logs, pipes and the Dagster UI."""

    def start(self, title: str, total: int | None, unit: str) -> Advance:
        """See `Reporter.start`."""
        done, last = 0, time.monotonic()

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= _SECONDS_BETWEEN_LINES:
                last = now
                of_total = f" of {total:,}" if total else ""
                _LOG.info("%s: %s%s %s", title, f"{done:,}", of_total, unit)

        return advance

    def stop(self) -> None:
        """See `Reporter.stop`."""


_reporter: ContextVar[Reporter] = ContextVar("mediatech_progress", default=LogReporter())  # noqa: B039


@contextmanager
def track(title: str, total: int | None, unit: str) -> Iterator[Advance]:
    """Shows a step while the block runs.

    Args:
        title: What is done, such as `legi: parsing`.
        total: Number of units expected, when known.
        unit: What is counted, in the plural.

    Yields:
        A function to call with the number of units just done.
    """
    reporter = _reporter.get()
    advance = reporter.start(title, total, unit)
    try:
        yield advance
    finally:
        reporter.stop()


@contextmanager
def shown_by(reporter: Reporter) -> Iterator[None]:
    """Uses `reporter` for every step started in the block."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)
