"""The Dagster UI of this project in a real browser: the lineage, an asset's page, a materialisation, a failure.

`dagster dev` runs on the project's `workspace.yaml` and `dagster.yaml`, on an empty installation and the sample
upstream, in which one dataset's files are missing. The pages are Dagster's; what is asked of them is what our
definitions must show, and that nothing leaves the machine.
"""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, Response

from mediatech_assets.layers import BUILT_LAYERS, Layer, Sink
from mediatech_assets.orchestration.jobs import update_job_name
from mediatech_assets.orchestration.loading import LOADS_WITH_DATASETS
from mediatech_assets.release.checks import RULES
from mediatech_assets.sample_upstream import build_sample_upstream
from mediatech_assets_tests.browser.conftest import HEIGHT, Visit, watched
from mediatech_assets_tests.dagster_server import LOCATION, dagster_server

#: The smallest of the sample: six documents.
DATASET = "travail_emploi"
#: Its upstream answers nothing.
BROKEN = "cnil"
BROKEN_FILES = "echanges.dila.gouv.fr/OPENDATA/CNIL"

#: Far more than a machine under load needs.
PAGE_MILLISECONDS = 90_000.0
RUN_MILLISECONDS = 300_000.0
WIDTH = 1440

#: Dagster's client warns that it refreshes a query that no part of the page shows, and of fields that its cache lacks.
_HARMLESS = "An error occurred! For more details, see the full error text at https://go.apollo.dev/"
_RUN_ID = re.compile(r'"(?:id|runId)":\s*"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"')


@dataclass(frozen=True, slots=True)
class Seen:
    """The UI of one server, and where its screenshots go.

    Args:
        url: Its address.
        browser: The browser.
        folder: Folder of the screenshots.
    """

    url: str
    browser: Browser
    folder: Path

    def opened(self, path: str) -> Visit:
        """A page of the UI, watched."""
        context = self.browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        context.set_default_timeout(PAGE_MILLISECONDS)
        visited = watched(context.new_page())
        visited.page.goto(self.url + path)
        return visited

    def done(self, visited: Visit, name: str) -> None:
        """Keeps what is seen, and requires that the page asked only its server and reported no error."""
        visited.page.screenshot(path=self.folder / f"dagster-{name}.png")
        address = self.url.removeprefix("http://")
        own = tuple(f"{scheme}{address}/" for scheme in ("http://", "ws://", "blob:http://"))
        outside = [asked for asked in visited.asked if not asked.startswith((*own, "data:"))]
        # Dagster's client drops a subscription that it no longer needs, sometimes before its own server has answered.
        dropped = f"WebSocket connection to 'ws://{address}/graphql' failed: WebSocket is closed before the connection"
        wrong = [said for said in visited.said if not said.startswith((_HARMLESS, dropped))]
        visited.page.context.close()
        assert outside == []
        assert wrong == []


@pytest.fixture(scope="module")
def seen(chromium: Browser, screenshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """The UI of an installation on which nothing was run."""
    folder = tmp_path_factory.mktemp("dagster")
    upstream = build_sample_upstream(folder / "upstream")
    shutil.rmtree(upstream / BROKEN_FILES)
    with dagster_server(folder / "home", str(upstream), folder / "dagster.log") as url:
        yield Seen(url, chromium, screenshots)


@pytest.fixture(scope="module")
def run(seen: Seen) -> str:
    """A run of the dataset's update job that the button launched, seen to succeed."""
    visited = seen.opened(f"/locations/{LOCATION}/jobs/{update_job_name(DATASET)}")
    run_id = launched_by(visited.page, "Materialize all")
    visited.page.goto(f"{seen.url}/runs/{run_id}")
    assert outcome(visited.page) == "Success"
    visited.page.get_by_text(f"Succeeded ({len(BUILT_LAYERS)})").wait_for()
    visited.page.get_by_text("RUN_SUCCESS").first.wait_for()
    seen.done(visited, "run")
    return run_id


def test_the_button_launches_a_run_that_succeeds(run: str):
    assert run


def test_the_lineage_of_a_dataset_shows_every_layer_and_sink(seen: Seen, run: str):  # noqa: ARG001 - it was made
    visited = seen.opened(f"/locations/{LOCATION}/asset-groups/{DATASET}/lineage")
    for name in [*Layer, *Sink]:
        node(visited.page, name.value).wait_for()
    seen.done(visited, "lineage")


def test_an_assets_page_shows_what_it_is_and_what_it_holds(seen: Seen, run: str):  # noqa: ARG001 - it was made
    visited = seen.opened(f"/assets/{DATASET}/{Layer.DOCUMENTS.value}")
    page = visited.page
    for text in ("One row a document", "Row count", "Identifier of the document.", "files applied"):
        page.get_by_text(text).first.wait_for()
    for text in (
        "DuckLake",
        f"layer: {Layer.DOCUMENTS.value}",
        DATASET,
        "sections",
        "SHA-256 of the source's text.",
    ):
        assert page.get_by_text(text, exact=True).count(), text
    page.set_viewport_size({"width": WIDTH, "height": 2_600})
    seen.done(visited, "asset")


def test_raw_files_are_of_the_version_that_was_polled(seen: Seen, run: str):  # noqa: ARG001 - it was made
    visited = seen.opened(f"/assets/{DATASET}/{Layer.RAW.value}")
    visited.page.get_by_text("newest published").first.wait_for()
    visited.page.get_by_text("Row count").first.wait_for()
    visited.page.get_by_role("link", name=f"{DATASET} / {Layer.UPSTREAM.value}").first.wait_for()
    visited.page.wait_for_load_state("networkidle")
    assert visited.page.get_by_text("Unsynced").count() == 0
    seen.done(visited, "raw")


def test_the_checks_of_a_release_say_what_they_found(seen: Seen, run: str):  # noqa: ARG001 - it was made
    visited = seen.opened(f"/assets/{DATASET}/{Layer.RELEASE.value}?view=checks")
    for name in (*RULES, LOADS_WITH_DATASETS):
        visited.page.get_by_text(name, exact=True).first.wait_for()
    visited.page.get_by_text("This is a blocking asset check.").first.wait_for()
    visited.page.get_by_text("chunk_ids_unique", exact=True).first.click()
    visited.page.get_by_text(re.compile(r"^\d+ identifiers for \d+ chunks$")).first.wait_for()
    assert visited.page.get_by_text("Succeeded", exact=True).count() == len(RULES)
    seen.done(visited, "checks")


def test_a_failure_is_told_with_its_remedy(seen: Seen):
    visited = seen.opened(f"/assets/{BROKEN}/{Layer.RAW.value}")
    run_id = launched_by(visited.page, "Materialize")
    visited.page.goto(f"{seen.url}/runs/{run_id}")
    assert outcome(visited.page) == "Failure"
    visited.page.get_by_text("Errored (1)").wait_for()
    visited.page.get_by_text("STEP_FAILURE").first.wait_for()
    visited.page.get_by_text(re.compile(r"echanges\.dila\.gouv\.fr")).first.wait_for()
    seen.done(visited, "failure")


def launched_by(page: Page, button: str) -> str:
    """Presses a button that launches a run, and gives the run's id from the server's answer to the page."""

    def launches(response: Response) -> bool:
        return "mutation Launch" in (response.request.post_data or "")

    with page.expect_response(launches) as launch:
        page.get_by_role("button", name=button).first.click()
    answer = launch.value.text()
    found = _RUN_ID.search(answer)
    assert found is not None, answer
    return found.group(1)


def outcome(page: Page) -> str:
    """What the page of a run says when the run ended."""
    ended = page.get_by_text("Success", exact=True).or_(page.get_by_text("Failure", exact=True))
    ended.first.wait_for(timeout=RUN_MILLISECONDS)
    return ended.first.inner_text()


def node(page: Page, name: str) -> Locator:
    """An asset in the graph."""
    return page.get_by_text(name, exact=True).filter(visible=True).first
