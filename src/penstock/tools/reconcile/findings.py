"""What a difference is put down to, and how that is said."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ...wire.prices import usd
from .sums import MINUTE_US, ZERO, Counts, day_name

#: Causes that need nobody to act: time will settle them, or the ledger itself says what it does not know.
SETTLING = {
    "incomplete": "The report is not yet complete.",
    "unknown": "Calls whose cost the ledger does not know: killed, or given up before their usage was seen.",
    "estimated": "Calls that broke off: the ledger has an estimate of their output.",
    "batches": "Batches, which the ledger has no cost of.",
    "midnight": "Calls around midnight, which the API counts to the other day.",
    "priority": "Priority Tier, which is not in cost reports.",
    "unpriced": "Calls of models that the ledger has no price for.",
    "other_charges": "Charges for what is no message.",
    "rounding": "The invoice is rounded.",
}

#: Causes that are known, and for which somebody must act.
FAULTS = {
    "late": "The report ends too early.",
    "missing": "Calls that the ledger has and the API does not.",
    "doubled": "Calls that the API counted twice.",
    "elsewhere": "Usage that did not go through Penstock.",
    "prices": "Tokens agree, dollars do not.",
}

#: What none of them fits.
UNEXPLAINED = "unexplained"

_IDS_TOLD = 5


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One difference and its cause, a name of SETTLING or FAULTS, or UNEXPLAINED.

    `pico` is what the invoice has more than the ledger because of it, in pico-dollars, and `counts` likewise in the
    order of KINDS. `calls` is how many calls it is made of, None where that cannot be known, and `call_ids` some of
    them. `from_us` and `until_us` are when they began, where it lies within a day.
    """

    cause: str
    day: int
    model: str
    told: str
    pico: int = 0
    counts: Counts = ZERO
    key: str | None = None
    calls: int | None = None
    call_ids: tuple[str, ...] = ()
    from_us: int | None = None
    until_us: int | None = None

    @property
    def is_settling(self) -> bool:
        return self.cause in SETTLING

    @property
    def is_explained(self) -> bool:
        return self.cause != UNEXPLAINED


def ids(call_ids: Sequence[str]) -> tuple[str, ...]:
    """As many as are worth telling."""
    return tuple(call_ids[:_IDS_TOLD])


def minute_name(minute: int) -> str:
    """`2026-11-20 14:03 UTC`."""
    return datetime.fromtimestamp(minute * MINUTE_US // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def dollars(pico: int) -> str:
    """Pico-dollars in dollars, rounded half up to the nano-dollar."""
    return usd(nano(pico))


def nano(pico: int) -> int:
    return (pico + 500) // 1000


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """One for each cause, day, model and key, by day and size. What they tell is the first one's, and how many more."""
    found: dict[tuple[str, int, str, str | None], list[Finding]] = {}
    for one in findings:
        found.setdefault((one.cause, one.day, one.model, one.key), []).append(one)
    joined = [several[0] if len(several) == 1 else _joined(several) for several in found.values()]
    return sorted(joined, key=lambda one: (one.day, -abs(one.pico), one.model, one.cause))


def _joined(several: list[Finding]) -> Finding:
    calls = [one.calls for one in several]
    begins = [one.from_us for one in several if one.from_us is not None]
    ends = [one.until_us for one in several if one.until_us is not None]
    counts = ZERO
    for one in several:
        counts = tuple(a + b for a, b in zip(counts, one.counts, strict=True))
    number = None if None in calls else sum(number for number in calls if number is not None)
    in_all = "" if number is None else f", {number:,} calls in all"
    return msgspec.structs.replace(
        several[0],
        told=f"{several[0].told} And {len(several) - 1:,} more of the kind that day{in_all}.",
        pico=sum(one.pico for one in several),
        counts=counts,
        calls=number,
        call_ids=ids([name for one in several for name in one.call_ids]),
        from_us=min(begins, default=None),
        until_us=max(ends, default=None),
    )


def on(day: int, model: str) -> str:
    return f"{model or 'no model'} on {day_name(day)}"
