"""The picture of the history: the same bytes each time, small, readable on any page."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lxml import etree

from mediatech_assets.evaluation.history import Run, Subject
from mediatech_assets.evaluation.metrics import Scores
from mediatech_assets.evaluation.plot import history_svg
from mediatech_assets.evaluation.run import ALL, MODES

GROUNDS = ("#ffffff", "#0d1117")


def history(count: int, unmeasured: Sequence[str] = ()) -> list[Run]:
    first = datetime(2026, 1, 1, 12)
    subject = Subject("use", "f" * 8, "sheets-1", "index", "questions", "code")
    return [
        Run(
            run_at=first + timedelta(days=n),
            subject=subject,
            scores={
                (mode, ALL): Scores(100, 0.1, 0.2, 0.4 + 0.1 * place + 0.013 * (n * n % 17), 0.3, 0.3, 0.3)
                for place, mode in enumerate(MODES)
                if mode not in unmeasured
            },
            ranks={},
        )
        for n in range(count)
    ]


def test_the_same_runs_give_the_same_bytes():
    assert history_svg(history(5)) == history_svg(history(5))
    assert history_svg(history(5)) != history_svg(history(6))


def test_a_long_history_stays_small_and_shows_the_newest_runs():
    runs = history(500)
    drawn = history_svg(runs)
    assert len(drawn.encode()) < 60_000
    changed = [replace(runs[0], scores={}), *runs[1:]]
    assert history_svg(changed) == drawn


def test_the_picture_is_xml_without_text_dates_of_drawing_or_a_ground():
    root = etree.fromstring(history_svg(history(3)).encode())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert not root.findall(".//{*}text")
    assert not root.findall(".//{http://purl.org/dc/elements/1.1/}date")


def test_every_colour_can_be_seen_on_light_and_dark_pages():
    colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", history_svg(history(3))))
    assert len(colours) >= 4
    for colour in colours:
        assert min(contrast(colour, ground) for ground in GROUNDS) >= 4, colour


def test_no_run_one_run_and_a_mode_that_was_never_measured_are_drawn():
    drawings = [history_svg(runs) for runs in ([], history(1), history(3), history(3, ["dense"]))]
    assert len(set(drawings)) == len(drawings)


def contrast(colour: str, ground: str) -> float:
    """Contrast ratio of WCAG 2."""
    darker, lighter = sorted((luminance(colour), luminance(ground)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
