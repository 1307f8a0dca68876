"""Quiet hours: when a message may be delivered."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ...config.alerts import AlertsConfig, minutes_of


def due_us(config: AlertsConfig, severity: str, now_us: int) -> int:
    """When a message of now may be delivered: now, or at the end of quiet hours. Unix microseconds."""
    if severity == "critical" or config.quiet_from is None or config.quiet_until is None:
        return now_us
    begins, ends = minutes_of(config.quiet_from), minutes_of(config.quiet_until)
    local = datetime.fromtimestamp(now_us // 1_000_000, ZoneInfo(config.timezone))
    minute = local.hour * 60 + local.minute
    is_quiet = begins <= minute < ends if begins < ends else minute >= begins or minute < ends
    if not is_quiet or begins == ends:
        return now_us
    end = local.replace(hour=ends // 60, minute=ends % 60, second=0, microsecond=0, fold=0)
    if end <= local:
        end += timedelta(days=1)
    return max(now_us, round(end.timestamp()) * 1_000_000)
