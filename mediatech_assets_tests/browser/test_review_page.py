"""The review page in a real browser, opened from disk: complete, readable at any width, and asking for nothing.

The pages are of a real run (the law of the sample upstream on two of its days), and one that holds every section with
hostile texts in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Page

from mediatech_assets.datasets.registry import dataset_named
from mediatech_assets.errors import ConfigurationError
from mediatech_assets.layers import BUILT_LAYERS, Layer
from mediatech_assets.orchestration.platform import Platform
from mediatech_assets.orchestration.report import LayerReport
from mediatech_assets.orchestration.review import release_review
from mediatech_assets.release.difference import Difference, compare
from mediatech_assets.release.review import REVIEW, review_release
from mediatech_assets.sample_upstream import SAMPLE_DAYS, build_sample_upstream
from mediatech_assets_tests.browser.conftest import Open, Scheme
from mediatech_assets_tests.conftest import forget_settings
from mediatech_assets_tests.pipeline.installation import Installation
from mediatech_assets_tests.stored_release import make_legi_release
from mediatech_assets_tests.tiny import new_lake, open_dataset, record_release, record_run

DATASET = "legi"
WIDTHS = (400, 1280)
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SECTIONS = [
    "Overview", "Documents", "How it was made", "History", "Checks", "Freshness of the source", "Quarantine", "Files",
    "Decide",
]  # fmt: skip

HOSTILE = (
    '"><img src="https://evil.example/x.png" onerror="document.title=1"><script>document.title=2</script>'
)

#: Texts of the lineage that reach beyond the box that they stand in.
_TEXTS_OUTSIDE = """
    [...document.querySelectorAll('.lineage')].filter(svg => svg.getBoundingClientRect().width).flatMap(svg =>
      [...svg.querySelectorAll('text')].filter(text => {
        const inner = text.getBoundingClientRect();
        const outer = text.parentNode.querySelector('rect').getBoundingClientRect();
        return inner.left < outer.left || inner.right > outer.right
          || inner.top < outer.top || inner.bottom > outer.bottom;
      }).map(text => text.textContent))
"""
#: Elements that are wider than the window, but for those that stand in a table that scrolls.
_TOO_WIDE = """
    [...document.querySelectorAll('body *')].filter(element =>
      !element.closest('.table') && !element.closest('.skip') && !element.closest('thead') &&
      element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
    ).map(element => element.outerHTML.slice(0, 100))
"""
_CONTRASTS = """
    () => {
      const channels = colour => colour.match(/[0-9.]+/g).map(Number);
      const luminance = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
        return .2126 * x + .7152 * y + .0722 * z;
      };
      const ground = element => {
        for (let e = element; e; e = e.parentElement) {
          const colour = channels(getComputedStyle(e).backgroundColor);
          if (colour.length < 4 || colour[3] > 0) return colour;
        }
        return [255, 255, 255];
      };
      const poor = [];
      for (const element of document.querySelectorAll('body *:not(svg *)')) {
        if (![...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
        const pair = [luminance(channels(getComputedStyle(element).color)), luminance(ground(element))].sort();
        const [dark, light] = pair[0] < pair[1] ? pair : pair.reverse();
        if ((light + .05) / (dark + .05) < 4.5) poor.push(element.outerHTML.slice(0, 80));
      }
      return poor;
    }
"""


@dataclass(frozen=True, slots=True)
class Released:
    """A release, the one before it, what differs between them, and the asset's summary of the review."""

    installation: Installation
    folder: Path
    before: Path | None
    difference: Difference
    summary: str

    @property
    def page(self) -> Path:
        return self.folder / REVIEW


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Released]]:
    """Releases of the sample's first and last day."""
    folder = tmp_path_factory.mktemp("reviewed")
    with pytest.MonkeyPatch.context() as environment:
        forget_settings(environment)
        installation = Installation(folder / "home")
        reports: list[LayerReport] = []
        for day in (SAMPLE_DAYS[0], SAMPLE_DAYS[-1]):
            upstream = build_sample_upstream(folder / f"day{day}", day)
            reports.append(installation.materialised(upstream, DATASET, BUILT_LAYERS)[Layer.RELEASE])
        folders = [Path(str(report.facts["path"])) for report in reports]
        yield [
            Released(
                installation,
                folder,
                before,
                compare(duckdb.connect(), folder, before),
                report.shown["review summary"],
            )
            for folder, before, report in zip(folders, [None, *folders], reports, strict=False)
        ]


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section filled, long names and hostile texts in it, and a plot of one point."""
    folder = tmp_path_factory.mktemp("hostile")
    long = "x" * 300
    document = {"title": HOSTILE, "status": long, "source_url": "https://example.org/" + long}
    before = make_legi_release(
        folder / "20260101-00000001", {"a": {"texts": ["un " * 50], **document}, long: ["z"]}
    )
    after = make_legi_release(
        folder / "20260102-00000002",
        {
            "a": {"texts": [HOSTILE * 3 + long], **document, "status": HOSTILE},
            HOSTILE: {"texts": ["un"], **document},
        },
        checks=[
            {"name": "rows_complete", "passed": True, "blocking": True, "detail": "2 of 2"},
            {"name": "retrieval", "passed": False, "blocking": True, "detail": HOSTILE + long},
        ],
        skipped_archives=[{"file": long, "reason": HOSTILE, "skipped_on": "2026-01-01"}],
        profile={"name": "use", "model": HOSTILE, "revision": long, "dimensions": 512},
        code={"mediatech-assets": "0", "parser": "2"},
    )
    lake = new_lake(folder)
    open_dataset(lake, "legi")
    record_release(lake, after.name, 2)
    record_run(lake, 1, 0.82, 0.61)
    with lake.transaction("legi") as cursor:
        cursor.execute(
            "INSERT INTO legi.quarantine (subject, member, reason, source_file, seen_at) "
            "VALUES ($1, $2, $1, $2, TIMESTAMP '2026-01-01')",
            [HOSTILE, long],
        )
        cursor.execute(
            "INSERT INTO legi.raw_files (file, url, kind, format, stamp, status, reason) "
            "VALUES ($2, 'https://example.org/x', 'increment', 'targz', '20260101', 'unreadable', $1)",
            [HOSTILE, long],
        )
    review = review_release(lake, "legi", f"Codes {HOSTILE}", after, before, pending=[long, HOSTILE])
    lake.close()
    return review.page


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_review_is_whole_and_fits_the_window(visit: Open, releases, screenshots, width, scheme):
    for number, released in enumerate(releases):
        visited = visit(released.page, width, scheme)
        require_quiet(visited.asked, visited.said)
        assert visited.page.locator("main h2").all_inner_texts() == SECTIONS
        require_fitting(visited.page)
        assert visited.page.evaluate(_CONTRASTS) == []
        visited.page.screenshot(path=screenshots / f"{DATASET}-{number}-{width}-{scheme}.png", full_page=True)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_a_hostile_review_stays_a_page(visit: Open, hostile_page, screenshots, width, scheme):
    visited = visit(hostile_page, width, scheme)
    for details in visited.page.locator("details").all():
        details.evaluate("element => element.open = true")

    require_quiet(visited.asked, visited.said)
    assert visited.page.title().startswith("Codes ")
    assert visited.page.locator("img, script, iframe, object, embed, form").count() == 0
    assert visited.page.locator("main h2").all_inner_texts() == SECTIONS
    assert visited.page.locator(".notice.bad").count() == 1
    require_fitting(visited.page)
    assert visited.page.evaluate(_CONTRASTS) == []
    visited.page.screenshot(path=screenshots / f"hostile-{width}-{scheme}.png", full_page=True)


def test_figures_are_those_of_the_comparison(visit: Open, releases):
    for released in releases[1:]:
        page = visit(released.page, 1280, "light").page
        difference = released.difference
        assert difference.changed
        expected = {
            "added": len(difference.added),
            "changed": len(difference.changed),
            "removed": len(difference.removed),
        }
        assert {name: figure(page, name) for name in expected} == expected
        shown = page.locator("article.change code").all_inner_texts()
        assert set(difference.changed) <= set(shown)
        for doc_id in [*difference.added, *difference.removed]:
            assert page.get_by_text(doc_id, exact=True).count() == 1


def test_changed_words_are_marked_where_they_changed(visit: Open, releases):
    marks = ""
    for released in releases[1:]:
        page = visit(released.page, 1280, "light").page
        for tag in ("ins", "del"):
            for mark in page.locator(f"article.change {tag}").all():
                box = mark.bounding_box()
                assert box is not None
                assert box["width"] > 1
                marks += f"{tag}:{mark.inner_text()}\n"
    assert "ins:" in marks
    assert "del:" in marks
    assert "Triplés ou plus" in marks


def test_a_first_release_says_so_and_shows_documents(visit: Open, releases):
    page = visit(releases[0].page, 1280, "light").page

    assert page.get_by_text("This is the first release").count() == 1
    assert page.locator("#documents tbody tr").count() == 10
    assert page.locator("[data-figure=removed]").count() == 0


def test_pictures_are_drawn_at_both_widths(visit: Open, releases, hostile_page):
    for width in WIDTHS:
        for path, plots in ((releases[-1].page, 2), (hostile_page, 3)):
            page = visit(path, width, "light").page
            drawn = page.locator(".plot svg").all()
            assert len(drawn) == plots
            for svg in [*drawn, page.locator(".lineage:visible")]:
                box = svg.bounding_box()
                assert box is not None
                assert box["width"] > 250
                assert box["height"] > 100
                assert svg.get_attribute("aria-label")


def test_links_lead_to_the_web_and_tell_nothing_of_where_they_stood(visit: Open, releases, hostile_page):
    for path in (releases[-1].page, hostile_page):
        links = visit(path, 1280, "light").page.locator("a[href]").all()
        addresses = [link.get_attribute("href") or "" for link in links]
        assert any(address.startswith("https://") for address in addresses)
        for link, address in zip(links, addresses, strict=True):
            assert re.match(r"#|https?://", address)
            assert address.startswith("#") or link.get_attribute("rel") == "noopener noreferrer"


def test_the_contents_lead_to_every_section(visit: Open, releases):
    page = visit(releases[-1].page, 1280, "light").page
    targets = [link.get_attribute("href") or "" for link in page.locator("nav a").all()]

    assert [page.locator(f"{target} h2").inner_text() for target in targets] == SECTIONS
    identifiers = page.evaluate("[...document.querySelectorAll('[id]')].map(element => element.id)")
    assert len(identifiers) == len(set(identifiers))


def test_the_asset_shows_the_same_in_short(releases):
    last = releases[-1]

    assert last.summary == (last.folder / "review.md").read_text("utf-8")
    for doc_id in [*last.difference.added, *last.difference.removed]:
        assert doc_id in last.summary
    assert f"{DATASET}/{last.folder.name}/{REVIEW}" in last.summary


def test_a_review_of_any_two_releases_can_be_asked_for(releases):
    first, last = releases[0].folder, releases[-1].folder
    dataset = dataset_named(DATASET)
    platform = Platform(releases[0].installation.settings, read_only=True)
    platform.lake.open(DATASET, {})
    try:
        newest = release_review(platform, dataset)
        backwards = release_review(platform, dataset, first.name, last.name)
        with pytest.raises(ConfigurationError, match="has no release 20200101-00000000"):
            release_review(platform, dataset, "20200101-00000000")
        with pytest.raises(ConfigurationError, match="with itself"):
            release_review(platform, dataset, first.name, first.name)
    finally:
        platform.close()

    assert (newest.page, newest.new) == (last / REVIEW, False)
    assert backwards.page == first / f"review-against-{last.name}.html"
    assert (backwards.added, backwards.removed) == (newest.removed, newest.added)


def require_quiet(asked: list[str], said: list[str]) -> None:
    """Nothing but the file itself was asked for, and nothing went wrong."""
    assert len(asked) == 1
    assert asked[0].startswith("file:")
    assert said == []


def require_fitting(page: Page) -> None:
    """Nothing reaches beyond the window, no text beyond its box."""
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert page.evaluate(_TOO_WIDE) == []
    assert page.evaluate(_TEXTS_OUTSIDE) == []


def figure(page: Page, name: str) -> int:
    return int(page.locator(f"[data-figure='{name}'] strong").inner_text().replace(",", ""))
