"""The page of reliability: every count on it is the ledger's."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from place import NOW_US, Place, a_record

from penstock.dashboard.desk import Desk
from penstock.dashboard.heat import COLUMNS_MAX, ROWS_MAX, heat
from penstock.dashboard.reliability import reliability
from penstock.dashboard.view import RANGES, View
from penstock.ports import Circuit
from penstock.stores.alerts import AlertStore, Change
from penstock.stores.sums import HOUR_US, STEPS_US
from penstock.stores.totals import Total


def shown(place: Place, query: dict[str, str] | None = None, **gateway: Any) -> dict[str, Any]:
    with Desk(place.config, place.clock, **gateway) as desk:
        return reliability(desk, View.of(query or {}, NOW_US))


def cells(made: dict[str, Any]) -> int:
    said = [cell["said"] for column in made["heat"]["columns"] for cell in column["cells"]]
    return sum(int(one.rpartition(": ")[2].replace(",", "")) for one in said)


@pytest.mark.parametrize("query", [{}, {"range": "7d"}, {"range": "30d", "what": "first_token"}, {"feature": "chat"}])
def test_the_heat_map_has_each_message_that_was_answered_once(place: Place, query: dict[str, str]) -> None:
    draw = random.Random(1)
    rows = [
        a_record(
            number,
            began_at_us=NOW_US - draw.randrange(6 * 24 * HOUR_US),
            feature=draw.choice(["chat", "mail"]),
            ending=draw.choice(["complete", "complete", "truncated", "refused"]),
            total_us=round(draw.lognormvariate(14, 2)),
            first_token_us=draw.choice([None, 250_000]),
        )
        for number in range(400)
    ]
    place.fill(rows)
    made, view = shown(place, query), View.of(query, NOW_US)
    wanted = [
        row
        for row in rows
        if view.span.from_us <= row.began_at_us < view.span.until_us
        and row.ending != "refused"
        and row.feature in (query.get("feature"), row.feature if "feature" not in query else None)
        and (row.first_token_us is not None or "what" not in query)
    ]
    assert cells(made) == made["heat"]["calls"] == len(wanted) > 0


@given(
    steps=st.lists(st.tuples(st.integers(0, len(STEPS_US)), st.integers(0, 10**6)), max_size=60),
    chosen=st.sampled_from(sorted(RANGES)),
)
def test_a_heat_map_has_even_rows_and_is_not_too_large(steps: list[tuple[int, int]], chosen: str) -> None:
    view = View.of({"range": chosen}, NOW_US)
    times = view.times()
    given_ = [Total(times[at % len(times)], (str(step),), {"calls": 1 + at}) for step, at in steps]
    made = heat(given_, view, view.step_us)
    assert made["count"] <= COLUMNS_MAX and made["rows"] <= ROWS_MAX + 12 and made["rows"] % 4 == 0
    assert len(made["marks"]) == 5 and made["calls"] == sum(one.measures["calls"] for one in given_)
    for column in made["columns"]:
        assert 0 <= column["place"] < made["count"]
        assert all(0 <= cell["y"] < made["rows"] and 1 <= cell["shade"] <= 9 for cell in column["cells"])


def test_a_short_time_is_told_apart_by_minutes_from_the_calls(place: Place) -> None:
    draw = random.Random(2)
    place.fill(
        [
            a_record(
                number,
                began_at_us=NOW_US - draw.randrange(3 * HOUR_US),
                ending=draw.choice(["complete", "failed", "refused"]),
                error_code="some",
                total_us=1000 * number,
                attempts=draw.randrange(4),
            )
            for number in range(200)
        ]
    )
    short, whole = (
        shown(place, {"from": "2026-11-20T11:00Z", "to": "2026-11-20T13:00Z"}),
        shown(place, {"from": "2026-11-20T11:00Z", "to": "2026-11-20T13:01Z"}),  # no call is that late
    )
    assert short["step_us"] == 300_000_000 and whole["step_us"] == HOUR_US
    for name in ("calls", "failed", "refused", "again", "overall", "errors", "upstreams"):
        assert short[name] == whole[name], name
    assert cells(short) == cells(whole) > 0 and short["heat"]["count"] == 24
    assert sum(one["calls"] for one in short["rows"]) == short["calls"] and len(short["rows"]) > 10


def test_errors_are_told_by_whose_they_are(place: Place) -> None:
    failed = {"ending": "failed", "status": 529, "error_type": "overloaded_error", "error_code": None}
    refused = {"ending": "refused", "error_layer": "limits", "error_code": "too_many_requests", "attempts": 0}
    place.fill([a_record(0), *(a_record(1 + n, **failed) for n in range(3)), a_record(9, **refused)])
    made = shown(place)
    assert made["errors"] == [
        {"layer": "upstream", "code": "overloaded_error", "calls": 3},
        {"layer": "limits", "code": "too_many_requests", "calls": 1},
    ]
    assert (made["calls"], made["failed"], made["refused"]) == (5, 3, 1)
    assert {one["label"]: sum(one["values"]) for one in made["taxonomy"]["stack"]} == {
        "overloaded_error": 3,
        "too_many_requests": 1,
    }


def test_of_many_kinds_the_rarest_are_one(place: Place) -> None:
    place.fill([a_record(n, ending="failed", error_code=f"code_{n % 12}") for n in range(60)])
    stack = shown(place)["taxonomy"]["stack"]
    assert len(stack) == 7 and stack[-1]["label"] == "others"
    assert sum(sum(one["values"]) for one in stack) == 60


def test_attempts_beyond_the_first_are_counted(place: Place) -> None:
    place.fill([a_record(0, attempts=3), a_record(1), a_record(2, ending="refused", attempts=0)])
    made = shown(place)
    assert made["again"] == 2
    assert [one["attempts_per_call"] for one in made["rows"]] == [2.0]
    assert made["upstreams"][0]["attempts_per_call"] == 2.0


def test_a_filter_that_errors_do_not_know_narrows_the_rest_and_is_named(place: Place) -> None:
    place.fill([a_record(0, key_id="key_1"), a_record(1, key_id="key_2", ending="failed", error_code="reset")])
    made = shown(place, {"key": "key_1"})
    assert made["narrows_less"] == ["key"] and made["calls"] == 1 and made["errors"][0]["calls"] == 1
    assert "does not narrow those" in place.visitor().get("/penstock/reliability?key=key_1").text


def test_circuits_are_open_half_open_or_being_tried(place: Place) -> None:
    circuits = {
        "a": Circuit(NOW_US + 5_000_000, 2),
        "b": Circuit(NOW_US - 1, 1),
        "c": Circuit(NOW_US - 1, 1, NOW_US + 1_000_000),
    }
    made = shown(place, circuits=circuits, incident="Elevated errors")
    assert [one["state"] for one in made["circuits"]] == ["open", "half-open", "half-open, being tried"]
    assert made["incident"] == "Elevated errors"


def test_lanes_show_when_circuits_were_open_in_the_span(place: Place) -> None:
    store = AlertStore(place.data)
    opened = Change(identity="circuit anthropic haiku", event="fired", kind="breaker", severity="warning", said="Open.")
    store.round(NOW_US - 2 * HOUR_US, lambda known: [opened])
    store.round(NOW_US - HOUR_US, lambda known: [Change(identity=opened.identity, event="cleared")])
    store.close()
    (lane,) = shown(place)["lanes"]
    (one,) = lane["opens"]
    assert lane["name"] == "anthropic haiku"
    assert round(one["width"], 2) == round(100 / 24, 2)
    assert shown(place, {"range": "1h"})["lanes"] == []
