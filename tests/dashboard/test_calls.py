"""The pages of calls and of one call: what they show is what the ledger holds, whatever is asked of them."""

from __future__ import annotations

import csv
import io
import random
import re
import zlib
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from place import NOW_US, Place, Placed, a_record
from starlette.testclient import TestClient

from penstock.call import Fact
from penstock.dashboard.calls import ROWS
from penstock.layers.per_attempt.pacing import Paced
from penstock.layers.per_attempt.transport import Answered, Broken
from penstock.layers.per_call.resilience import Retried
from penstock.ports.blocking import BlockingClock
from penstock.record import Record
from penstock.stores.bodies import opened
from penstock.tools.explain import trail

HOSTILE = "<script>alert('x')</script>\"&"
_ROW = re.compile(r'<tr id="(call_[^"]+)">')


def ids(page: str) -> list[str]:
    return _ROW.findall(page)


def trailed(*facts: Fact) -> bytes:
    return msgspec.json.encode(list(facts))


def many(count: int) -> list[Record]:
    draw = random.Random(count)
    return [
        a_record(
            number,
            began_at_us=NOW_US - draw.randrange(20) * 3_600_000_000 - number // 3,
            feature=draw.choice([None, "chat", "mail"]),
            user=draw.choice(["u1", "u2"]),
            ending=draw.choice(["complete", "complete", "failed"]),
            cost_nano=draw.choice([None, 1_000, 2_000_000_000]),
        )
        for number in range(count)
    ]


def test_all_calls_are_on_the_pages_once_each_newest_first(place: Place) -> None:
    rows, client = place.fill(many(2 * ROWS + 7)), place.visitor("view")
    found, to = list[str](), "/penstock/calls"
    for _ in range(4):
        page = client.get(to).text
        found += ids(page)
        older = re.search(r'id="older"[^>]* href="([^"]+)"', page)
        if older is None:
            break
        to = "/penstock/calls" + older[1].replace("&amp;", "&")
    assert found == [row.call_id for row in sorted(rows, key=lambda one: (one.began_at_us, one.call_id), reverse=True)]


def test_its_sums_are_the_ledgers(place: Place) -> None:
    rows = [row for row in place.fill(many(90)) if row.feature == "mail"]
    page = place.visitor("view").get("/penstock/calls?feature=mail").text
    cost = sum(row.cost_nano or 0 for row in rows)
    assert f'{len(rows)} calls, <span title="${cost / 1e9:.6f}' in page.replace("\n", "")
    assert f"and {sum(row.cost_nano is None for row in rows)} whose cost is not known" in page
    assert set(ids(page)) == {row.call_id for row in rows}


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"feature": "mail"}, {"feature": "mail"}),
        ({"feature": ""}, {"feature": None}),
        ({"model": "claude-opus-5"}, {"model_served": "claude-opus-5"}),
        ({"key": "key_9"}, {"key_id": "key_9"}),
        ({"environment": "prod"}, {"environment": "prod"}),
        ({"segment": "acme"}, {"segment": "acme"}),
        ({"prompt": "support@3:ab"}, {"prompt": "support@3:ab"}),
        ({"user": "u7"}, {"user": "u7"}),
        ({"session": "s7"}, {"session": "s7"}),
        ({"ending": "abandoned"}, {"ending": "abandoned"}),
        ({"ending": "errors"}, {"ending": "truncated"}),
        ({"error": "reset"}, {"ending": "failed", "error_type": "api_error", "error_code": "reset"}),
        ({"error": "overloaded_error"}, {"ending": "failed", "error_type": "overloaded_error"}),
        ({"status": "529"}, {"status": 529}),
        ({"q": "req_7"}, {"upstream_request_id": "req_7"}),
        ({"over": "0.0002"}, {"cost_nano": 200_001}),
        ({"over": "$1"}, {"cost_nano": 1_000_000_001}),
        ({"longer": "2 s"}, {"total_us": 2_000_001}),
        ({"longer": "1500ms"}, {"total_us": 1_500_001}),
        ({"longer": "1 min"}, {"total_us": 60_000_001}),
    ],
)
@pytest.mark.parametrize("is_summed", [True, False])
def test_a_filter_finds_what_it_says_and_nothing_else(
    place: Place, query: dict[str, str], fields: dict[str, Any], is_summed: bool
) -> None:
    place.fill([a_record(0), a_record(1, **fields), a_record(2)], is_summed=is_summed)
    page = place.visitor("view").get(f"/penstock/calls?{urlencode(query)}").text
    assert ids(page) == [a_record(1).call_id]
    assert "Not understood" not in page


@pytest.mark.parametrize(
    "query",
    [
        *("over=x", "over=-1", "over=1e999", "over=NaN", "longer=soon", "longer=9e99", "status=ten", "status=%C2%B2"),
        *("ending=well", "before=1", "before=x.y", "before=99999999999999999999.1", "before=-1.2", "add=x", "add=:"),
        *("q=%00", "user=%FF%FE", "feature=%27%3B--", "from=x&to=y", "range=9y", "by=nothing", "live=1&before=5.5"),
        f"status={2**63}",
        "from=0001-01-01&to=9999-12-31&feature=chat",
        "from=0001-01-01&to=9999-12-31&user=u1&error=x",
    ],
)
def test_whatever_is_asked_is_answered(place: Place, query: str) -> None:
    place.fill([a_record(0)])
    client = place.visitor("view")
    for to in ("calls", f"calls/{a_record(0).call_id}", "calls/call_other"):
        answer = client.get(f"/penstock/{to}?{query}")
        assert answer.status_code in (200, 404), f"{to}: {answer.status_code}"
    assert client.get(f"/penstock/calls?format=csv&{query}").status_code == 200


def test_what_is_not_understood_is_said(place: Place) -> None:
    page = place.visitor("view").get("/penstock/calls?over=lots&longer=2s").text
    assert "Not understood, and passed over: over." in page


def test_tags_are_words_and_no_markup(place: Place) -> None:
    tags = ("feature", "user", "session", "segment", "prompt", "arm", "stop_reason", "error_code", "model_served")
    facts = trailed(Broken("anthropic", HOSTILE, HOSTILE, 100, 200))
    fields = dict.fromkeys((*tags, "key_id", "upstream_request_id", "service_tier"), HOSTILE)
    (row,) = place.fill([a_record(0, ending="failed", trail=facts, **fields)])
    kept(place, row, f'{{"text": "{HOSTILE}', HOSTILE)
    client = place.visitor()
    for to in ("calls?live=1", f"calls?{urlencode({'feature': HOSTILE, 'user': HOSTILE})}", f"calls/{row.call_id}"):
        page = client.get(f"/penstock/{to}").text
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    told = list(csv.DictReader(io.StringIO(client.get("/penstock/calls?format=csv").text)))
    assert [one["feature"] for one in told] == [HOSTILE]


def test_the_id_of_a_call_leads_to_it(place: Place) -> None:
    (row,) = place.fill([a_record(3, began_at_us=NOW_US - 40 * 86_400_000_000)])
    client = place.visitor("view")
    answer = client.get(f"/penstock/calls?q=%20{row.call_id}%20&range=7d")
    assert (answer.status_code, answer.headers["location"]) == (303, f"calls/{row.call_id}?range=7d")
    assert client.get("/penstock/calls?q=call_other").status_code == 200


def test_a_label_that_is_chosen_becomes_a_filter_beside_the_others(place: Place) -> None:
    key, _ = place.key("messages")
    place.fill([a_record(0, feature="mail", key_id=key.id), a_record(1, key_id="key_9")])
    client = place.visitor("view")
    page = client.get("/penstock/calls?ending=complete&range=7d").text
    assert f'value="key:{key.id}">key: tester' in page and 'value="feature:mail"' in page
    answer = client.get("/penstock/calls?range=7d&ending=complete&add=feature:mail")
    assert answer.headers["location"] == "calls?range=7d&ending=complete&feature=mail"


def test_filters_stay_as_the_time_changes_and_are_left_behind_elsewhere(place: Place) -> None:
    page = place.visitor("view").get("/penstock/calls?feature=chat&ending=failed&range=7d").text
    assert 'href="?range=30d&amp;feature=chat&amp;ending=failed"' in page
    assert 'href="/penstock/cost?range=7d&amp;feature=chat"' in page


def test_a_page_that_stops_looking_says_how_far_it_got(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.fill([a_record(number, began_at_us=NOW_US - number * 1_000_000) for number in range(20)])
    monkeypatch.setattr("penstock.dashboard.calls.EXAMINED_MAX", 5)
    page = place.visitor("view").get("/penstock/calls?session=s1").text
    assert "Looked at 5 calls, back to 2026-11-20 12:29:56" in page
    assert "Look further back" in page


def test_nothing_teaches(place: Place) -> None:
    client = place.visitor("view")
    assert "base_url=" in client.get("/penstock/calls").text
    assert "Take a filter away" in client.get("/penstock/calls?user=nobody").text
    missing = client.get("/penstock/calls/call_nope")
    assert missing.status_code == 404 and "x-penstock-call-id" in missing.text


# -- one call


def kept(place: Place, row: Record, request: str, answer: str) -> None:
    connection = opened(place.data)
    packed = [zlib.compress(text.encode()) for text in (request, answer)]
    connection.execute("INSERT INTO bodies VALUES (?, ?, ?, ?)", (row.call_id, row.began_at_us, *packed))
    connection.close()


def the_call(client: TestClient, row: Record) -> str:
    return client.get(f"/penstock/calls/{row.call_id}").text


def bars(page: str) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """What is drawn: for each part its name, and the class, left and width of its strokes."""
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th>.*?<svg(.*?)</svg>', page, re.DOTALL)
    stroke = re.compile(r'<rect class="in-(\w+)" x="(\d+)" y="0" width="(\d+)"')
    return [(name, [(kind, int(x), int(w)) for kind, x, w in stroke.findall(svg)]) for name, svg in rows]


def test_its_time_is_drawn_to_scale(place: Place) -> None:
    facts = trailed(
        Answered("first", 529, 0, 100_000),
        Retried("overloaded", 1, 200_000),
        Broken("first", "reset", "gone", 300_000, 400_000),
        Paced("second", "interactive", 100_000),
        Answered("second", 200, 500_000, 600_000),
    )
    (row,) = place.fill([a_record(0, trail=facts, attempts=3, total_us=1_000_000, first_token_us=750_000)])
    assert bars(the_call(place.visitor("view"), row)) == [
        ("the call", [("wait", 0, 1000)]),
        ("attempt at first", [("fault", 0, 100)]),
        ("wait for another try", [("wait", 100, 200)]),
        ("attempt at first", [("fault", 300, 100)]),
        ("wait for limits of the upstream", [("wait", 400, 100)]),
        ("attempt at second", [("head", 500, 100), ("token", 600, 150), ("stream", 750, 250)]),
    ]


def test_what_happened_and_what_it_cost_are_as_explained(place: Place) -> None:
    (row,) = place.fill([a_record(0, trail=trailed(Answered("anthropic", 200, 100, 900_000, "req_1")))])
    page = the_call(place.visitor("view"), row)
    for said in trail(row):
        assert said in page
    # 100 at a dollar and 20 at five, per million.
    assert ">0.0001<" in page.replace(" ", "") and "$0.0002 (exact)" in page
    assert "The lines come to something else" not in page
    (row,) = place.fill([a_record(1, cost_nano=300_000)])
    assert "The lines come to something else" in the_call(place.visitor("view"), row)


def test_bodies_are_for_those_who_may_change_something(place: Place) -> None:
    (row,) = place.fill([a_record(0, feature="it's")])
    kept(place, row, '{"messages":[{"content":"a secret plan"}]}', '{"content":"an answer"}')
    shown = the_call(place.visitor("admin"), row)
    assert "&#34;content&#34;: &#34;a secret plan&#34;" in shown and "an answer" in shown
    assert "x-api-key: $PENSTOCK_KEY" in shown and "x-penstock-feature: it" in shown
    hidden = the_call(place.visitor("view"), row)
    assert "a secret plan" not in hidden and "an answer" not in hidden
    assert "They were kept." in hidden and "claude-haiku-4-5" in hidden
    (other,) = place.fill([a_record(1)])
    assert "They were not kept." in the_call(place.visitor("admin"), other)


def test_its_neighbours_are_those_of_the_view(place: Place) -> None:
    rows = place.fill([a_record(n, began_at_us=NOW_US - n * 1_000_000, user="u1" if n % 2 else "u2") for n in range(5)])
    page = place.visitor("view").get(f"/penstock/calls/{rows[2].call_id}").text
    assert f'rel="prev" href="{rows[1].call_id}?"' in page and f'rel="next" href="{rows[3].call_id}?"' in page
    page = place.visitor("view").get(f"/penstock/calls/{rows[2].call_id}?user=u2").text
    assert f'href="{rows[0].call_id}?user=u2"' in page and f'href="{rows[4].call_id}?user=u2"' in page
    assert 'rel="next"' not in the_call(place.visitor("view"), rows[4])


def test_it_leads_to_calls_of_the_same_even_when_it_is_old(place: Place) -> None:
    fields = {"began_at_us": NOW_US - 20 * 86_400_000_000, "user": "u1", "session": "s 1"}
    first, second = place.fill([a_record(0, **fields), a_record(1, **fields)])
    client = place.visitor("view")
    page = client.get(f"/penstock/calls/{first.call_id}?feature=other&status=500").text
    link = re.search(r'href="([^"]+)">Calls of the same session', page)
    assert link is not None and link[1] == "/penstock/calls?range=30d&amp;session=s+1"
    assert set(ids(client.get(link[1].replace("&amp;", "&")).text)) == {first.call_id, second.call_id}


def test_keys_are_shown_by_name(place: Place) -> None:
    key, _ = place.key("messages")
    (row,) = place.fill([a_record(0, key_id=key.id)])
    client = place.visitor("view")
    assert f'title="{key.id}">tester</a>' in client.get("/penstock/calls").text
    assert f'title="{key.id}">tester</dd>' in the_call(client, row)


def test_a_page_of_a_hundred_thousand_calls_is_there_at_once(placed: Placed) -> None:
    place = placed()
    place.fill(a_record(number, began_at_us=NOW_US - number * 800_000, session="s1") for number in range(100_000))
    client = place.visitor("view")
    client.get("/penstock/calls")
    for query in (
        "",
        "range=7d&feature=chat",
        "range=7d&feature=none",
        "range=7d&session=s2",
        "range=7d&ending=killed",
    ):
        began = BlockingClock.now()
        assert client.get(f"/penstock/calls?{query}").status_code == 200
        assert BlockingClock.now() - began < 1.5, query
