"""Limits, reliability, caching, alerts, prompts, settings: what holds for each of these pages."""

from __future__ import annotations

from html import unescape

import pytest
from place import NOW_US, Place, Placed, a_record

from penstock.dashboard.app import PAGES
from penstock.stores.alerts import AlertStore, Change

HERE = ("limits", "reliability", "caching", "alerts", "prompts", "settings")
HOSTILE = "<script>alert('x')</script>"
ODD = (
    "range=never",
    "from=2026-11-20T00:00Z&to=never",
    "from=0001-01-01&to=9999-12-31T23:59-23:59",
    "from=2026-11-21&to=2026-11-20",
    "from=1969-12-31T23:00Z&to=1970-01-01T00:00Z",
    "by=%00&feature=%00&model='%22",
    "what=nothing&doctor=yes",
    "doctor=1&feature=' OR 1=1 --",
    "name=../../etc&a=x&b=-1",
    "name=support&a=99999999999999999999&b=latest",
    "upstream=&key=&compare=2",
)


@pytest.mark.parametrize("page", HERE)
def test_it_is_among_the_pages_and_whoever_may_look_may_look_at_it(place: Place, page: str) -> None:
    assert page in dict(PAGES)
    assert place.client().get(f"/penstock/{page}").headers["location"].startswith("/penstock/login")
    assert place.visitor("view").get(f"/penstock/{page}").status_code == 200


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("limits", "[[budgets]]"),
        ("reliability", "penstock simulator"),
        ("caching", 'marks = "auto"'),
        ("alerts", 'sinks = ["env:SLACK_ALERT_URL"]'),
        ("prompts", "prompts/support/1.md"),
        ("settings", "Config as it runs"),
    ],
)
def test_where_there_is_nothing_it_says_what_to_do(place: Place, page: str, said: str) -> None:
    answer = place.visitor("view").get(f"/penstock/{page}")
    assert answer.status_code == 200 and said in unescape(answer.text)


@pytest.mark.parametrize("page", HERE)
def test_what_an_address_says_wrongly_is_passed_over(place: Place, page: str) -> None:
    place.fill([a_record()])
    visitor = place.visitor("view")
    assert [visitor.get(f"/penstock/{page}?{query}").status_code for query in ODD] == [200] * len(ODD)


@pytest.mark.parametrize("page", HERE)
def test_what_callers_write_in_tags_is_text(placed: Placed, page: str) -> None:
    place = placed(budgets=[{"per": ["user", "feature"], "limit_usd": 1}])
    odd = dict.fromkeys(("feature", "user", "upstream", "prompt", "model_served", "key_id", "error_code"), HOSTILE)
    place.fill([a_record(number, **odd, ending="refused", error_layer="limits") for number in range(3)])
    place.keys.create(HOSTILE, chance=place.chance, token=place.chance.token)
    store = AlertStore(place.data)
    store.round(NOW_US, lambda known: [Change(identity=HOSTILE, event="fired", said=HOSTILE, severity=HOSTILE)])
    store.close()
    answer = place.visitor("view").get(f"/penstock/{page}?range=7d&feature={HOSTILE}&name={HOSTILE}&what={HOSTILE}")
    assert answer.status_code == 200
    assert "<script>alert" not in answer.text and "&lt;script&gt;" in answer.text


@pytest.mark.parametrize("page", HERE)
def test_nothing_is_within_the_page_that_its_policy_forbids(place: Place, page: str) -> None:
    place.fill([a_record(number, began_at_us=NOW_US - number * 600_000_000) for number in range(20)])
    text = place.visitor().get(f"/penstock/{page}").text
    assert " style=" not in text and " onclick=" not in text and "<style" not in text
