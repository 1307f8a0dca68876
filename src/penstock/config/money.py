"""What calls may cost: `[[budgets]]`, and amounts of money as the config has them.

Amounts are dollars, as numbers or decimal strings; they are kept exactly, in nano-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal
from zoneinfo import ZoneInfo

from .keys import BadValue, Fault, Section, check, key, shown, table

NANO = 1_000_000_000
#: What a budget may be about; each is a column of the ledger.
DIMENSIONS = ("environment", "key", "segment", "user", "session", "feature", "model")
PERIODS = ("day", "week", "month", "total")
#: The limit where only a plan is given, as a share of it.
LIMIT_PERCENT = 120

_USD_MAX = Decimal(1_000_000_000)


def nano_of(usd: str | float) -> int:
    """An amount of the config in nano-dollars, exactly as written. Raises ValueError for what is no such amount."""
    try:
        nano = Decimal(str(usd)) * NANO
    except InvalidOperation:
        raise ValueError("is not a decimal number") from None
    if not nano.is_finite() or nano < 0 or nano > _USD_MAX * NANO:
        raise ValueError("is not from 0 to 1,000,000,000")
    if nano != int(nano):
        raise ValueError("has more than nine decimals")
    return int(nano)


def of_amount(usd: str | float | None) -> Fault | None:
    try:
        if usd is not None:
            nano_of(usd)
    except ValueError as fault:
        return str(fault), 'Give dollars, such as 250 or "0.05".'
    return None


def of_zone(name: str) -> Fault | None:
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        return f"is {shown(name)}, which is no time zone here", 'Give one such as "Europe/Berlin", or install `tzdata`.'
    return None


def of_dimensions(names: tuple[str, ...]) -> Fault | None:
    for name in names:
        if name not in DIMENSIONS:
            return f"names {shown(name)}", f"Choose from {', '.join(DIMENSIONS)}."
    return ("names one twice", "Name each once.") if len(set(names)) < len(names) else None


def of_percents(percents: tuple[int, ...]) -> Fault | None:
    if all(0 < percent <= 1000 for percent in percents) and sorted(set(percents)) == list(percents):
        return None
    return "is no rising list of percents", "Give such as [50, 80, 100]."


@dataclass(frozen=True, slots=True)
class BudgetConfig(Section):
    """What some calls may cost together in a period: `[[budgets]]`, as many as needed; each holds by itself."""

    name: str | None = key(None, "what it is called in refusals, alerts and reports; made of the rest where left out")
    where: Mapping[str, str] = table(dict, "the calls it is about, by " + ", ".join(DIMENSIONS) + "; all where empty")
    per: tuple[str, ...] = key((), "a separate amount for each value of these, such as each user", fault=of_dimensions)
    period: Literal["day", "week", "month", "total"] = key(
        "month", "what it is for; weeks begin on Monday", one_of=PERIODS
    )
    timezone: str = key("UTC", "where days begin at midnight", fault=of_zone)
    plan_usd: str | float | None = key(
        None,
        "what is expected; without it `limit_usd` / 1.2. Alerts and the percents below are of this",
        fault=of_amount,
    )
    limit_usd: str | float | None = key(
        None, "where calls are refused, exactly; without it 120 % of `plan_usd`", fault=of_amount
    )
    stops: bool = key(True, "whether calls are refused at the limit at all")
    alert_percent: tuple[int, ...] = key((50, 80, 100), "of the plan: where alerts are sent", fault=of_percents)
    slow_percent: int = key(0, "of the plan: from here on each call waits first; 0: none does", least=0, most=1000)
    slow_s: float = key(2.0, "how long", least=0, most=60)
    downgrade_percent: int = key(
        0, "of the plan: from here on calls go to the `downgrade` of their feature; 0: none does", least=0, most=1000
    )
    status: int = key(402, "what a refusal is: 402, or 429 for clients that know no other")
    contact: str | None = key(None, "whom to ask for more, said in refusals")

    def __post_init__(self) -> None:
        check(self)
        for name in self.where:
            if name not in DIMENSIONS:
                raise BadValue(
                    "BudgetConfig", f"where.{name}", "is nothing budgets know", f"Choose from {', '.join(DIMENSIONS)}."
                )
        if self.plan_usd is None and self.limit_usd is None:
            raise BadValue("BudgetConfig", "plan_usd", "is missing, and so is `limit_usd`", "Give one of them.")
        if self.status not in (402, 429):
            raise BadValue("BudgetConfig", "status", f"is {shown(self.status)}", "Give 402 or 429.")

    @property
    def plan_nano(self) -> int:
        """What is expected, in nano-dollars."""
        if self.plan_usd is not None:
            return nano_of(self.plan_usd)
        return nano_of(self.limit_usd or 0) * 100 // LIMIT_PERCENT

    @property
    def limit_nano(self) -> int | None:
        """Where calls are refused, in nano-dollars; None where none is."""
        if not self.stops:
            return None
        if self.limit_usd is not None:
            return nano_of(self.limit_usd)
        return nano_of(self.plan_usd or 0) * LIMIT_PERCENT // 100

    @property
    def title(self) -> str:
        """Its name, or one made of what it is about."""
        if self.name is not None:
            return self.name
        about = [f"{name}={value}" for name, value in self.where.items()] or ["everything"]
        each = [f"each {name}" for name in self.per]
        return ", ".join([*about, *each, self.period])
