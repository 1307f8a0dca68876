"""What a page is about: the span of time, what it is compared with, labels and filters. All of it is in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from ..stores.sums import DAY_US, HOUR_US, LABELS
from ..stores.totals import Span

#: The spans that may be chosen, and how many hours each has.
RANGES = {"1h": 1, "24h": 24, "7d": 7 * 24, "30d": 30 * 24, "90d": 90 * 24}
DEFAULT_RANGE = "24h"
#: What a page is asked for besides, and keeps in its address as the time and the filters change.
OWN = ("ending", "error", "status", "user", "session", "q", "over", "longer", "unit", "what")

#: A longer span is none: it would be told apart by more days than a plot can show.
LONGEST_US = 1830 * DAY_US
#: Nor is what ends after the year 2200.
_LAST_US = 7_258_118_400_000_000

_MINUTE_US = 60_000_000


@dataclass(frozen=True)
class View:
    """One view. `where` are the filters, by label; `by` is the label that totals are told apart by.

    `asked` is all that the address says, for what one page alone knows. Spans end with the hour that is now: what comes
    of it is not there yet.
    """

    now_us: int
    range: str = DEFAULT_RANGE
    custom: Span | None = None
    by: str = "feature"
    where: Mapping[str, str] = field(default_factory=dict)
    compares: bool = False
    asked: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, query: Mapping[str, str], now_us: int) -> View:
        """The view of an address. What it does not know it passes over: an old link still shows something."""
        chosen = query.get("range", DEFAULT_RANGE)
        custom = _custom(query.get("from"), query.get("to"))
        by = query.get("by", "feature")
        return cls(
            now_us,
            chosen if chosen in RANGES else DEFAULT_RANGE,
            custom,
            by if by in LABELS or by == "user" else "feature",
            {name: query[name] for name in LABELS if name in query},
            query.get("compare") == "1",
            dict(query),
        )

    @property
    def span(self) -> Span:
        if self.custom is not None:
            return self.custom
        until_us = -(-self.now_us // HOUR_US) * HOUR_US
        return Span(until_us - RANGES[self.range] * HOUR_US, until_us)

    @property
    def before(self) -> Span:
        """The same length of time right before."""
        span = self.span
        return Span(2 * span.from_us - span.until_us, span.from_us)

    @property
    def step_us(self) -> int:
        """How finely time is told apart in plots: by the hour, by the day from two weeks on."""
        return HOUR_US if self.span.until_us - self.span.from_us <= 14 * DAY_US else DAY_US

    def times(self) -> list[int]:
        """When each step of the span begins, those included that are not there yet."""
        return times(self.span, self.step_us)

    def query(self, **changes: str | None) -> str:
        """The address of this view with something changed: a filter, a range. None takes it out."""
        said: dict[str, str | None] = {"range": self.range, "by": self.by, **self.where}
        if self.custom is not None:
            said |= {"range": None, "from": _iso(self.custom.from_us), "to": _iso(self.custom.until_us)}
        said["compare"] = "1" if self.compares else None
        said |= {name: self.asked[name] for name in OWN if self.asked.get(name)}
        usual = {"range": DEFAULT_RANGE, "by": "feature"}
        kept = {name: value for name, value in (said | changes).items() if value not in (None, usual.get(name))}
        return f"?{urlencode(kept)}" if kept else "?"

    def elsewhere(self) -> str:
        """The address of another page about the same: without what this one alone was asked for."""
        return self.query(**dict.fromkeys(OWN))

    def without(self, name: str) -> View:
        return replace(self, where={one: value for one, value in self.where.items() if one != name})


def times(span: Span, step_us: int) -> list[int]:
    """When each step that reaches into a span begins."""
    return list(range(span.from_us - span.from_us % step_us, span.until_us, step_us))


def _custom(began: str | None, ended: str | None) -> Span | None:
    if began is None or ended is None:
        return None
    try:
        span = Span(_us(began), _us(ended))
    except ValueError:
        return None
    is_one = 0 <= span.from_us < span.until_us <= span.from_us + LONGEST_US
    return span if is_one and span.until_us < _LAST_US else None


def _us(text: str) -> int:
    at = datetime.fromisoformat(text)
    return round((at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000


def _iso(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%dT%H:%MZ}"
