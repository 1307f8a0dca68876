"""Which marks pay, by what is known of each prefix: arithmetic, and nothing that remembers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..wire.models import Model, Rates
from ..wire.prefix import LOOKBACK

LIVES = ("5m", "1h")


class Ratios(NamedTuple):
    """What a token costs that is read from the cache, or written to it, where one that is neither costs 1."""

    read: float
    write_5m: float
    write_1h: float


class Point(NamedTuple):
    """A block that may be marked.

    `at` is its number in the prompt, `tokens` those of the prompt up to and with it. `soon` and `late` are the
    likelihoods that another call begins with it within 5 minutes, and within an hour. `rank` is what it is worth beside
    others of which it is not known that they are the last that comes again.
    """

    at: int
    tokens: int
    soon: float
    late: float
    rank: float


def ratios_of(model: Model, at_us: int) -> Ratios | None:
    """Those of a model at a time in Unix microseconds; None where it has no cache, or no price then."""
    for period in model.prices:
        if period.from_us <= at_us < period.until_us:
            return _ratios(period.rates)
    return None


def _ratios(rates: Rates) -> Ratios | None:
    read, short, long = rates.cache_read, rates.cache_write_5m, rates.cache_write_1h
    if read is None or short is None or long is None or not rates.input:
        return None
    return Ratios(read / rates.input, short / rates.input, long / rates.input)


def cost(point: Point, life: str, ratios: Ratios) -> float:
    """What a token of a prefix costs on average while it is kept cached for calls that come as they did."""
    share, write = (point.soon, ratios.write_5m) if life == "5m" else (point.late, ratios.write_1h)
    return share * ratios.read + (1.0 - share) * write


def chosen(
    points: Sequence[Point], cached: Point | None, ratios: Ratios, lives: Sequence[str], most: int
) -> list[tuple[Point, str]]:
    """The points to mark, in the order of the prompt, with their lifetimes: `most` of them at most.

    `points` are in that order, `cached` is the deepest prefix that is in the cache. What lies up to it costs nothing
    to mark; beyond it the last mark decides what is paid for, and those before it cost nothing more.
    """
    start = cached.at if cached is not None else -1
    paying = [one for one in points if one.at > start and min(cost(one, life, ratios) for life in lives) < 1.0]
    last = paying[-1] if paying else cached
    if last is None:
        return []
    wanted = {last.at: last}
    if cached is not None and last.at - cached.at >= LOOKBACK:
        wanted[cached.at] = cached
    others = [one for one in points if one.at < last.at and one.at not in wanted]
    for one in sorted(others, key=lambda other: other.rank, reverse=True)[: max(0, most - len(wanted))]:
        wanted[one.at] = one
    marks = [wanted[at] for at in sorted(wanted)]
    return list(zip(marks, _lives(marks, start, cached, ratios, lives), strict=True))


def _lives(marks: list[Point], start: int, cached: Point | None, ratios: Ratios, lives: Sequence[str]) -> list[str]:
    """The cheapest lifetimes of these marks. None for an hour may follow one for 5 minutes."""
    if len(lives) == 1:
        return [lives[0]] * len(marks)
    done = cached.tokens if cached is not None else 0
    best: tuple[float, int] | None = None
    for hours in range(len(marks) + 1):
        total, upto = 0.0, done
        for number, mark in enumerate(marks):
            if mark.at > start:
                total += (mark.tokens - upto) * cost(mark, LIVES[number < hours], ratios)
                upto = mark.tokens
        # Where all that is new is written for 5 minutes, so are the marks on what is there already.
        if best is None or total < best[0] - 1e-9:
            best = (total, hours)
    assert best is not None
    return [LIVES[number < best[1]] for number in range(len(marks))]
