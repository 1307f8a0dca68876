"""The parts of a reconciliation that a simulator's reports do not show: midnight, other charges, rounding, chance."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from penstock.tools.reconcile import tokens
from penstock.tools.reconcile.attempts import GivenUp, given_up
from penstock.tools.reconcile.books import Minute, Row
from penstock.tools.reconcile.findings import FAULTS, SETTLING, UNEXPLAINED
from penstock.tools.reconcile.minutes import Run, differing, matched
from penstock.tools.reconcile.money import Accounts, Invoice, rest, shares
from penstock.tools.reconcile.sums import DAY_US, MINUTE_US, ZERO, Charge, Counts, Place, Sum, plus, rates_of, sign
from penstock.wire.prices import PriceBook
from penstock.wire.reports import CostRow, UsageRow

RATES = rates_of(PriceBook())
DAY = 20_775
MIDNIGHT = DAY * 1440
SONNET = Place(None, "claude-sonnet-4-6", "standard", "global", "standard")
NOW = (DAY + 3) * DAY_US


def counts(new: int, out: int) -> Counts:
    return (new, 0, 0, 0, out, 0)


def a_row(number: int, minute: int, of: Counts, **more: Any) -> Row:
    given = {"took_us": 2_000_000, "place": SONNET, "nano": 3_000 * of[0] + 15_000 * of[4], "basis": "exact"}
    return Row(f"call_{number}", minute * MINUTE_US, counts=of, **{**given, **more})


def minutes(*rows: Row) -> dict[int, Minute]:
    found: dict[int, Minute] = {}
    for row in rows:
        one = found.setdefault(row.began_us // MINUTE_US, Minute())
        one.counts, one.calls = plus(one.counts, row.counts), one.calls + 1
        one.longest_us = max(one.longest_us, row.took_us)
        one.rows.append(row)
    return found


def causes(runs: list[Run], **known: Any) -> list[Any]:
    given = {"now_us": NOW, "ends": NOW // MINUTE_US, "unknown": (), "rates": RATES}
    return [finding for _, finding in tokens.explained(runs, tokens.Known(**{**given, **known}))]


def test_a_call_that_the_api_counts_a_minute_later_is_no_difference() -> None:
    ours = minutes(a_row(1, 100, counts(900, 40)), a_row(2, 100, counts(700, 30)))
    (run,) = differing(SONNET, {100: counts(900, 40), 101: counts(700, 30)}, ours)
    assert run.delta == ZERO and causes([run]) == []


def test_a_call_that_moved_and_one_that_is_missing_are_told_apart() -> None:
    ours = minutes(a_row(1, 100, counts(900, 40)), a_row(2, 100, counts(700, 30)), a_row(3, 100, counts(500, 20)))
    (found,) = causes(differing(SONNET, {100: counts(900, 40), 101: counts(500, 20)}, ours))
    assert (found.cause, found.call_ids, found.pico) == ("missing", ("call_2",), -1000 * (3_000 * 700 + 15_000 * 30))


def test_calls_around_midnight_change_days_and_no_sum() -> None:
    row = a_row(1, MIDNIGHT - 1, counts(900, 40), took_us=90_000_000)
    found = causes(differing(SONNET, {MIDNIGHT: row.counts}, minutes(row)))
    assert [(one.cause, one.day) for one in found] == [("midnight", DAY - 1), ("midnight", DAY)]
    assert sum(one.pico for one in found) == 0 and all(one.is_settling and one.pico for one in found)


def test_more_than_any_of_our_calls_while_some_went_on_is_not_ours() -> None:
    ours = minutes(a_row(1, 100, counts(900, 40)), a_row(2, 100, counts(700, 30)))
    (found,) = causes(differing(SONNET, {100: counts(901 + 1600, 71 + 30)}, ours))
    assert found.cause == "elsewhere" and found.counts == counts(901, 31)


def test_what_is_among_too_many_calls_is_not_guessed_at() -> None:
    rows = [a_row(number, 100, counts(11, 10 + number % 40)) for number in range(60)]
    api = plus(minutes(*rows)[100].counts, counts(22, 60))
    (found,) = causes(differing(SONNET, {100: api}, minutes(*rows)))
    assert found.cause == "unexplained" and not found.is_explained and not found.is_settling
    mixed = plus(minutes(*rows[:1])[100].counts, (5, 0, 0, 0, -1, 0))
    assert [one.cause for one in causes(differing(SONNET, {100: mixed}, minutes(*rows[:1])))] == ["unexplained"]


def test_a_fraction_of_a_call_is_not_explained() -> None:
    ours = minutes(a_row(1, 100, counts(900, 40)))
    (found,) = causes(differing(SONNET, {100: counts(899, 40)}, ours))
    assert found.cause == "unexplained" and found.pico == -3_000_000


def test_calls_of_unknown_cost_account_for_no_more_than_was_held() -> None:
    unknown = a_row(9, 100, ZERO, nano=None, basis="unknown", held_nano=4_000_000)
    small = differing(SONNET, {100: counts(1_000, 60)}, {})
    assert [one.cause for one in causes(small, unknown=[unknown])] == ["unknown"]
    large = differing(SONNET, {100: counts(1_000, 80)}, {})
    assert [one.cause for one in causes(large, unknown=[unknown])] == ["elsewhere"]
    twice = [*small, *differing(SONNET, {101: counts(1_000, 60)}, {})]
    assert [one.cause for one in causes(twice, unknown=[unknown])] == ["unknown", "elsewhere"]
    other = unknown._replace(place=SONNET._replace(model="claude-opus-5-5"))
    assert [one.cause for one in causes(small, unknown=[other])] == ["elsewhere"]


def test_matches_are_found_where_there_are_any() -> None:
    random = Random(1)
    for _ in range(200):
        rows = [
            a_row(number, 1, counts(random.randrange(50_000), random.randrange(9_000)))
            for number in range(random.randrange(1, 9))
        ]
        low, high = random.choice([(-1, 0), (0, 1), (-1, 1)])
        taken = {place: random.randint(low, high) for place in range(len(rows))}
        target = ZERO
        for place, number in taken.items():
            target = plus(target, tuple(number * count for count in rows[place].counts))
        found = matched(rows, target, low, high)
        assert found.taken == {place: number for place, number in taken.items() if number}
        off = (target[0] + 100_000, *target[1:])
        if sign(target) == 1 and low == 0 and target[0] + 100_000 > sum(row.counts[0] for row in rows):
            assert matched(rows, off, low, high) == (None, True)


def test_a_search_that_is_too_long_says_that_it_is_not_sure() -> None:
    rows = [a_row(number, 1, counts(2 * number + 2, 4 * number + 2)) for number in range(60)]
    found = matched(rows, counts(1001, 1000), 0, 1)
    assert found.taken is None and not found.is_sure


def cost(kind: str, pico: int, **more: Any) -> CostRow:
    given = {"workspace_id": None, "model": SONNET.model, "service_tier": "standard", "inference_geo": "global"}
    return CostRow(at_us=DAY * DAY_US, kind=kind, pico=pico, decimals=5, context_window="0-200k", **{**given, **more})


def usage(key: str, of: Counts, speed: str = "standard") -> UsageRow:
    place = ("claude-sonnet-4-6", "standard", "0-200k", "global", speed)
    return UsageRow(DAY * DAY_US, key, None, *place, counts=of)


SEARCHES = (0, 0, 0, 0, 0, 3)


def test_a_line_of_several_keys_is_shared_out_by_tokens() -> None:
    rows = [usage("apikey_1", counts(100, 10)), usage("apikey_2", counts(300, 10)), usage("apikey_2", SEARCHES)]
    costs = [
        cost("uncached_input_tokens", 400 * 3_000_000),
        cost("output_tokens", 20 * 15_000_000),
        cost("web_search", 30_000_000_000, model=None, service_tier=None, inference_geo=None),
        cost("code_execution", 7, model=None),
    ]
    billed = shares(costs, rows, frozenset({"apikey_1"}))[DAY, Charge(*SONNET[1:4])]
    assert billed.pico == {"uncached_input_tokens": 300_000_000, "output_tokens": 150_000_000}
    everyone = shares(costs, rows, None)
    assert sum(invoice.total for invoice in everyone.values()) == sum(row.pico for row in costs)
    assert everyone[DAY, Charge(*SONNET[1:4])].pico["web_search"] == 30_000_000_000


def left(tier: str = "standard", now_us: int = NOW, **own: Any) -> list[tuple[str, int]]:
    accounts = {(DAY, Charge(SONNET.model, tier, "global")): Accounts(**own)}
    return [(one.cause, one.pico) for one in rest(accounts, RATES, now_us, 5)]


LEDGER = Sum(counts(1_000, 100), 1, 4_500_000)
BILLED = Invoice({"uncached_input_tokens": 3_000_000_000, "output_tokens": 1_500_000_000}, 2)


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({"invoice": BILLED, "ledger": LEDGER}, []),
        ({"ledger": LEDGER, "tier": "priority"}, [("priority", -4_500_000_000)]),
        ({"ledger": LEDGER}, [("prices", -4_500_000_000)]),
        ({"ledger": LEDGER, "now_us": (DAY + 1) * DAY_US + 5}, [("incomplete", -4_500_000_000)]),
        ({"ledger": LEDGER, "now_us": DAY * DAY_US + 5}, [("incomplete", -4_500_000_000)]),
        ({"invoice": BILLED, "ledger": Sum(LEDGER.counts, 1, 0, 1)}, [("unpriced", 4_500_000_000)]),
        ({"invoice": Invoice({"code_execution": 8_000}, 1)}, [("other_charges", 8_000)]),
        ({"invoice": Invoice({"output_tokens": 15_000_000_000}, 1)}, [("unexplained", 15_000_000_000)]),
        ({"invoice": BILLED, "ledger": Sum(LEDGER.counts, 1, 4_500_050)}, [("rounding", -50_000)]),
        ({"invoice": BILLED, "ledger": LEDGER, "tokens": 1_000_000}, [("prices", -1_000_000)]),
    ],
)
def test_what_is_left_of_the_dollars_has_a_cause(own: dict[str, Any], found: list[tuple[str, int]]) -> None:
    assert left(**{"counted": LEDGER.counts if "ledger" in own else ZERO, **own}) == found


def test_attempts_that_may_have_been_billed_are_those_whose_request_had_left() -> None:
    spent = {"type": "Spent", "usage": {"input_tokens": 5, "output_tokens": 2}, "model": "claude-haiku-4-5"}
    trail = [
        {"type": "Routed"},
        {"type": "Answered", "upstream": "a", "status": 529},
        {"type": "Broken", "upstream": "a", "code": "connect_failed"},
        {"type": "Broken", "upstream": "a", "code": "reset"},
        {"type": "Answered", "upstream": "a#2", "status": 200},
        spent,
        {"type": "Hopped", "candidate": "claude-opus-5-5 at b"},
        {"type": "Answered", "upstream": "b", "status": 200},
    ]
    found = list(given_up(trail, "claude-haiku-4-5", "exact"))
    assert [(one.upstream, one.model, one.usage is None) for one in found] == [
        ("a", "claude-haiku-4-5", True),
        ("a#2", "claude-haiku-4-5", False),
    ]
    assert [one.upstream for one in given_up(trail[:-1], "m", "estimated")] == ["a", "a#2"]
    assert list(given_up(trail[:2], "m", "free")) == [] and isinstance(found[0], GivenUp)


def test_every_cause_has_its_row_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verbs" / "reconcile.md").read_text()
    told = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert told == {*SETTLING, *FAULTS, UNEXPLAINED} and not set(SETTLING) & set(FAULTS)
