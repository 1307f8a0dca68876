"""What may be spent and done: budgets and how far they are, tiers, the upstreams' own limits and who waits for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ..ports import Key
from ..ports.money import Balance
from ..spending.budget import Budget, of_keys, parts
from ..spending.periods import Span
from ..stores.budgets import SqliteBudgets
from ..stores.keys import KeyStore
from ..stores.recent import Recent
from ..stores.shared import SharedDatabase
from .desk import Desk
from .view import View

#: Of each budget, so many of its accounts are shown: those that have spent most.
ACCOUNTS_MAX = 8
#: Layers whose refusals are about what a caller may spend or do.
_LAYERS = ("limits", "budgets", "pacing")
#: Before so much of a period is over, in percent, nothing is said about its pace.
_PACE_PERCENT = 5
_HOUR_US = 3_600_000_000


def limits(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: budgets with their accounts, tiers, upstreams, and what was refused in the span."""
    keys = KeyStore(desk.data, desk.clock).list()
    with desk.totals() as totals:
        refused = [
            {"layer": one.labels[0], "code": one.labels[1], "calls": one.measures["calls"]}
            for one in totals.errors(view.span, view.where)
            if one.labels[0] in _LAYERS
        ]
    counts_here = "memory" not in (desk.config.stores.counters, desk.config.stores.ledger)
    return {
        "counts_here": counts_here,
        "budgets": _budgets(desk, keys, view.now_us) if counts_here else [],
        "tiers": [
            {
                "name": name,
                "tier": tier,
                "keys": sum((key.tier or "default") == name for key in _live(keys, view.now_us)),
            }
            for name, tier in sorted(desk.config.tiers.items())
        ],
        "paces": sorted(desk.paces, key=lambda one: (-one.waiting, one.target, one.group)),
        "waiting": sum(one.waiting for one in desk.paces),
        "refused": sorted(refused, key=lambda one: -one["calls"]),
    }


def _live(keys: list[Key], now_us: int) -> list[Key]:
    return [key for key in keys if key.revoked_at_us is None and (key.expires_at_us or now_us + 1) > now_us]


def _budgets(desk: Desk, keys: list[Key], now_us: int) -> list[dict[str, Any]]:
    """Those of the config in its order, keys' own last."""
    named = {key.lineage or key.id: key.name for key in keys}
    shared, recent = SharedDatabase(desk.data), Recent(desk.data)
    try:
        store = SqliteBudgets(shared, desk.clock)
        budgets = [*map(Budget, desk.config.budgets), *of_keys(keys)]
        return [_budget(budget, store, recent, named, now_us) for budget in budgets]
    finally:
        shared.close()
        recent.close()


def _budget(
    budget: Budget, store: SqliteBudgets, recent: Recent, named: Mapping[str, str], now_us: int
) -> dict[str, Any]:
    own, of = budget.config, budget.span(now_us)
    found, count = store.largest(budget.account((), of), ACCOUNTS_MAX)
    if not found and not own.per:
        found, count = [(budget.account((), of), Balance())], 1
    is_foretold = budget.limit_nano is not None and any(balance.spent_nano for _, balance in found)
    hours = recent.spent_by(budget.counted(now_us), now_us - _HOUR_US, now_us) if is_foretold else {}
    return {
        "title": own.title,
        "per": own.per,
        "period": of.label,
        "resets": None if own.period == "total" else _local(of.until_us, own.timezone),
        "plan_nano": budget.plan_nano,
        "limit_nano": budget.limit_nano,
        "alert_percent": own.alert_percent,
        "accounts": [_account(budget, of, name, one, hours.get(name, 0), named, now_us) for name, one in found],
        "count": count,
    }


def _account(
    budget: Budget, of: Span, name: str, balance: Balance, hour_nano: int, named: Mapping[str, str], now_us: int
) -> dict[str, Any]:
    plan, limit = budget.plan_nano, budget.limit_nano
    used = balance.spent_nano + balance.held_nano
    most = max(plan * 6 // 5 if limit is None else limit, plan, used, 1)
    values = zip(budget.config.per, parts(name)[2], strict=True)
    whose = [named.get(value, value) if label == "key" else value for label, value in values]
    return {
        "name": ", ".join(one or "none" for one in whose),
        "spent_nano": balance.spent_nano,
        "held_nano": balance.held_nano,
        "left_nano": None if limit is None else max(0, limit - used),
        "plan_percent": None if not plan else 100 * balance.spent_nano / plan,
        "is_out": limit is not None and used >= limit,
        "is_over": balance.spent_nano > plan,
        "bar": {
            "spent": 100 * balance.spent_nano / most,
            "held": 100 * balance.held_nano / most,
            "plan": 100 * plan / most,
            "limit": None if limit is None else 100 * limit / most,
        },
        "forecast": _forecast(budget, of, balance, hour_nano, now_us),
    }


def _forecast(budget: Budget, of: Span, balance: Balance, hour_nano: int, now_us: int) -> dict[str, Any]:
    """When it is used up at the rate of the last hour, where that is within its period; what it comes to by its end."""
    made: dict[str, Any] = {"out_by": None, "end_nano": None}
    left = None if budget.limit_nano is None else budget.limit_nano - balance.spent_nano
    if left is not None and left > 0 and hour_nano > 0:
        out_us = now_us + left * _HOUR_US // hour_nano
        if out_us < of.until_us:
            made["out_by"] = _local(out_us, budget.config.timezone)
    over_us = now_us - of.from_us
    if budget.config.period != "total" and 100 * over_us >= _PACE_PERCENT * (of.until_us - of.from_us):
        made["end_nano"] = balance.spent_nano * (of.until_us - of.from_us) // over_us
    return made


def _local(at_us: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"
