"""What the ledger, the budgets, the circuits and the keys say at one moment: plain values.

Money in nano-dollars, times in Unix microseconds.
"""

from __future__ import annotations

import msgspec

from ...config.money import BudgetConfig
from ...stores.recent import Ended, Spent


class Standing(msgspec.Struct, frozen=True):
    """One account of a budget in its present period. `hour_nano`: what it spent in the last hour, where it was read."""

    budget: BudgetConfig
    values: tuple[str, ...]
    period: str
    until_us: int
    spent_nano: int
    hour_nano: int | None = None

    @property
    def limit_nano(self) -> int:
        """Where it is used up: its limit, or its plan where nothing is refused."""
        limit = self.budget.limit_nano
        return self.budget.plan_nano if limit is None else limit


class Open(msgspec.Struct, frozen=True):
    """A circuit that is open."""

    name: str
    until_us: int
    opens: int


class Held(msgspec.Struct, frozen=True):
    """A key in use: what identifies it, what it is in words, and since when it is known."""

    identity: str
    shown: str
    since_us: int
    is_upstream: bool = False


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """All of one moment. `earlier` has the same hour of each earlier day that there are records of; `drifts` how far
    from its invoice, in percent, each upstream's ledger was when somebody last looked."""

    at_us: int
    ended: Ended = Ended()
    today: Spent = Spent()
    hour: Spent = Spent()
    earlier: tuple[Spent, ...] = ()
    standings: tuple[Standing, ...] = ()
    circuits: tuple[Open, ...] = ()
    keys: tuple[Held, ...] = ()
    drifts: tuple[tuple[str, float], ...] = ()
