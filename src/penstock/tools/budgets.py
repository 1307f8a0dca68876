"""Where budgets stand, and their counting anew from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ..config.money import BudgetConfig
from ..config.schema import Config
from ..ports import Clock, Key
from ..ports.money import Balance, Counted
from ..spending.budget import Budget, of_keys, parts
from ..stores import audit
from ..stores.budgets import PAUSE_S, Difference, SqliteBudgets
from ..stores.keys import KeyStore
from ..stores.schema import connect
from ..stores.shared import SharedDatabase
from ..wire.prices import usd

_DAY_US = 86_400_000_000


def standing(config: Config, clock: Clock) -> list[dict[str, Any]]:
    """Each account of the periods that are now: what was planned, spent, is held and is left, in dollars.

    Budgets in the order of the config, keys' own last; within one, the most spent first. Raises StoreFailed.
    """
    now_us = clock.wall_us()
    shared = SharedDatabase(config.data)
    try:
        balances = SqliteBudgets(shared, clock).balances()
    finally:
        shared.close()
    keys = KeyStore(config.data, clock).list()
    rows: list[dict[str, Any]] = []
    for budget in _all(config, keys):
        label = budget.span(now_us).label
        found = {name: balance for name, balance in balances.items() if parts(name)[:2] == (budget.config.title, label)}
        if not found and not budget.config.per:
            found = {budget.account((), budget.span(now_us)): Balance()}
        ordered = sorted(found.items(), key=lambda entry: (-entry[1].spent_nano, entry[0]))
        rows += [_row(budget, now_us, parts(name)[2], balance) for name, balance in ordered]
    return rows


def rebuild(config: Config, clock: Clock) -> tuple[list[Difference], list[str]]:
    """Count what all budgets have spent in the periods that are now, from the ledger.

    Returns what was otherwise before, and the titles of those left alone because rows of their period are past keeping.
    Raises StoreFailed.
    """
    now_us = clock.wall_us()
    whole_from_us = now_us - config.records.keep_days * _DAY_US
    wanted: list[Counted] = [one.counted(now_us) for one in _all(config, KeyStore(config.data, clock).list())]
    left = [one.title for one in wanted if one.from_us < whole_from_us]
    shared, ledger = SharedDatabase(config.data), connect(config.data)
    try:
        store = SqliteBudgets(shared, clock)
        found = store.count(ledger, [one for one in wanted if one.from_us >= whole_from_us], pause_s=PAUSE_S)
    finally:
        ledger.close()
        shared.close()
    if found:
        differences = [{"account": one.account.split("\x1f"), "usd": usd(one.after_nano)} for one in found]
        was = [{"account": one.account.split("\x1f"), "usd": usd(one.before_nano)} for one in found]
        audit.record(
            config.data,
            clock,
            action="budgets.rebuild",
            subject="budgets",
            before={"spent": was},
            after={"spent": differences},
        )
    return found, left


def _all(config: Config, keys: Sequence[Key]) -> list[Budget]:
    """The budgets of the config, and those that keys have of their own."""
    return [*map(Budget, config.budgets), *of_keys(keys)]


def _row(budget: Budget, now_us: int, values: tuple[str, ...], balance: Balance) -> dict[str, Any]:
    own, of = budget.config, budget.span(now_us)
    used = balance.spent_nano + balance.held_nano
    return {
        "budget": own.title,
        "of": dict(zip(own.per, values, strict=True)),
        "period": of.label,
        "resets_at": None if own.period == "total" else _time(of.until_us, own),
        "plan_usd": usd(budget.plan_nano),
        "limit_usd": None if budget.limit_nano is None else usd(budget.limit_nano),
        "spent_usd": usd(balance.spent_nano),
        "held_usd": usd(balance.held_nano),
        "left_usd": None if budget.limit_nano is None else usd(max(0, budget.limit_nano - used)),
        "plan_percent": round(100 * balance.spent_nano / budget.plan_nano, 1) if budget.plan_nano else None,
    }


def _time(at_us: int, own: BudgetConfig) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(own.timezone)).isoformat(timespec="minutes")
