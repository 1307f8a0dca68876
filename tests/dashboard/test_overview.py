"""The first page: its figures are the ledger's sums, and today is told against what was planned."""

from __future__ import annotations

from typing import Any

import pytest
from place import NOW_US, Place, Placed, a_record

from penstock.dashboard.desk import Desk
from penstock.dashboard.overview import overview
from penstock.dashboard.view import View

HOUR_US = 3_600_000_000


def shown(place: Place, **query: str) -> dict[str, Any]:
    with Desk(place.config, place.clock) as desk:
        return overview(desk, View.of(query, NOW_US))


def tiles(place: Place, **query: str) -> dict[str, dict[str, Any]]:
    return {tile["name"]: tile for tile in shown(place, **query)["tiles"]}


def test_its_figures_are_the_sums_of_the_rows(place: Place) -> None:
    rows = place.fill(
        [
            a_record(
                number,
                began_at_us=NOW_US - number * HOUR_US // 10,
                cost_nano=10**7,
                feature="chat" if number % 2 else None,
            )
            for number in range(1, 40)
        ]
    )
    found = tiles(place)
    assert found["Calls"]["is"] == len(rows) == 39
    assert found["Spent"]["is"] == sum(row.cost_nano or 0 for row in rows) and found["Spent"]["value"] == "$0.3900"
    assert found["Spent"]["spark"] and found["Calls"]["spark"]
    one = tiles(place, feature="chat")
    assert one["Calls"]["is"] == sum(row.feature == "chat" for row in rows)


@pytest.mark.parametrize(
    ("period", "plan", "said"),
    [("day", "6", "of $6.00 planned"), ("month", "60", "of $2.00 planned"), ("total", "60", "no plan for a day")],
)
def test_today_is_told_against_the_plan_with_what_its_pace_comes_to(
    placed: Placed, period: Any, plan: str, said: str
) -> None:
    place = placed(budgets=[{"period": period, "plan_usd": plan}])
    place.fill([a_record(1, began_at_us=NOW_US - HOUR_US // 2, cost_nano=10**9)])
    today = tiles(place)["Spent today, UTC"]
    assert today["value"] == "$1.00" and today["note"].startswith(said) and "by midnight" in today["note"]


def test_what_changed_most_comes_first_and_an_empty_ledger_teaches(place: Place) -> None:
    assert shown(place)["is_empty"]
    place.fill(
        [
            a_record(1, began_at_us=NOW_US - HOUR_US, cost_nano=5, feature="small"),
            a_record(2, began_at_us=NOW_US - HOUR_US, cost_nano=5000, feature="large"),
            a_record(3, began_at_us=NOW_US - 30 * HOUR_US, cost_nano=400, feature="gone"),
        ]
    )
    found = shown(place)
    assert [one["label"] for one in found["movers"]] == ["large", "gone", "small"] and not found["is_empty"]
