"""The cost page: its figures are the ledger's sums, whatever they are told apart by, on the page and in a file."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from place import NOW_US, Place, Placed, a_record

from penstock.dashboard.cost import BY, cost, cost_table
from penstock.dashboard.desk import Desk
from penstock.dashboard.view import View
from penstock.record import Record
from penstock.wire.prices import usd

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def shown(place: Place, **query: str) -> dict[str, Any]:
    with Desk(place.config, place.clock) as desk:
        return cost(desk, View.of(query, NOW_US))


def table(place: Place, **query: str) -> list[dict[str, Any]]:
    with Desk(place.config, place.clock) as desk:
        return list(cost_table(desk, View.of(query, NOW_US)).rows)


def history(place: Place) -> list[Record]:
    features, models = ("chat", "mail", None), ("claude-haiku-4-5", "claude-sonnet-4-6")
    return place.fill(
        a_record(
            number,
            began_at_us=NOW_US - number * HOUR_US // 2,
            feature=features[number % 3],
            model_served=models[number % 2],
            user=f"u{number % 4}",
            segment="acme" if number % 5 else None,
            cost_nano=None if number % 10 == 9 else number * 1_000_003,
            cost_basis="unpriced" if number % 10 == 9 else "exact",
            input_tokens=number,
            cache_read_tokens=number * 2,
            output_tokens=number * 3,
        )
        for number in range(1, 100)
    )


def sums(rows: list[Record], label: str) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for row in rows:
        name = getattr(row, {"model": "model_served", "key": "key_id"}.get(label, label)) or ""
        calls, nano = found.get(name, (0, 0))
        found[name] = (calls + 1, nano + (row.cost_nano or 0))
    return found


@pytest.mark.parametrize("by", [label for label in BY if label != "user"])
def test_rows_are_the_sums_of_the_ledger_by_whatever_label(place: Place, by: str) -> None:
    rows = history(place)
    found = shown(place, range="7d", by=by)
    assert {one["label"]: (one["sum"].calls, one["sum"].cost_nano) for one in found["rows"]} == sums(rows, by)
    assert found["all"].cost_nano == sum(row.cost_nano or 0 for row in rows)
    assert found["all"].tokens == sum(row.input_tokens + row.cache_read_tokens + row.output_tokens for row in rows)
    assert found["all"].unpriced == sum(row.cost_nano is None for row in rows)
    stack = found["plots"]["spent"]["stack"]
    assert sum(sum(one["values"]) for one in stack) == pytest.approx(found["all"].cost_nano / 1e9)
    assert sum(one["sum"].cost_nano for one in found["days"]) == found["all"].cost_nano


def test_users_are_those_of_whole_days(place: Place) -> None:
    rows = history(place)
    found = shown(place, range="7d", by="user")
    assert {one["label"]: (one["sum"].calls, one["sum"].cost_nano) for one in found["rows"]} == sums(rows, "user")


@pytest.mark.parametrize(("unit", "amount"), [("dollars", "cost_nano"), ("tokens", "tokens"), ("calls", "calls")])
def test_the_largest_comes_first_in_what_is_counted(place: Place, unit: str, amount: str) -> None:
    history(place)
    found = shown(place, range="7d", unit=unit)
    amounts = [getattr(one["sum"], amount) for one in found["rows"]]
    assert amounts == sorted(amounts, reverse=True) and found["unit"] == unit
    assert shown(place, unit="<script>")["unit"] == "dollars"


def test_a_click_makes_a_label_a_filter_and_goes_down(place: Place) -> None:
    rows = history(place)
    first = shown(place, range="7d")["rows"][0]
    assert f"feature={first['label']}" in first["to"] and "by=model" in first["to"]
    below = shown(place, range="7d", by="model", feature=first["label"])
    kept = [row for row in rows if (row.feature or "") == first["label"]]
    assert {one["label"]: one["sum"].calls for one in below["rows"]} == {
        name: calls for name, (calls, _) in sums(kept, "model").items()
    }


def test_compared_with_the_time_before(place: Place) -> None:
    place.fill(
        [
            a_record(1, began_at_us=NOW_US - HOUR_US, cost_nano=300),
            a_record(2, began_at_us=NOW_US - 30 * HOUR_US, cost_nano=100),
        ]
    )
    (row,) = shown(place, range="24h", compare="1")["rows"]
    assert (row["sum"].cost_nano, row["before"].cost_nano) == (300, 100)


def test_files_have_exact_dollars_and_no_formulas(place: Place) -> None:
    rows = place.fill([a_record(1, feature="=1+1", cost_nano=123_456_789), a_record(2, feature="mail", cost_nano=1)])
    assert table(place) == [
        {"feature": row.feature, "calls": 1, "cost_usd": usd(row.cost_nano or 0), "unpriced": 0, "errors": 0}
        | {"input_tokens": 100, "cache_read_tokens": 0, "cache_write_5m_tokens": 0, "cache_write_1h_tokens": 0}
        | {"output_tokens": 20}
        for row in rows
    ]
    client = place.visitor()
    lines = list(csv.DictReader(io.StringIO(client.get("/penstock/cost?format=csv").text)))
    assert [(line["feature"], line["cost_usd"]) for line in lines] == [
        ("'=1+1", "0.123456789"),
        ("mail", "0.000000001"),
    ]
    told = json.loads(client.get("/penstock/cost?format=json&table=days").text)
    assert sum(row["calls"] for row in told["rows"]) == 2


def test_budgets_burn_down_and_say_when_they_are_used_up(placed: Placed) -> None:
    place = placed(budgets=[{"period": "month", "limit_usd": 3}])
    place.fill(a_record(day, began_at_us=NOW_US - day * DAY_US, cost_nano=10**9) for day in range(12))
    (budget,) = shown(place, range="30d")["budgets"]
    assert budget["most_nano"] == 3 * 10**9 and budget["stops"]
    assert budget["drawn"]["way"] and "used up" in budget["said"].lower()


def test_caps_are_compared_with_real_lengths(placed: Placed) -> None:
    place = placed(features={"chat": {"max_tokens": 4096}, "mail": {"max_tokens": 20}})
    place.fill(
        [a_record(number, output_tokens=100, feature="chat") for number in range(50)]
        + [a_record(100 + n, output_tokens=20, feature="mail", stop_reason="max_tokens") for n in range(10)]
    )
    found = {row["feature"]: row for row in shown(place)["lengths"]["rows"]}
    assert (found["chat"]["cap"], found["chat"]["p99"], found["chat"]["cut"]) == (4096, 100, 0)
    assert "150 would be enough" in found["chat"]["advice"] and "cut off" in found["mail"]["advice"]


def test_an_empty_ledger_is_a_page_too(place: Place) -> None:
    answer = place.visitor().get("/penstock/cost")
    assert answer.status_code == 200 and "[[budgets]]" in answer.text
