"""What a layer asks for itself: sent like the call, billed to it, and never in the way of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.aside import Unanswered, asked
from penstock.call import Call, Spent
from penstock.errors import Refused, UpstreamFailed
from penstock.layer import Next, stack
from penstock.layers.per_call.ledger import Ledger, Settled
from penstock.reply import Reply
from penstock.wire.prices import PriceBook
from script import Drive, LedgerBook, a_call, a_reply, play, ports

BODY = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "Sum it up."}]}
HEADERS = ((b"x-api-key", b"k"), (b"anthropic-version", b"2026-10-21"), (b"anthropic-beta", b"some-beta"))
#: Eight tokens in and five out, at a dollar and at five dollars for a million.
ONE_NANO = 8 * 1000 + 5 * 5000


class Summing:
    """A layer that asks for something itself, and then passes the call on."""

    def __init__(self, seen: list[Any]) -> None:
        self._seen = seen

    async def __call__(self, call: Call, onward: Next) -> Reply:
        try:
            self._seen.append(await asked(call, onward, ports().clock, aside="summary", body=BODY))
        except Unanswered as reason:
            self._seen.append(str(reason))
        return await onward(call)


def test_it_goes_onward_like_the_call_and_what_it_used_is_on_the_trail(drive: Drive) -> None:
    seen: list[Any] = []
    played = play(drive, Summing(seen), a_call(headers=HEADERS, query="beta=true"))
    own, callers = played.onward
    assert json.loads(own.body) == BODY and own.aside == "summary" and own.query == ""
    assert dict(own.headers) == {b"x-api-key": b"k", b"anthropic-version": b"2026-10-21"}
    assert own.plan is not None and callers.plan is not None
    assert own.plan.candidates[0].target is callers.plan.candidates[0].target
    assert callers.aside is None and callers.headers == HEADERS
    assert seen[0].text == "Hi" and seen[0].stop_reason == "end_turn"
    spent = played.fact(Spent)
    assert spent.is_exact and spent.aside == "summary" and spent.usage.output_tokens == 5
    assert "was asked for a summary" in spent.told()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda call: a_reply(call, 500, b"{}"), "the summary was answered with status 500"),
        (UpstreamFailed("It broke.", code="reset"), "the summary could not be had: It broke."),
        (
            Refused("No money.", layer="budgets", code="budget_exceeded", fix="", status=402, type="billing_error"),
            "the summary could not be had: No money.",
        ),
    ],
)
def test_where_it_cannot_be_had_that_is_one_error_and_the_layer_may_go_on(
    drive: Drive, answer: Any, reason: str
) -> None:
    def below(call: Call) -> Reply:
        if call.aside is None:
            return a_reply(call)
        if isinstance(answer, BaseException):
            raise answer
        reply: Reply = answer(call)
        return reply

    seen: list[Any] = []
    played = play(drive, Summing(seen), a_call(), below)
    assert seen == [reason] and played.body and played.trail.last(Spent) is None


class Recorded:
    """The ledger with that layer below it."""

    def __init__(self, book: LedgerBook) -> None:
        self._ledger, self._below = Ledger(PriceBook(), ports(ledger=book)), Summing([])

    async def __call__(self, call: Call, onward: Next) -> Reply:
        return await stack([self._ledger, self._below], end=onward)(call)


def test_both_are_one_row_with_the_exact_cost_of_both(drive: Drive) -> None:
    book = LedgerBook()
    played = play(drive, Recorded(book), a_call())
    assert played.fact(Settled).basis == "exact"
    assert [(row.cost_nano, row.cost_basis) for row in book.records] == [(2 * ONE_NANO, "exact")]
