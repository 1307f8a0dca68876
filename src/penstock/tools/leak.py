"""What a key was used for: the first question when one has leaked, and whether anyone still tries it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..ports import Key
from ..stores.reading import Group, LedgerReader
from ..wire.prices import usd
from .keys import moment, state

#: What the calls are told apart by.
LABELS = ("feature", "user", "model", "upstream")


def used(data: Path, key: Key, *, since_us: int, now_us: int) -> dict[str, Any]:
    """What a key spent since a moment, in all and by each label, most first; and what came after its revocation.

    `{"id", "name", "state", "since", "until", "totals", "by": {label: [...]}, "after_revocation"}`. Costs are decimal
    strings in dollars; `unpriced` calls are not in them. `after_revocation` is None while the key is not revoked; its
    `answered` calls began within the second that a revocation takes, its `refused` ones are someone who still has the
    key. Raises StoreFailed.
    """
    mine = {"key": key.id}
    with LedgerReader(data) as ledger:
        totals = ledger.grouped(since_us=since_us, where=mine)[0]
        by = {label: _ranked(ledger.grouped([label], since_us=since_us, where=mine), label) for label in LABELS}
        return {
            "id": key.id,
            "name": key.name,
            "state": state(key, now_us),
            "since": moment(since_us),
            "until": moment(now_us),
            "totals": _row(totals),
            "by": by,
            "after_revocation": _after(ledger, key, mine),
        }


def _after(ledger: LedgerReader, key: Key, mine: Mapping[str, str]) -> dict[str, Any] | None:
    if key.revoked_at_us is None:
        return None
    groups = ledger.grouped(["ending"], since_us=key.revoked_at_us, where=mine)
    refused = sum(group.calls for group in groups if group.labels["ending"] == "refused")
    last = next(ledger.calls(since_us=key.revoked_at_us, where=mine, limit=1), None)
    return {
        "answered": sum(group.calls for group in groups) - refused,
        "refused": refused,
        "cost_usd": usd(sum(group.cost_nano for group in groups)),
        "last_at": None if last is None else moment(last.began_at_us),
    }


def _ranked(groups: list[Group], label: str) -> list[dict[str, Any]]:
    ranked = sorted(groups, key=lambda group: (-group.cost_nano, -group.calls))
    return [{label: group.labels[label], **_row(group)} for group in ranked]


def _row(group: Group) -> dict[str, Any]:
    return {
        "calls": group.calls,
        "errors": group.errors,
        "cost_usd": usd(group.cost_nano),
        "unpriced": group.unpriced,
    }
