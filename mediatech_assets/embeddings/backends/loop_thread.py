"""An event loop in a thread of its own, so that code without `async` can have many requests under way.

What belongs here: starting the thread, handing it coroutines, and ending both. What does not: any request.

A thread, and not `asyncio.run`, because requests go on while the caller stores what came back, and because the
caller may have a running loop itself (a notebook has).
"""

import asyncio
import sys
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")

_SECONDS_TO_END = 5.0


class LoopThread:
    """A running event loop.

    The thread is a daemon: a process that ends does not wait for answers that nobody will read.

    Args:
        name: Name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, Result]) -> "Future[Result]":
        """Starts a coroutine and returns at once."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine; it is cancelled when the caller is interrupted."""
        future = self.submit(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Coroutine[Any, Any, object]) -> None:
        """Cancels whatever still runs, and ends the thread.

        Args:
            last: Run when nothing else does, such as to close connections.
        """
        if sys.is_finalizing():  # the thread stands still
            last.close()
            return
        self.submit(_end(last)).result(_SECONDS_TO_END)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS_TO_END)
        if not self._thread.is_alive():
            self._loop.close()


async def _end(last: Coroutine[Any, Any, object]) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await last
