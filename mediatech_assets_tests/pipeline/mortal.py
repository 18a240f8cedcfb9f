"""Moments of an update, counted in statements to DuckDB, and a command line that dies (SIGKILL) at one of them.

What belongs here: counting and dying. Statements make all that an update changes, and an update makes the same ones
in the same order, so that a number names a moment that another run finds again.

    python -m mediatech_assets_tests.pipeline.mortal N update --datasets cnil …
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pytest

from mediatech_assets.cli import main


@contextmanager
def before_each_statement(happens: Callable[[], None]) -> Iterator[None]:
    """Calls `happens` before each statement that this process gives to DuckDB in the block."""

    def watched(statement: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            happens()
            return statement(*arguments, **options)

        return run

    with pytest.MonkeyPatch.context() as patched:
        for name in ("execute", "executemany"):
            statement = getattr(duckdb.DuckDBPyConnection, name)
            patched.setattr(duckdb.DuckDBPyConnection, name, watched(statement))
        yield


class Countdown:
    """Ends this process, without any warning, when it was called often enough.

    Args:
        calls: Number of the call that ends it, from 1.
    """

    def __init__(self, calls: int) -> None:
        self._left = calls

    def __call__(self) -> None:
        """One call less."""
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with before_each_statement(Countdown(int(sys.argv.pop(1)))):
        main()
