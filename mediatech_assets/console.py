"""What a person sees while a long command runs.

What belongs here: progress bars and log lines on the console. What does not: which commands there are
(`cli/`), and how a step says how far it is (`progress.py`).
"""

import logging

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mediatech_assets.progress import Advance


class TerminalReporter:
    """Bars on a terminal, one a step, removed when the step ends."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._tasks: list[TaskID] = []

    def __enter__(self) -> "TerminalReporter":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def start(self, title: str, total: int | None, unit: str) -> Advance:
        """See `progress.Reporter.start`."""
        task = self._progress.add_task(title, total=total, unit=unit)
        self._tasks.append(task)
        return lambda count: self._progress.advance(task, count)

    def stop(self) -> None:
        """See `progress.Reporter.stop`."""
        self._progress.remove_task(self._tasks.pop())


def line_handler(console: Console) -> logging.Handler:
    """A handler that writes whole lines: above the bars on a terminal, with the time elsewhere."""
    handler = _ConsoleHandler(console)
    pattern = "%(message)s" if console.is_terminal else "%(asctime)s %(message)s"
    handler.setFormatter(logging.Formatter(pattern, datefmt="%H:%M:%S"))
    return handler


class _ConsoleHandler(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        self._console.print(self.format(record), markup=False, highlight=False, soft_wrap=True)
