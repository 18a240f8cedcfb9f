"""The pictures of a review page: the same bytes each time, one of each identifier, text inside its box."""

import re
from datetime import datetime, timedelta

import pytest
from lxml import etree

from mediatech_assets.release.lineage import Step, broken, lineage_svg
from mediatech_assets.release.review_facts import Lengths, PastRelease
from mediatech_assets.release.review_plots import counts_plot, lengths_in_words, lengths_plot, scores_plot
from mediatech_assets_tests.services.test_evaluation_plot import GROUNDS, contrast

FIRST = datetime(2026, 1, 1)


def history(count: int) -> list[PastRelease]:
    return [
        PastRelease(f"202601{n:02}-{n:08x}", FIRST + timedelta(days=n), 1_000 + n, 3_000 + n, 0.8, 0.7, 95)
        for n in range(count)
    ]


def drawings(count: int) -> list[str]:
    lengths = Lengths({length: 1 + length % 7 for length in range(1, 250)}, "tokens", 256, 90)
    return [counts_plot(history(count)), lengths_plot(lengths), scores_plot(history(count))]


def test_the_same_figures_give_the_same_bytes():
    assert drawings(3) == drawings(3)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_a_page_may_hold_all_pictures_at_once(count):
    """Identifiers are unique in a page, and what refers to them finds them in the same picture."""
    found: list[str] = []
    for drawn in drawings(count):
        root = etree.fromstring(drawn)
        own = [name for element in root.iter() if (name := element.get("id"))]
        used = re.findall(r"(?:url\(|href=\")#([^)\"]+)", drawn)
        assert used
        assert set(used) <= set(own)
        found += own
    assert len(found) == len(set(found))


def test_pictures_say_what_they_show_and_leave_the_page_alone():
    for drawn in drawings(2):
        root = etree.fromstring(drawn)
        assert root.get("role") == "img"
        assert re.search(r"\d", root.get("aria-label") or "")
        assert not root.findall(".//{*}style")
        assert not root.findall(".//{*}metadata")
        assert "currentColor" in drawn
        assert "#767676" not in drawn


def test_every_line_can_be_seen_on_light_and_dark_pages():
    colours = {
        colour for drawn in drawings(2) for colour in re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", drawn)
    }
    assert len(colours) == 3
    for colour in colours:
        assert min(contrast(colour, ground) for ground in GROUNDS) >= 3, colour


def test_a_gap_where_nothing_was_measured():
    past = history(3)
    gap = [past[0], PastRelease("x-1", None, 1, 1), past[2]]
    assert scores_plot(gap) != scores_plot(past)


@pytest.mark.parametrize("counts", [{0: 1}, {5: 3}, {100_000: 1}, {1: 10_000_000, 2: 1}])
def test_any_lengths_are_drawn(counts):
    assert etree.fromstring(lengths_plot(Lengths(counts, "characters", None, None))) is not None


def test_lengths_in_words_tell_the_median():
    assert lengths_in_words(Lengths({10: 2, 20: 1, 400: 2}, "tokens", 512, 5)) == (
        "5 chunks, median 20 tokens, longest 400"
    )


def test_text_of_the_lineage_is_broken_at_the_width_of_its_box():
    assert broken("un deux trois", 7) == ["un deux", "trois"]
    assert broken("sha256:0123456789abcdef", 10) == ["sha256:012", "3456789abc", "def"]
    assert broken("mot 0123456789ab fin", 10) == ["mot", "0123456789", "ab fin"]


@pytest.mark.parametrize("columns", [1, 3])
def test_the_lineage_joins_each_step_with_the_next(columns):
    steps = [Step(f"step {n}", (f"fact <{n}>", "x" * 200)) for n in range(6)]

    root = etree.fromstring(lineage_svg(steps, columns))

    assert len(root.findall(".//{*}rect")) == 6
    assert len(root.findall(".//{*}path[@class='arrow']")) == 5
    assert "fact <3>" in [text.text for text in root.iter("{*}text")]
    assert max(len(text.text or "") for text in root.iter("{*}text")) <= 40
