"""A browser of the system's, and pages in it that note all that goes wrong."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tabs import Opened, Tab, noted

from traffic import Seen, seen

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Keeps the browser from asking anybody for anything by itself.
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync")
AXE = Path(__file__).parents[3] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """For one module, as it has a loop in the thread of the tests, where those of others want their own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    place = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if place is None:
        pytest.skip(f"there is no browser: none of {', '.join(CHROMIUM)} is on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, chromium: Any) -> Iterator[Seen]:
    """One with a history and calls, for all tests that change nothing of it."""
    with seen(tmp_path_factory.mktemp("seen")) as found:
        yield found


@pytest.fixture(scope="module")
def opened(chromium: Any) -> Opened:
    """Opens a tab that has logged in, unless `key` is empty; closes it again."""

    @contextlib.contextmanager
    def tab(
        place: Seen, *, key: str | None = None, scheme: str = "light", width: int = 1400, script: bool = True
    ) -> Iterator[Tab]:
        size = {"width": width, "height": 900}
        context = chromium.new_context(viewport=size, color_scheme=scheme, java_script_enabled=script)
        if key != "":
            with place.session(key) as session:
                cookie = session.cookies["penstock_session"]
            url = f"{place.process.url}/penstock/"
            context.add_cookies([{"name": "penstock_session", "value": cookie, "url": url}])
        made = Tab(context.new_page(), place.process.url)
        noted(made)
        yield made
        context.close()

    return tab


@pytest.fixture(scope="module")
def axe() -> str | None:
    """The script that looks whether a page is there for all; None where it has not been fetched."""
    return AXE.read_text() if AXE.is_file() else None
