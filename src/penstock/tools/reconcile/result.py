"""What came of a reconciliation, and how it is told as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from ...wire.prices import usd
from ...wire.reports import KINDS
from .findings import Finding, dollars, merged, nano
from .sums import ZERO, Counts, day_name


class Side(msgspec.Struct):
    """One side of a row: counts in the order of KINDS, and pico-dollars, None where the invoice does not tell such rows
    apart."""

    counts: Counts = ZERO
    pico: int | None = 0


class Compared(msgspec.Struct):
    """The sums of both sides under the same labels. `calls` are the ledger's."""

    labels: dict[str, str | None]
    calls: int = 0
    ledger: Side = msgspec.field(default_factory=Side)
    api: Side = msgspec.field(default_factory=Side)


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream's ledger against its invoice, over days from `since_day` up to but not including `until_day`
    (days since 1970, UTC). Money is in nano-dollars."""

    upstream: str
    since_day: int
    until_day: int
    rows: tuple[Compared, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    ledger_nano: int
    invoice_nano: int

    @property
    def difference_nano(self) -> int:
        return self.invoice_nano - self.ledger_nano

    @property
    def settling_nano(self) -> int:
        """What time will settle, or the ledger says it does not know."""
        return sum(nano(abs(one.pico)) for one in self.findings if one.is_settling)

    @property
    def unexplained_nano(self) -> int:
        return sum(nano(abs(one.pico)) for one in self.findings if not one.is_explained)

    @property
    def drift_nano(self) -> int:
        """What somebody should look at: faults that were found, and what is not explained. More and less do not make up
        for each other."""
        return sum(nano(abs(one.pico)) for one in self.findings if not one.is_settling)

    @property
    def drift_percent(self) -> float:
        """The drift as a share of the invoice, or of the ledger where nothing was invoiced."""
        if not self.drift_nano:
            return 0.0
        return 100 * self.drift_nano / (self.invoice_nano or self.ledger_nano or self.drift_nano)

    def told(self) -> dict[str, Any]:
        """As JSON: money as exact decimal strings in dollars."""
        return {
            "upstream": self.upstream,
            "since": day_name(self.since_day),
            "until": day_name(self.until_day),
            "ledger_usd": usd(self.ledger_nano),
            "invoice_usd": usd(self.invoice_nano),
            "difference_usd": usd(self.difference_nano),
            "settling_usd": usd(self.settling_nano),
            "unexplained_usd": usd(self.unexplained_nano),
            "drift_usd": usd(self.drift_nano),
            "drift_percent": round(self.drift_percent, 6),
            "rows": [_row(one) for one in self.rows],
            "findings": [_finding(one) for one in self.findings],
            "notes": list(self.notes),
        }


def _row(one: Compared) -> dict[str, Any]:
    return {**one.labels, "calls": one.calls, "ledger": _side(one.ledger), "api": _side(one.api)}


def _side(side: Side) -> dict[str, Any]:
    return {**_counts(side.counts), "cost_usd": None if side.pico is None else dollars(side.pico)}


def _counts(counts: Counts) -> dict[str, int]:
    return dict(zip(KINDS, counts, strict=True))


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "cause": one.cause,
        "is_explained": one.is_explained,
        "is_settling": one.is_settling,
        "day": day_name(one.day),
        "model": one.model,
        "api_key_id": one.key,
        "difference_usd": dollars(one.pico),
        "tokens": {name: count for name, count in _counts(one.counts).items() if count},
        "calls": one.calls,
        "call_ids": list(one.call_ids),
        "from_us": one.from_us,
        "until_us": one.until_us,
        "told": one.told,
    }


__all__ = ["Compared", "Reconciled", "Side", "merged"]
