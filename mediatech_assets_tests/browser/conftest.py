"""The browser of this tier: Debian's Chromium, driven by Playwright, and what it must never do.

What belongs here: starting it, pages that are watched, and where screenshots go. What does not: any page's content.

Playwright brings no browser of its own here. Without Chromium the tests are skipped; with `CI=true` they fail.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from mediatech_assets_tests.conftest import IN_CI

PACKAGE = "chromium"
#: Headless, and quiet: without these Chromium asks its maker for components, updates and settings.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SCREENSHOTS = "MEDIATECH_SCREENSHOTS"
HEIGHT = 900

Scheme = Literal["light", "dark"]


@dataclass(frozen=True)
class Visit:
    """A page that was opened, and what it did.

    Args:
        page: It.
        asked: Addresses that it asked for.
        said: Warnings and errors of its console, and errors of its scripts.
    """

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


Open = Callable[[Path, int, Scheme], Visit]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser, one for the whole tier."""
    program = shutil.which(PACKAGE)
    if program is None:
        reason = f"no browser: install Debian's package {PACKAGE} (apt-get install {PACKAGE})"
        if IN_CI:
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


def watched(page: Page) -> Visit:
    """A page whose requests, warnings and errors are kept from now on."""
    visited = Visit(page)
    page.on("request", lambda request: visited.asked.append(request.url))
    page.on("websocket", lambda socket: visited.asked.append(socket.url))
    page.on("pageerror", lambda error: visited.said.append(str(error)))
    page.on("console", lambda message: visited.said.append(message.text) if message.type != "log" else None)
    return visited


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Open]:
    """Opens a file at a width and in a colour scheme, and watches what it does."""
    contexts = []

    def opened(file: Path, width: int = 1280, scheme: Scheme = "light") -> Visit:
        context = chromium.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
        contexts.append(context)
        visited = watched(context.new_page())
        visited.page.goto(file.as_uri())
        return visited

    yield opened
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the screenshots, for people: MEDIATECH_SCREENSHOTS, or one that pytest removes some day."""
    named = os.environ.get(SCREENSHOTS)
    folder = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
