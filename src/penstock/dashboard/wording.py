"""Numbers as people read them. Money is exact in titles and tables of single calls, and rounded where it is summed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from ..wire.prices import usd

_NANO = 1_000_000_000


def dollars(nano: int | None) -> str:
    """`$1,234.56`; small amounts with as many places as tell something; — where it is not known."""
    if nano is None:
        return "—"
    amount = Decimal(nano) / _NANO
    places = 2 if abs(amount) >= 1 or not nano else 4 if abs(amount) >= Decimal("0.01") else 6
    return f"${amount:,.{places}f}"


def exact(nano: int | None) -> str:
    """All of an amount, to the billionth."""
    return "not known" if nano is None else f"${usd(nano)}"


def count(number: int) -> str:
    return f"{number:,}"


def short(number: float) -> str:
    """`1.2 M`, `34 k`."""
    for least, unit in ((1e9, " G"), (1e6, " M"), (1e4, " k")):
        if abs(number) >= least:
            return f"{number / (1e3 if unit == ' k' else least):,.1f}{unit}"
    return f"{number:,.0f}"


def percent(part: float, whole: float) -> str:
    if not whole:
        return "—"
    share = 100 * part / whole
    return f"{share:.2f} %" if 0 < share < 1 else f"{share:.1f} %"


def duration(us: int | None) -> str:
    if us is None:
        return "—"
    if us < 1_000_000:
        return f"{us / 1000:,.0f} ms" if us >= 10_000 else f"{us / 1000:,.1f} ms"
    return f"{us / 1e6:,.1f} s" if us < 600_000_000 else f"{us / 60e6:,.0f} min"


def age(us: int) -> str:
    """How long ago, or how long yet: `3 days`, `5 h`, `12 min`, `8 s`."""
    for least, unit in ((2 * 86_400_000_000, " days"), (2 * 3_600_000_000, " h"), (120_000_000, " min")):
        if us >= least:
            return f"{us // (least // 2):,}{unit}"
    return f"{max(0, us) // 1_000_000} s"


def size(count: int) -> str:
    """Bytes: `1.4 MB`."""
    for least, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= least:
            return f"{count / least:,.1f} {unit}"
    return f"{count} bytes"


def moment(at_us: int) -> str:
    """`2026-11-21 13:05:59`, UTC."""
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S}"


def change(now: float, before: float) -> str:
    """`+12 %` against before; empty where there was nothing."""
    return f"{100 * (now - before) / before:+.0f} %" if before else ""
