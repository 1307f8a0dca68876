"""What is spent and held: the port of budgets, and what goes over it. All money is nano-dollars."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec


class Account(msgspec.Struct, frozen=True):
    """What a budget counts in one period, for one value of what it is kept apart by.

    `limit_nano` is None where it only counts. It is of no interest any more after `until_us`, Unix microseconds.
    """

    name: str
    limit_nano: int | None
    until_us: int


class Counted(msgspec.Struct, frozen=True):
    """What the accounts of one budget count in one period, in terms of the ledger: to count them anew.

    `where` holds columns and the values they may have, `per` the columns by whose values there are accounts. `name`
    makes the account's name of these. `identity` is another where the budget is about other calls. Times in Unix
    microseconds.
    """

    identity: str
    title: str
    where: tuple[tuple[str, tuple[str, ...]], ...]
    per: tuple[str, ...]
    from_us: int
    until_us: int
    kept_until_us: int
    name: Callable[[tuple[str, ...]], str]


class Balance(msgspec.Struct, frozen=True):
    """What has been spent of an account, and what calls under way hold of it."""

    spent_nano: int = 0
    held_nano: int = 0


class Held(msgspec.Struct, frozen=True):
    """What became of asking for a hold: the balances, in the order of the accounts, with it where it was had.

    `short` is the place of the account that has too little left; then nothing was held.
    """

    balances: tuple[Balance, ...]
    short: int | None = None


class Budgets(Protocol):
    """What every process of a host has spent and holds, by account. A hold is a lease."""

    async def hold(self, call_id: str, accounts: Sequence[Account], nano: int, until_us: int) -> Held:
        """Hold so much of every account, or of none; on top of what the call holds already. 0 only asks.

        Raises StoreFailed.
        """
        ...

    async def settle(self, call_id: str, nano: int, batch_id: str | None = None) -> None:
        """End a call's hold: so much was spent. Nothing happens where it holds nothing any more.

        With `batch_id` it is what that batch is held to cost, until it is billed. What the store cannot take now it
        takes later, and nothing is raised.
        """
        ...

    async def bill(self, batch_id: str, nano: int) -> None:
        """A batch came to so much, instead of what its call was settled with. Nothing happens the second time.

        Raises StoreFailed.
        """
        ...
