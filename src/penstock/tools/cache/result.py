"""What the doctor found, and how it is told as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from ...wire.prices import usd
from ..export import moment
from .causes import CAUSES
from .rows import Group


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One cause in one group. Money in nano-dollars: what the `tokens` cost beyond what reading them would have.

    `where` is the place in words, at the example call; `is_everywhere`: at all others too. `gaps_us` are the shortest
    and the longest time since the prefix was last used, where its lifetime is the cause, and `hourly_calls` how many of
    them an hour would have served. `said` counts the API's own words on these calls. The `fix` is one sentence.
    """

    cause: str
    calls: int
    tokens: int
    nano: int
    where: str
    is_everywhere: bool
    call_ids: tuple[str, ...]
    gaps_us: tuple[int, int] | None = None
    hourly_calls: int = 0
    said: tuple[tuple[str, int], ...] = ()

    @property
    def fix(self) -> str:
        return CAUSES[self.cause].fix

    @property
    def evidence(self) -> str:
        """What shows it, as sentences; empty where that is no more than the cause."""
        parts = []
        if self.where:
            parts.append(f"{self.where[0].upper()}{self.where[1:]}{'' if self.is_everywhere else ', in this one'}.")
        if self.gaps_us is not None:
            short, long = (f"{gap / 60_000_000:.1f}" for gap in self.gaps_us)
            gaps = f"{short} minutes" if short == long else f"{short} to {long} minutes"
            parts.append(f"Last used {gaps} before; an hour would have kept it for {self.hourly_calls:,} of them.")
        if self.said:
            words = ", ".join(f"{word} ({calls:,})" for word, calls in self.said)
            parts.append(f"The API's diagnostics say {words}.")
        return " ".join(parts)

    def told(self) -> dict[str, Any]:
        return {
            "cause": self.cause,
            "is_miss": not CAUSES[self.cause].is_waste,
            "said": CAUSES[self.cause].said,
            "calls": self.calls,
            "tokens": self.tokens,
            "lost_usd": usd(self.nano),
            "where": self.where or None,
            "evidence": self.evidence or None,
            "gaps_s": None if self.gaps_us is None else [gap / 1e6 for gap in self.gaps_us],
            "api_says": dict(self.said),
            "fix": self.fix,
            "call_ids": list(self.call_ids),
        }


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one feature, prompt and model. Money in nano-dollars.

    `judged` of the calls have a fingerprint. `hits` read something, of the `chances` that could have; `read_tokens`
    were read of the `could_tokens` that could have been. `lost_nano` is what misses cost beyond reads, `unread_nano`
    the surcharge of `unread_tokens` that were written and never read.
    """

    group: Group
    calls: int
    judged: int
    hits: int
    chances: int
    read_tokens: int
    could_tokens: int
    prompt_tokens: int
    lost_nano: int
    unread_tokens: int
    unread_nano: int
    findings: tuple[Finding, ...]

    @property
    def percent(self) -> float | None:
        """Tokens read of those that could have been; None where there were none."""
        return round(100 * self.read_tokens / self.could_tokens, 1) if self.could_tokens else None

    def told(self) -> dict[str, Any]:
        return {
            "feature": self.group.feature or None,
            "prompt": self.group.prompt or None,
            "model": self.group.model,
            "calls": self.calls,
            "judged": self.judged,
            "hits": self.hits,
            "chances": self.chances,
            "prompt_tokens": self.prompt_tokens,
            "read_tokens": self.read_tokens,
            "could_tokens": self.could_tokens,
            "read_percent": self.percent,
            "lost_usd": usd(self.lost_nano),
            "unread_tokens": self.unread_tokens,
            "unread_usd": usd(self.unread_nano),
            "findings": [one.told() for one in self.findings],
        }


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All groups, those first that lose most. Times are Unix microseconds, money nano-dollars."""

    since_us: int
    until_us: int
    patients: tuple[Patient, ...]

    @property
    def calls(self) -> int:
        return sum(one.calls for one in self.patients)

    @property
    def unjudged(self) -> int:
        """Calls without a fingerprint."""
        return sum(one.calls - one.judged for one in self.patients)

    @property
    def lost_nano(self) -> int:
        return sum(one.lost_nano for one in self.patients)

    @property
    def unread_nano(self) -> int:
        return sum(one.unread_nano for one in self.patients)

    def told(self) -> dict[str, Any]:
        """As JSON; dollars are exact decimal strings."""
        return {
            "since": moment(self.since_us),
            "until": moment(self.until_us),
            "calls": self.calls,
            "unjudged": self.unjudged,
            "lost_usd": usd(self.lost_nano),
            "unread_usd": usd(self.unread_nano),
            "features": [one.told() for one in self.patients],
        }
