"""Progress: steps report to whoever listens, and logs stay short."""

import logging

import pytest
from rich.console import Console

from mediatech_assets.console import TerminalReporter, line_handler
from mediatech_assets.progress import Advance, LogReporter, shown_by, track


class Notes:
    """A reporter that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def start(self, title: str, total: int | None, unit: str) -> Advance:
        self.said.append((title, total, unit))
        return self.said.append

    def stop(self) -> None:
        self.said.append("stop")


def test_a_step_tells_the_reporter_of_the_block_even_when_it_fails():
    notes = Notes()
    with shown_by(notes):
        with track("legi: parsing", 10, "documents") as advance:
            advance(4)
            advance(6)
        with pytest.raises(ValueError, match="bad"), track("legi: splitting", None, "documents"):
            raise ValueError("bad")
    with track("nobody looks", 1, "things") as advance:
        advance(1)
    assert notes.said == [
        ("legi: parsing", 10, "documents"), 4, 6, "stop", ("legi: splitting", None, "documents"), "stop",
    ]  # fmt: skip


def test_a_log_gets_a_line_every_five_seconds(monkeypatch, caplog):
    clock = iter([0.0, 1.0, 4.9, 5.1, 6.0, 11.0])
    monkeypatch.setattr("mediatech_assets.progress.time.monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO, logger="mediatech.progress"):
        advance = LogReporter().start("legi: parsing", 5_000, "documents")
        for _ in range(5):
            advance(1_000)
    assert caplog.messages == [
        "legi: parsing: 3,000 of 5,000 documents",
        "legi: parsing: 5,000 of 5,000 documents",
    ]


def test_nested_steps_on_a_terminal_are_shown_and_leave_nothing():
    console = Console(force_terminal=True, width=120, record=True)
    with console.capture() as captured, TerminalReporter(console) as reporter, shown_by(reporter):
        with track("outer", 2, "files") as outer, track("inner [bold]", None, "rows") as inner:
            inner(5)
            outer(1)
        assert reporter._tasks == []
    assert "outer" in captured.get()


def test_lines_of_the_log_are_written_as_they_are():
    console = Console(width=20)
    logger = logging.getLogger("mediatech.test_progress")
    logger.propagate = False
    handler = line_handler(console)
    logger.addHandler(handler)
    try:
        with console.capture() as captured:
            logger.warning("a long line of the log with [brackets] in it")
    finally:
        logger.removeHandler(handler)
    assert captured.get().endswith("a long line of the log with [brackets] in it\n")
