"""Virtual keys as people look at them: what each may do, has spent in its present period, and when it was last used."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ..config.schema import Config
from ..ports import Clock, Key
from ..ports.money import Balance
from ..spending.budget import of_key
from ..spending.periods import Span
from ..stores.budgets import SqliteBudgets
from ..stores.keys import KeyStore
from ..stores.reading import LedgerReader
from ..stores.shared import SharedDatabase
from ..wire.prices import usd

#: A key this old is due for rotation.
DAYS_MAX = 90

_DAY_US = 86_400_000_000
_NOTHING = Balance()


def listed(config: Config, clock: Clock, keys: Sequence[Key]) -> list[dict[str, Any]]:
    """Each key as JSON has it: rights, limit, what is spent of it, age, last use and state. Raises StoreFailed.

    What is spent is that of its whole family: with a limit, what the limit counts; without, what the records say that
    are kept.
    """
    store, now_us = KeyStore(config.data, clock), clock.wall_us()
    lineages = {key.id: key.lineage or key.id for key in store.list()}
    balances = _balances(config, clock)
    with LedgerReader(config.data) as ledger:  # first, for it takes in what dead processes left
        recorded = {
            since_us: {group.labels["key"]: group.cost_nano for group in ledger.grouped(["key"], since_us=since_us)}
            for since_us in {_span(key, now_us).from_us for key in keys if key.limit_nano is None}
        }
    used = store.last_used()
    rows = []
    for key in keys:
        family = [other for other, lineage in lineages.items() if lineage == lineages.get(key.id, key.id)]
        span = _span(key, now_us)
        if key.limit_nano is None:
            spent = sum(recorded[span.from_us].get(member, 0) for member in family)
        else:
            budget = of_key(key.limit_nano, key.period)
            spent = sum(balances.get(budget.account((member,), span), _NOTHING).spent_nano for member in family)
        rows.append(_shown(key, now_us, span.label, spent, used.get(key.id)))
    return rows


def state(key: Key, now_us: int) -> str:
    """live, expired or revoked."""
    if key.revoked_at_us is not None:
        return "revoked"
    return "expired" if key.expires_at_us is not None and key.expires_at_us <= now_us else "live"


def moment(at_us: int | None) -> str | None:
    """A time in UTC, to the second: 2026-11-21T10:30:00Z."""
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _balances(config: Config, clock: Clock) -> dict[str, Balance]:
    if "memory" in (config.stores.counters, config.stores.ledger):
        return {}
    shared = SharedDatabase(config.data)
    try:
        return SqliteBudgets(shared, clock).balances()
    finally:
        shared.close()


def _span(key: Key, now_us: int) -> Span:
    """The period of a key that is now."""
    return of_key(key.limit_nano or 0, key.period).span(now_us)


def _shown(key: Key, now_us: int, period: str, spent_nano: int, used_at_us: int | None) -> dict[str, Any]:
    age_days = (now_us - key.created_at_us) // _DAY_US
    is_now = state(key, now_us)
    return {
        "id": key.id,
        "name": key.name,
        "key": key.shown,
        "environment": key.environment,
        "scopes": sorted(key.scopes),
        "tier": key.tier,
        "models": None if key.models is None else sorted(key.models),
        "features": None if key.features is None else sorted(key.features),
        "limit_usd": None if key.limit_nano is None else usd(key.limit_nano),
        "period": key.period,
        "period_now": period,
        "spent_usd": usd(spent_nano),
        "created_at": moment(key.created_at_us),
        "expires_at": moment(key.expires_at_us),
        "revoked_at": moment(key.revoked_at_us),
        "last_used_at": moment(used_at_us),
        "age_days": age_days,
        "is_due": is_now == "live" and age_days > DAYS_MAX,
        "state": is_now,
    }
