"""Outlay: every attempt is held for as it leaves, and let go of where it is known to have cost nothing."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.call import Call
from penstock.errors import Refused, UpstreamFailed
from penstock.layers.per_attempt.outlay import Outlay
from script import Drive, a_call, a_reply, play


class Purse:
    """Holds ten nano-dollars for every attempt, and notes what it is told."""

    def __init__(self, refusal: Refused | None = None) -> None:
        self.begun: list[bytes] = []
        self.spared_nano: list[int] = []
        self._refusal = refusal

    @property
    def committed_nano(self) -> int:
        return 10 * len(self.begun) - sum(self.spared_nano)

    async def begin(self, call: Call) -> int:
        if self._refusal is not None:
            raise self._refusal
        self.begun.append(call.body)
        return 10

    def spared(self, nano: int) -> None:
        self.spared_nano.append(nano)

    async def settle(self, cost_nano: int | None, batch_id: str | None) -> None: ...


def paid(purse: Purse) -> Call:
    call = a_call()
    call.trail.purse = purse
    return call


def refusal(layer: str) -> Refused:
    return Refused("No.", layer=layer, code="no", fix="", status=402, type="billing_error")


def test_without_a_purse_nothing_is_held(drive: Drive) -> None:
    assert len(play(drive, Outlay(), a_call()).onward) == 1


def test_the_attempt_is_held_for_by_the_bytes_that_leave(drive: Drive) -> None:
    purse = Purse()
    played = play(drive, Outlay(), paid(purse))
    assert purse.begun == [played.onward[0].body] and purse.committed_nano == 10


@pytest.mark.parametrize(
    "answer",
    [
        lambda call: a_reply(call, 429, b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow."}}'),
        UpstreamFailed("No connection.", code="connect_failed"),
        refusal("transport"),
    ],
)
def test_what_has_cost_nothing_is_let_go_of(drive: Drive, answer: Any) -> None:
    purse = Purse()
    play(drive, Outlay(), paid(purse), answer)
    assert purse.spared_nano == [10] and purse.committed_nano == 0


def test_what_may_have_cost_something_stays_held(drive: Drive) -> None:
    purse = Purse()
    play(drive, Outlay(), paid(purse), UpstreamFailed("It broke.", code="reset"))
    assert purse.committed_nano == 10 and not purse.spared_nano


def test_what_cannot_be_afforded_does_not_leave(drive: Drive) -> None:
    purse = Purse(refusal("budgets"))
    played = play(drive, Outlay(), paid(purse))
    assert not played.onward and played.error is not None and not purse.spared_nano
