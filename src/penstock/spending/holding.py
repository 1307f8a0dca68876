"""What budgets hold for one call: as much as the attempts that may have cost something can come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..call import Call
from ..ports.money import Budgets

#: What an attempt is held to cost, in nano-dollars. Raises Refused.
Weigh = Callable[[Call], int]
#: Holds so much more for the call. Raises Refused.
More = Callable[[int], Awaitable[None]]


class Holding:
    """A purse. The first attempt is held for already; others ask for what is lacking when they begin.

    Amounts are lists that are only added to: hedged attempts of the blocking face begin in threads, and of two that
    begin at once each may ask for what one would, which is safe.
    """

    __slots__ = ("_budgets", "_call_id", "_committed", "_first", "_held", "_more", "_nano", "_weigh")

    def __init__(self, budgets: Budgets, call: Call, nano: int, *, weigh: Weigh, more: More) -> None:
        self._budgets, self._call_id, self._weigh, self._more = budgets, call.id, weigh, more
        self._first, self._nano = (call.body, call.plan), nano
        self._held, self._committed = [nano], [0]

    @property
    def committed_nano(self) -> int:
        return sum(self._committed)

    async def begin(self, call: Call) -> int:
        body, plan = self._first
        nano = self._nano if call.body is body and call.plan is plan else self._weigh(call)
        self._committed.append(nano)
        lacking = sum(self._committed) - sum(self._held)
        if lacking > 0:
            self._held.append(lacking)
            try:
                await self._more(lacking)
            except BaseException:
                self._committed.append(-nano)
                self._held.append(-lacking)
                raise
        return nano

    def spared(self, nano: int) -> None:
        self._committed.append(-nano)

    async def settle(self, cost_nano: int | None, batch_id: str | None) -> None:
        nano = self.committed_nano if cost_nano is None else cost_nano
        await self._budgets.settle(self._call_id, nano, batch_id)
