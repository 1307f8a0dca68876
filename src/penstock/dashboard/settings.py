"""What runs and with which settings: config, keys, upstreams, versions, disk, and who changed what. No secrets."""

from __future__ import annotations

import json
import platform
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..config.show import toml
from ..ports import Key
from ..stores import audit
from ..stores.keys import KeyStore
from ..stores.sums import DAY_US, HOUR_US
from ..stores.totals import Span, Total
from ..version import VERSION
from ..wire.models import shipped
from .desk import Desk
from .view import View
from .wording import age

#: So far back it is looked when a key was last used.
USED_DAYS = 30
CHANGES_MAX = 100
#: What SQLite keeps beside a database counts as that database.
_BESIDE = re.compile(r"-(wal|shm)$")
_LIBRARIES = ("anthropic", "uvicorn", "starlette", "msgspec")
#: A change is shown by so many characters at most; `penstock audit` has all of it.
_STATE_MAX = 300


def settings(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows."""
    keys = KeyStore(desk.data, desk.clock).list()
    until_us = -(-view.now_us // HOUR_US) * HOUR_US
    with desk.totals() as totals:
        used = totals.of(Span(until_us - USED_DAYS * DAY_US, until_us), ("key",), step_us=HOUR_US)
    calls, unsummed = desk.ledger.execute(
        "SELECT max(rowid), max(rowid) - (SELECT rowid_summed FROM summed) FROM calls"
    ).fetchone()
    latest, priced = audit.latest(desk.ledger, CHANGES_MAX), shipped()
    days = None if priced.as_of is None else (_day(view.now_us) - priced.as_of).days
    return {
        "environment": desk.config.environment,
        "upstreams": [
            {"name": name, "is_default": name == desk.config.default_upstream, "own": own, "address": own.address}
            for name, own in desk.config.upstreams.items()
        ],
        "keys": _keys(keys, used, view.now_us),
        "used_days": USED_DAYS,
        "toml": toml(desk.config),
        "versions": {"Penstock": VERSION, "Python": platform.python_version(), "SQLite": sqlite3.sqlite_version},
        "libraries": {name: found for name in _LIBRARIES if (found := _installed(name)) is not None},
        "prices": {"as_of": priced.as_of, "models": len(priced.all), "own": len(desk.config.prices.models)},
        "prices_days": days,
        "prices_age": None if days is None else f"{days} day{'' if days == 1 else 's'}",
        "files": _files(desk.data),
        "folder": desk.data,
        "rows": calls or 0,
        "unsummed": unsummed or 0,
        "changes": [_change(one, {key.id: key.name for key in keys}) for one in latest],
        "changes_max": CHANGES_MAX,
    }


def _keys(keys: Sequence[Key], used: Sequence[Total], now_us: int) -> list[dict[str, Any]]:
    """Live ones first, each kind with the newest first; `used_us` is the hour that the latest call began in."""
    sums: dict[str, dict[str, int]] = {}
    for one in used:
        own = sums.setdefault(one.labels[0], {"calls": 0, "cost_nano": 0, "used_us": 0})
        own["calls"] += one.measures["calls"]
        own["cost_nano"] += one.measures["cost_nano"]
        own["used_us"] = max(own["used_us"], one.at_us)
    made = [
        {
            "id": key.id,
            "name": key.name,
            "shown": key.shown,
            "environment": key.environment,
            "scopes": sorted(key.scopes),
            "tier": key.tier,
            "only": [*sorted(key.models or ()), *sorted(key.features or ())],
            "limit_nano": key.limit_nano,
            "period": key.period,
            "age": age(now_us - key.created_at_us),
            "created_at_us": key.created_at_us,
            "state": _state(key, now_us),
            **sums.get(key.id, {"calls": 0, "cost_nano": 0, "used_us": None}),
        }
        for key in keys
    ]
    return sorted(made, key=lambda one: (one["state"] in ("revoked", "expired"), -one["created_at_us"]))


def _state(key: Key, now_us: int) -> str:
    if key.revoked_at_us is not None:
        return "revoked"
    if key.expires_at_us is None:
        return "live"
    return "expired" if key.expires_at_us <= now_us else f"ends in {age(key.expires_at_us - now_us)}"


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def _day(at_us: int) -> date:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).date()


def _files(folder: Path) -> list[dict[str, Any]]:
    """What the data folder holds, the largest first: files, and folders with all that is in them."""
    found: Counter[str] = Counter()
    for path in folder.rglob("*"):
        try:
            name = path.relative_to(folder).parts[0]
            found[_BESIDE.sub("", name)] += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # it was taken away meanwhile
    return [{"name": name, "bytes": count} for name, count in found.most_common()]


def _change(one: audit.Entry, named: Mapping[str, str]) -> dict[str, Any]:
    """`named` are keys by id: with their names they are told apart more easily."""
    return {
        "at_us": one.at_us,
        "who": one.who,
        "who_named": named.get(one.who),
        "action": one.action,
        "subject": one.subject,
        "subject_named": named.get(one.subject),
        "before": _words(one.before, one.after),
        "after": _words(one.after, one.before),
    }


def _words(state: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> str:
    """What of a state is not in the other, as JSON."""
    known = other or {}
    told = {name: value for name, value in (state or {}).items() if known.get(name) != value}
    text = json.dumps(told, ensure_ascii=False) if told else ""
    return text if len(text) <= _STATE_MAX else f"{text[:_STATE_MAX]}…"
