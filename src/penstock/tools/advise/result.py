"""What advice comes to, and how it is told as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from ...wire.prices import usd
from ..export import moment
from .change import Confidence

DAY_US = 86_400_000_000
_MONTH_US = 30 * DAY_US


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """One change and what it would have saved. Money in nano-dollars: `saved_nano` by this change alone, of calls that
    cost `cost_nano`; `share_nano` is its part of the total."""

    kind: str
    feature: str | None
    label: str
    saved_nano: int
    share_nano: int
    calls: int
    cost_nano: int
    confidence: Confidence
    why: str
    evidence: str
    risk: str
    change: str
    call_ids: tuple[str, ...]


class Tier(msgspec.Struct, frozen=True):
    """The calls of one tier of models, and their share against the rule of thumb, in percent."""

    name: str
    calls: int
    cost_nano: int
    percent: float
    rule_percent: int


class Advised(msgspec.Struct, frozen=True, kw_only=True):
    """All advice, the best first. Times are Unix microseconds; `covered_us` is how long the calls looked at span.

    `total_nano` is what all of it would have saved together, applied in `order`; `sure_nano` what that of high and
    medium confidence would.
    """

    since_us: int
    until_us: int
    covered_us: int
    calls: int
    cost_nano: int
    advice: tuple[Advice, ...]
    hidden: int
    order: tuple[str, ...]
    total_nano: int
    sure_nano: int
    mix: tuple[Tier, ...]
    notes: tuple[str, ...]

    def monthly(self, nano: int) -> int:
        """The same over 30 days, rounded to a nano-dollar."""
        return (nano * _MONTH_US + self.covered_us // 2) // self.covered_us

    def told(self) -> dict[str, Any]:
        """As JSON; dollars are exact decimal strings."""
        return {
            "since": moment(self.since_us),
            "until": moment(self.until_us),
            "days": round(self.covered_us / DAY_US, 3),
            "calls": self.calls,
            "cost_usd": usd(self.cost_nano),
            "advice": [self._told(one) for one in self.advice],
            "hidden": self.hidden,
            "total": {
                "order": list(self.order),
                **self._money(self.total_nano),
                "sure_saved_usd": usd(self.sure_nano),
                "sure_per_30_days_usd": usd(self.monthly(self.sure_nano)),
            },
            "mix": [
                {
                    "tier": one.name,
                    "calls": one.calls,
                    "cost_usd": usd(one.cost_nano),
                    "percent": one.percent,
                    "rule_percent": one.rule_percent,
                }
                for one in self.mix
            ],
            "notes": list(self.notes),
        }

    def _money(self, nano: int) -> dict[str, str]:
        return {"saved_usd": usd(nano), "per_30_days_usd": usd(self.monthly(nano))}

    def _told(self, one: Advice) -> dict[str, Any]:
        return {
            "kind": one.kind,
            "feature": one.feature,
            "of": one.label or None,
            **self._money(one.saved_nano),
            "share_of_total_usd": usd(one.share_nano),
            "calls": one.calls,
            "cost_usd": usd(one.cost_nano),
            "confidence": one.confidence,
            "confidence_rule": one.why,
            "evidence": one.evidence,
            "risk": one.risk,
            "change": one.change,
            "call_ids": list(one.call_ids),
        }
