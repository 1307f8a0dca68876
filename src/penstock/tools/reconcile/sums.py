"""What is added up on both sides: six counts, by day and place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ...wire.messages import Usage
from ...wire.prices import PriceBook
from ...wire.reports import KINDS

DAY_US = 86_400_000_000
MINUTE_US = 60_000_000

#: How many of each of KINDS, in their order; a difference is what the API counted less what the ledger did.
Counts = tuple[int, ...]
ZERO: Counts = (0,) * len(KINDS)

OUTPUT = KINDS.index("output_tokens")


class Place(NamedTuple):
    """What usage is told apart by. `key` is an API key's id; None where keys are compared all together."""

    key: str | None
    model: str
    tier: str
    geo: str
    speed: str


class Charge(NamedTuple):
    """What the invoice tells its lines apart by, within a day."""

    model: str
    tier: str
    geo: str


def charge(place: Place) -> Charge:
    return Charge(place.model, place.tier, place.geo)


class Sum(msgspec.Struct):
    """The ledger's calls of one day and place. `nano` sums the known costs; `unpriced` are calls of models with no
    price."""

    counts: Counts = ZERO
    calls: int = 0
    nano: int = 0
    unpriced: int = 0


def plus(one: Counts, other: Counts) -> Counts:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def minus(one: Counts, other: Counts) -> Counts:
    return tuple(a - b for a, b in zip(one, other, strict=True))


def times(one: Counts, factor: int) -> Counts:
    return tuple(a * factor for a in one)


def sign(counts: Counts) -> int | None:
    """1 or -1 where no count is on the other side of 0, 0 where all are 0, None where some are above and some below."""
    low, high = min(counts), max(counts)
    if low < 0 < high:
        return None
    return (high > 0) - (low < 0)


def day_name(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_US // 1_000_000, UTC).strftime("%Y-%m-%d")


#: The pico-dollars that one of each kind costs, at a place and time; None where that is not known.
Rates = Callable[[Place | Charge, int], tuple[int | None, ...]]


def rates_of(book: PriceBook) -> Rates:
    """By a price book; for models whose price has a step, what it is below that."""
    fields = (
        "input_tokens",
        "cache_read_tokens",
        "cache_write_5m_tokens",
        "cache_write_1h_tokens",
        "output_tokens",
        "web_searches",
    )

    def rates(place: Place | Charge, at_us: int) -> tuple[int | None, ...]:
        speed = place.speed if isinstance(place, Place) else "standard"
        found = []
        for field in fields:
            usage = Usage(service_tier=place.tier, inference_geo=place.geo, speed=speed)
            setattr(usage, field, 1000)
            found.append(book.price(usage, place.model, at_us).nano)  # of a thousand, so pico-dollars each
        return tuple(found)

    return rates
