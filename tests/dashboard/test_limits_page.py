"""The page of limits: what it says of budgets is what calls meet, and whose limits are which."""

from __future__ import annotations

from html import unescape

from place import NOW_US, Place, Placed, a_record

from penstock.dashboard.desk import Desk
from penstock.dashboard.limits import ACCOUNTS_MAX, limits
from penstock.dashboard.view import View
from penstock.drive import run
from penstock.ports import Pace
from penstock.spending.budget import Budget, of_keys
from penstock.stores.budgets import SqliteBudgets
from penstock.stores.shared import SharedDatabase

DOLLAR = 1_000_000_000
VIEW = View.of({}, NOW_US)


def spend(place: Place, budget: Budget, values: tuple[str, ...], nano: int, held_nano: int = 0) -> None:
    """Let an account have spent so much, and calls under way hold so much of it."""
    shared = SharedDatabase(place.data)
    store, of = SqliteBudgets(shared, place.clock), budget.span(NOW_US)
    about = budget.config.where | dict(zip(budget.config.per, values, strict=True))
    who = {name: about.get(name) for name in ("environment", "key", "segment", "user", "session", "feature", "model")}
    charged = budget.about(who, NOW_US)
    assert charged is not None
    for call_id, amount in ((f"{values} spent", nano), (f"{values} held", held_nano)):
        run(store.hold(call_id, [charged.account], amount, of.until_us))
    run(store.settle(f"{values} spent", nano))
    shared.close()


def shown(place: Place, **gateway: object) -> dict[str, object]:
    with Desk(place.config, place.clock, **gateway) as desk:  # type: ignore[arg-type]
        return limits(desk, VIEW)


def test_a_budget_is_shown_as_calls_meet_it(placed: Placed) -> None:
    place = placed(budgets=[{"where": {"feature": "chat"}, "plan_usd": 10, "limit_usd": 12}])
    spend(place, Budget(place.config.budgets[0]), (), 6 * DOLLAR, DOLLAR)
    (budget,) = shown(place)["budgets"]  # type: ignore[misc]
    (account,) = budget["accounts"]
    assert (account["spent_nano"], account["held_nano"], account["left_nano"]) == (6 * DOLLAR, DOLLAR, 5 * DOLLAR)
    assert account["plan_percent"] == 60 and not account["is_out"] and not account["is_over"]
    assert account["bar"]["spent"] == 50 and account["bar"]["limit"] == 100
    text = unescape(place.visitor().get("/penstock/limits").text)
    assert "$6.00" in text and "$5.00" in text and "until 2026-12-01 00:00 UTC" in text


def test_one_that_has_spent_nothing_is_there_and_one_that_is_used_up_says_so(placed: Placed) -> None:
    place = placed(budgets=[{"name": "new", "plan_usd": 1}, {"name": "old", "limit_usd": 2}])
    spend(place, Budget(place.config.budgets[1]), (), 2 * DOLLAR)
    new, old = shown(place)["budgets"]  # type: ignore[misc]
    assert new["accounts"][0]["spent_nano"] == 0
    assert old["accounts"][0]["is_out"] and old["accounts"][0]["left_nano"] == 0
    assert "used up" in place.visitor().get("/penstock/limits").text


def test_of_many_accounts_those_that_spent_most_are_shown(placed: Placed) -> None:
    place = placed(budgets=[{"per": ["user"], "limit_usd": 100}])
    for number in range(ACCOUNTS_MAX + 3):
        spend(place, Budget(place.config.budgets[0]), (f"u{number}",), (number + 1) * DOLLAR)
    (budget,) = shown(place)["budgets"]  # type: ignore[misc]
    assert budget["count"] == ACCOUNTS_MAX + 3
    assert [one["name"] for one in budget["accounts"]] == [f"u{number}" for number in range(10, 2, -1)]
    assert "3 more have spent less" in place.visitor().get("/penstock/limits").text


def test_it_is_foretold_when_a_budget_is_used_up_at_the_rate_of_the_last_hour(placed: Placed) -> None:
    place = placed(budgets=[{"where": {"feature": "chat"}, "period": "month", "plan_usd": 10, "limit_usd": 10}])
    place.fill([a_record(began_at_us=NOW_US - 60_000_000, cost_nano=DOLLAR)])
    spend(place, Budget(place.config.budgets[0]), (), 6 * DOLLAR)
    forecast = shown(place)["budgets"][0]["accounts"][0]["forecast"]  # type: ignore[index]
    assert forecast["out_by"] == "2026-11-20 16:30 UTC"  # four dollars at one an hour
    over = NOW_US - Budget(place.config.budgets[0]).span(NOW_US).from_us
    assert forecast["end_nano"] == 6 * DOLLAR * 30 * 86_400_000_000 // over


def test_keys_own_limits_are_by_name(place: Place) -> None:
    made, _ = place.key(limit_nano=5 * DOLLAR)
    (own,) = of_keys(place.keys.list())
    spend(place, own, (made.id,), 4 * DOLLAR)
    (budget,) = shown(place)["budgets"]  # type: ignore[misc]
    assert [(one["name"], one["spent_nano"]) for one in budget["accounts"]] == [("tester", 4 * DOLLAR)]


def test_where_each_process_counts_for_itself_it_says_so_and_makes_no_file(placed: Placed) -> None:
    place = placed(**{"stores.counters": "memory"}, budgets=[{"limit_usd": 2}])
    assert shown(place)["budgets"] == []
    assert not (place.data / "counters.db").exists()
    assert "Each process counts for itself" in place.visitor().get("/penstock/limits").text


def test_what_was_refused_for_a_limit_is_counted_as_the_ledger_has_it(place: Place) -> None:
    refused = {"ending": "refused", "status": 429, "cost_nano": 0, "attempts": 0}
    place.fill(
        [
            *(a_record(n, **refused, error_layer="limits", error_code="too_many_requests") for n in range(3)),
            *(a_record(9 + n, **refused, error_layer="budgets", error_code="budget_exceeded") for n in range(2)),
            a_record(20, **refused, error_layer="admission", error_code="too_large"),
        ]
    )
    found = [(one["layer"], one["calls"]) for one in shown(place)["refused"]]  # type: ignore[attr-defined]
    assert found == [("limits", 3), ("budgets", 2)]


def test_upstreams_show_what_is_left_who_waits_and_what_is_closed(place: Place) -> None:
    paces = [
        Pace("anthropic", "haiku-4-5", {"requests": (50.0, 42.0)}, 0, 1, 0, 0.0),
        Pace("anthropic#2", "opus-5", {}, 7, 2, 10, 12.0),
    ]
    made = shown(place, paces=paces)
    assert made["waiting"] == 7
    assert [one.target for one in made["paces"]] == ["anthropic#2", "anthropic"]  # type: ignore[attr-defined]


def test_tiers_are_there_with_the_keys_that_have_them(placed: Placed) -> None:
    place = placed(tiers={"free": {"requests_per_minute": 20}})
    place.key(tier="free")
    revoked, _ = place.key(tier="free")
    place.keys.revoke(revoked.id)
    assert [(one["name"], one["keys"]) for one in shown(place)["tiers"]] == [("free", 1)]  # type: ignore[attr-defined]
