"""The laws: what is true of every outcome of a simulated world."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from laws.worlds import Outcome
from penstock.config.schema import ResilienceConfig
from penstock.ports.simulated import HungUp
from penstock.spending.budget import parts
from script import STREAM


def every_caller_gets_an_ending(o: Outcome) -> None:
    for made in o.visits:
        assert made.task is not None
        assert made.task.is_done, "a call is stuck"
        assert made.task.error is None or isinstance(made.task.error, HungUp), repr(made.task.error)


def every_call_leaves_one_row(o: Outcome) -> None:
    rows = Counter(row.call_id for row in [*o.ledger.records, *o.ledger.lost])
    assert rows == Counter({made.call.id: 1 for made in o.visits if _has_begun(o, made.call.id, rows)})
    never_begun = [made for made in o.visits if rows[made.call.id] == 0]
    assert all(made.hangs_up for made in never_begun)


def _has_begun(o: Outcome, call_id: str, rows: Counter[str]) -> bool:
    """A caller who hangs up before the call was handed in leaves none."""
    made = next(v for v in o.visits if v.call.id == call_id)
    return rows[call_id] > 0 or bool(made.call.trail) or not made.hangs_up


def a_row_that_is_lost_was_announced_or_cost_nothing(o: Outcome) -> None:
    announced = {intent.call_id for intent in o.ledger.intents}
    for row in o.ledger.lost:
        assert row.call_id in announced or row.cost_nano == 0


def nothing_is_sent_that_was_not_announced(o: Outcome) -> None:
    assert len(o.upstream.served) <= len(o.ledger.intents)


def attempts_stay_within_both_budgets(o: Outcome) -> None:
    rows = [*o.ledger.records, *o.ledger.lost]
    for row in rows:
        assert row.attempts <= ResilienceConfig().tries_max
    sent = sum(row.attempts for row in rows)
    assert sent == len(o.upstream.served)
    successes = sum(1 for served in o.upstream.served if served.has_head and served.script.status < 400)
    assert sent <= len(rows) + o.retries + 0.5 * successes


def every_upstream_answer_is_let_go(o: Outcome) -> None:
    assert all(served.is_released for served in o.upstream.served), "an answer was left open"


def bytes_pass_unchanged(o: Outcome) -> None:
    """What a caller got is what the upstream sent it, with at most an error event after what was cut off."""
    sent = {
        dict(served.request.headers)[b"x-world-call"].decode(): b"".join(served.sent) for served in o.upstream.served
    }
    for made in o.visits:
        got, came = b"".join(made.got), sent.get(made.call.id, b"")
        if not made.is_whole:
            assert came.startswith(got) or got.startswith(came), made.call.id
        elif got != came:
            assert got.startswith(came), made.call.id
            added = got[len(came) :]
            assert added[added.rindex(b"event: error\n") :].count(b"\n\n") == 1
            assert not came.endswith(STREAM[-1])


def a_cut_is_never_complete(o: Outcome) -> None:
    rows = {row.call_id: row for row in [*o.ledger.records, *o.ledger.lost]}
    for made in o.visits:
        row = rows.get(made.call.id)
        if row is None or row.ending != "complete" or row.endpoint != "messages" or row.status != 200:
            continue
        whole = b"".join(made.got)
        assert b"message_stop" in whole or whole.endswith(b"}}"), made.call.id


def a_caller_is_told_of_every_broken_stream(o: Outcome) -> None:
    rows = {row.call_id: row for row in [*o.ledger.records, *o.ledger.lost]}
    for made in o.visits:
        row = rows.get(made.call.id)
        if row is None or row.status != 200 or row.endpoint != "messages":
            continue
        if row.is_stream and made.is_whole and row.ending in ("failed", "truncated"):
            assert b"event: error" in b"".join(made.got)


def money_is_never_zero_once_usage_was_seen(o: Outcome) -> None:
    for row in [*o.ledger.records, *o.ledger.lost]:
        if row.endpoint == "messages" and row.status == 200 and row.input_tokens:
            assert row.cost_nano is not None
            assert row.cost_nano >= row.input_tokens * 1000
            is_all = row.ending == "complete" and b'"Spent"' not in row.trail
            assert row.cost_basis == ("exact" if is_all else "estimated")
        if row.cost_basis in ("unknown", "unpriced", "deferred"):
            assert row.cost_nano is None


def no_budget_is_ever_passed(o: Outcome) -> None:
    limits = {budget.title: budget.limit_nano for budget in o.budgets}
    for account, peak in o.money.peaks.items():
        assert peak <= (limits[parts(account)[0]] or 0), account
    for account, balance in o.money.balances.items():
        assert balance.spent_nano <= (limits[parts(account)[0]] or 0), account


def every_hold_is_settled(o: Outcome) -> None:
    assert not o.money.holds
    assert all(balance.held_nano == 0 for balance in o.money.balances.values())


def budgets_count_what_the_ledger_says(o: Outcome) -> None:
    rows = [*o.ledger.records, *o.ledger.lost]
    spent: Counter[tuple[str | None, ...]] = Counter()
    for row in rows:
        counted = row.cost_nano if row.cost_nano is not None else row.held_nano or 0
        for title, values in (("all", ()), ("users", (row.user,))):
            spent[title, *values] += counted
    for account, balance in o.money.balances.items():
        title, _, values = parts(account)
        assert balance.spent_nano == spent[title, *values], account


def times_are_in_order(o: Outcome) -> None:
    for row in [*o.ledger.records, *o.ledger.lost]:
        assert row.total_us >= 0
        assert row.first_token_us is None or 0 <= row.first_token_us <= row.total_us
        assert row.upstream_us is None or 0 <= row.upstream_us <= row.total_us


LAWS: list[Callable[[Outcome], None]] = [
    every_caller_gets_an_ending,
    every_call_leaves_one_row,
    a_row_that_is_lost_was_announced_or_cost_nothing,
    nothing_is_sent_that_was_not_announced,
    attempts_stay_within_both_budgets,
    every_upstream_answer_is_let_go,
    bytes_pass_unchanged,
    a_cut_is_never_complete,
    a_caller_is_told_of_every_broken_stream,
    money_is_never_zero_once_usage_was_seen,
    no_budget_is_ever_passed,
    every_hold_is_settled,
    budgets_count_what_the_ledger_says,
    times_are_in_order,
]
