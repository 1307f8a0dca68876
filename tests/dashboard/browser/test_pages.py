"""Every page in a real browser, dark and light, wide and narrow: what is wrong with none of them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from tabs import Opened, Tab

from penstock.dashboard import wording
from penstock.dashboard.app import PAGES
from penstock.stores.schema import connect
from traffic import HOSTILE, Seen

pytestmark = pytest.mark.weighty

PATHS = [path for path, _ in PAGES]
LOOKS = [(scheme, width) for scheme in ("light", "dark") for width in (1400, 390)]
BYTES_MAX = 250_000

#: Whatever can be reached by keyboard and is there to see.
_REACHABLE = """() => {
  const wanted = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
  const found = [...document.querySelectorAll(wanted)].filter(
    (one) => !one.disabled && one.tabIndex >= 0 && one.checkVisibility() && !one.closest('.uplot'));
  found.forEach((one, place) => { one.dataset.reach = place; });
  return found.length;
}"""
_FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  const shown = style.outlineStyle !== 'none' || style.boxShadow !== 'none' || one.tagName === 'BODY';
  return [one.dataset.reach ?? '', shown, one.outerHTML.slice(0, 80)];
}"""


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
@pytest.mark.parametrize("path", PATHS)
def test_a_page_meets_no_fault_and_is_there_for_all(
    gateway: Seen, opened: Opened, axe: str | None, path: str, scheme: str, width: int
) -> None:
    with opened(gateway, scheme=scheme, width=width) as tab:
        tab.go(f"{path}?range=7d")
        assert not wrong_with(tab)
        assert_axe_finds_nothing(tab, axe)


@pytest.mark.parametrize(("scheme", "width"), LOOKS)
def test_nor_does_the_page_of_a_call(gateway: Seen, opened: Opened, axe: str | None, scheme: str, width: int) -> None:
    failed = gateway.process.record_of(user=HOSTILE)
    with opened(gateway, scheme=scheme, width=width) as tab:
        tab.go(f"calls/{failed.call_id}")
        assert not wrong_with(tab)
        assert_axe_finds_nothing(tab, axe)


def test_logging_in_is_there_for_all(gateway: Seen, opened: Opened, axe: str | None) -> None:
    with opened(gateway, key="") as tab:
        tab.go("login")
        assert not wrong_with(tab)
        assert_axe_finds_nothing(tab, axe)


@pytest.mark.parametrize("path", PATHS)
def test_the_keyboard_reaches_everything_and_shows_where_it_is(gateway: Seen, opened: Opened, path: str) -> None:
    with opened(gateway) as tab:
        tab.go(f"{path}?range=7d")
        count, reached, unseen = tab.page.evaluate(_REACHABLE), set[str](), list[str]()
        assert count > 3
        for _ in range(count + 10):
            tab.page.keyboard.press("Tab")
            place, is_shown, html = tab.page.evaluate(_FOCUSED)
            reached.add(place)
            if not is_shown:
                unseen.append(html)
        assert {str(place) for place in range(count)} <= reached
        assert not unseen


@pytest.mark.parametrize("path", PATHS)
def test_a_page_says_what_it_has_without_scripts(gateway: Seen, opened: Opened, path: str) -> None:
    with opened(gateway, script=False) as tab:
        tab.go(f"{path}?range=7d")
        assert not tab.faults
        assert tab.page.locator("h1").count() == 1
        assert len(tab.page.locator("main").inner_text()) > 200


def test_the_numbers_of_the_overview_are_the_ledgers(gateway: Seen, opened: Opened) -> None:
    connection = connect(gateway.process.data)
    calls, nano = connection.execute("SELECT count(*), sum(cost_nano) FROM calls").fetchone()
    connection.close()
    assert calls > 400 and nano > 10**8
    with opened(gateway) as tab:
        tab.go("?range=30d")
        assert tile(tab.page, "Calls") == wording.short(calls)
        assert tile(tab.page, "Spent") == wording.dollars(nano)


@pytest.mark.parametrize("path", PATHS)
def test_what_callers_name_things_is_text(gateway: Seen, opened: Opened, path: str) -> None:
    with opened(gateway) as tab:
        for by in ("user", "feature"):
            tab.go(f"{path}?range=24h&by={by}")
            assert tab.page.locator("img[onerror]").count() == 0
        assert not tab.faults


def test_a_hostile_user_is_shown_as_what_it_is(gateway: Seen, opened: Opened) -> None:
    with opened(gateway) as tab:
        tab.go("calls?range=24h")
        assert tab.page.get_by_text(HOSTILE).count()


def wrong_with(tab: Tab) -> list[str]:
    """What a page met that it should not have, and what it has that it should not."""
    own, kinds = urlsplit(tab.url).netloc, [kind for kind, *_ in tab.answers]
    weight = sum(length for *_, length in tab.answers)
    wider = tab.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    found = list(tab.faults)
    found += [f"asked {url}" for _, url, _, _ in tab.answers if urlsplit(url).netloc not in (own, "")]
    found += [f"{status} of {url}" for _, url, status, _ in tab.answers if status >= 400]
    if kinds.count("document") != 1 or kinds.count("eventsource") > 1 or {"xhr", "fetch"} & set(kinds):
        found.append(f"not one request for a view: {kinds}")
    if weight > BYTES_MAX:
        found.append(f"weighs {weight} bytes")
    if wider > 0:
        found.append(f"{wider} pixels wider than its window")
    if tab.page.locator("h1").count() != 1:
        found.append("not one first heading")
    if tab.page.locator("img[onerror], script:not([src]), style").count():
        found.append("scripts or styles within it")
    return found


def assert_axe_finds_nothing(tab: Tab, axe: str | None) -> None:
    """Nothing serious or critical. Last in a test: without axe the rest has been found right."""
    if axe is None:
        pytest.skip("axe-core is not there, the rest is well: `make setup` fetches it")
    tab.page.evaluate(axe)
    found = tab.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    grave = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    assert not [(one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in grave]


def tile(page: Any, name: str) -> str:
    found: str = page.locator(".tile", has=page.get_by_text(name, exact=True)).locator(".value").inner_text()
    return found
