"""What people do on pages, in a real browser: log in and out, choose dark or light, look closer."""

from __future__ import annotations

import re

import httpx2
import pytest
from tabs import Opened

from penstock.dashboard.app import PAGES
from traffic import Seen, made, seen

pytestmark = pytest.mark.weighty


def test_logging_in_and_out(gateway: Seen, opened: Opened) -> None:
    with opened(gateway, key="") as tab:
        page = tab.page
        tab.go("?range=7d&by=model")
        page.get_by_label("Key").fill("pk_dev_wrong")
        page.get_by_role("button", name="Log in").click()
        assert "may not see these pages" in page.get_by_role("alert").inner_text()
        page.get_by_label("Key").fill(gateway.admin)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/penstock/\?range=7d&by=model$"))
        assert page.get_by_role("heading", level=1).inner_text() == "Overview"
        assert "read-only" not in page.locator(".who").inner_text()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(re.compile("/penstock/login"))
        tab.go("")
        assert "/penstock/login" in page.url


def test_whoever_may_only_look_is_told_so_and_finds_nothing_to_change(gateway: Seen, opened: Opened) -> None:
    with opened(gateway, key=gateway.viewer) as tab:
        for path, _ in PAGES:
            tab.go(path)
            assert "read-only" in tab.page.locator(".who").inner_text()
            assert tab.page.locator("main form[method=post]").count() == 0
        assert not tab.faults


def test_dark_and_light_are_chosen_and_kept(gateway: Seen, opened: Opened) -> None:
    with opened(gateway, scheme="light") as tab:
        tab.go("")
        before = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        tab.page.locator("#theme").click()
        after = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        tab.go("?range=7d")
        assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == after != before


def test_dragging_over_a_plot_looks_at_that_time(gateway: Seen, opened: Opened) -> None:
    with opened(gateway) as tab:
        tab.go("?range=7d&feature=mail")
        box = tab.page.locator(".plot .u-over").first.bounding_box()
        if box is None:
            pytest.skip("the plots are not there: `make setup` fetches what draws them")
        middle = box["y"] + box["height"] / 2
        tab.page.mouse.move(box["x"] + 0.3 * box["width"], middle)
        tab.page.mouse.down()
        tab.page.mouse.move(box["x"] + 0.6 * box["width"], middle, steps=8)
        tab.page.mouse.up()
        tab.page.wait_for_url(re.compile("from="))
        query = httpx2.URL(tab.page.url).params
        assert query["from"] < query["to"] and "range" not in query and query["feature"] == "mail"
        assert not tab.faults


def test_the_link_of_the_verb_logs_in(gateway: Seen, opened: Opened) -> None:
    """As `penstock dashboard` prints it, over the same folder."""
    import subprocess
    import sys

    from gateways import environment

    child = subprocess.Popen(
        [sys.executable, "-m", "penstock", "dashboard", "--port", "0", "--data", str(gateway.process.data)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert child.stdout is not None
        link = next(found[0] for line in child.stdout if (found := re.search(r"http://\S+link=\S+", line)))
        with opened(gateway, key="") as tab:
            tab.page.goto(link)
            assert "owner" in tab.page.locator(".who").inner_text()
            assert "link=" not in tab.page.url
    finally:
        child.terminate()
        assert child.wait(20) == 0


def test_pages_of_a_gateway_that_has_seen_nothing(tmp_path_factory: pytest.TempPathFactory, opened: Opened) -> None:
    with seen(tmp_path_factory.mktemp("empty"), days=0, calls=0) as empty:
        assert made(empty.process.data, "view")
        with opened(empty, width=390) as tab:
            for path, _ in PAGES:
                tab.go(path)
                assert tab.page.locator("h1").count() == 1
                assert not tab.faults
