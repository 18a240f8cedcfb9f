"""How fast a service is asked: as many requests at once as it bears, and pauses when it asks for one.

What belongs here: the limit that adapts, pauses, and waits between attempts. What does not: what a request is,
or which answers mean that the service is overloaded.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


class StoppedError(Exception):
    """A request that was not sent, because another one failed for good."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """Patience with a service.

    Args:
        attempts: Attempts for each request.
        first_wait: Seconds before the second attempt; each later wait is twice as long.
        longest_wait: Most seconds between two attempts. With eight attempts the waits add up to a minute: the
            window in which the Albert API counts requests and tokens. A service that asks for a longer wait
            (a quota a day) ends the run instead.
        sleep: How to wait.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 120.0
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    def wait_after(self, attempt: int) -> float:
        """Seconds to wait after a failed attempt, counted from 1; spread, so that clients do not come together."""
        wait = min(self.first_wait * 2 ** (attempt - 1), self.longest_wait)
        return wait * random.uniform(0.8, 1.2)  # noqa: S311 - nothing secret


class AdaptiveLimit:
    """Requests at the same time: half as many after a failure, one more after a run of successes.

    A failure counts once for all the requests that were under way with it: they tell of the same overload.

    Args:
        most: Requests at the same time to begin with, and at most.
        pacing: How to wait.
    """

    def __init__(self, most: int, pacing: Pacing) -> None:
        self.pacing = pacing
        self._most = most
        self._limit = most
        self._under_way = 0
        self._pauses = 0
        self._successes = 0
        self._failures = 0
        self._stopped = False
        self._changed = asyncio.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return self._limit

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Waits for its turn, and holds a place while the request is under way.

        Yields:
            Failures until now, for `failed` and `succeeded`.

        Raises:
            StoppedError: `stop` was called.
        """
        async with self._changed:
            await self._changed.wait_for(self._is_open)
            if self._stopped:
                raise StoppedError
            self._under_way += 1
        try:
            yield self._failures
        finally:
            self._under_way -= 1
            await self._tell()

    def succeeded(self, failures_before: int) -> None:
        """Notes a success; requests sent before the last failure prove nothing about the lower limit."""
        if failures_before != self._failures:
            return
        self._successes += 1
        if self._successes >= self._limit < self._most:
            self._limit += 1
            self._successes = 0

    def failed(self, failures_before: int) -> None:
        """Notes a sign of overload."""
        self._successes = 0
        if failures_before == self._failures:
            self._failures += 1
            self._limit = max(1, self._limit // 2)

    async def pause(self, seconds: float) -> None:
        """Waits, and keeps every request that is not under way yet waiting as well."""
        self._pauses += 1
        try:
            await self.pacing.sleep(seconds)
        finally:
            self._pauses -= 1
            await self._tell()

    async def stop(self) -> None:
        """No further request is sent."""
        self._stopped = True
        await self._tell()

    def _is_open(self) -> bool:
        return self._stopped or (self._pauses == 0 and self._under_way < self._limit)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
