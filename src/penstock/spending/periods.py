"""Days, weeks, months, in a time zone: where they begin and end."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

_END_US = 1 << 62


class Span(msgspec.Struct, frozen=True):
    """One period: its name, such as 2026-11, and from when until when, in Unix microseconds, the end not included."""

    label: str
    from_us: int
    until_us: int


def span(period: str, zone: ZoneInfo, at_us: int) -> Span:
    """The day, week (from Monday) or month that a moment is in; of "total", all time."""
    if period == "total":
        return Span("total", 0, _END_US)
    local = datetime.fromtimestamp(at_us // 1_000_000, zone)
    first = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if period == "day":
        label, after = f"{first:%Y-%m-%d}", first + timedelta(days=1)
    elif period == "week":
        first -= timedelta(days=first.weekday())
        year, week, _ = first.isocalendar()
        label, after = f"{year}-W{week:02}", first + timedelta(days=7)
    else:
        first = first.replace(day=1)
        label, after = f"{first:%Y-%m}", (first + timedelta(days=32)).replace(day=1)
    return Span(label, _us(first), _us(after))


def _us(local: datetime) -> int:
    return round(local.timestamp()) * 1_000_000
