"""The sums that pages and reports read, made anew from the ledger."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import NamedTuple

from ..config.schema import Config
from ..ports import Clock
from ..stores import audit
from ..stores.schema import connect, database, failing
from ..stores.sums import DAY_US, rebuild
from ..stores.totals import Span, Totals
from ..wire.prices import usd


class Day(NamedTuple):
    """Calls of a day and what they cost, in nano-dollars."""

    calls: int
    nano: int

    def told(self) -> dict[str, object]:
        return {"calls": self.calls, "usd": usd(self.nano)}


_NONE = Day(0, 0)


class Difference(NamedTuple):
    """A day, UTC, whose sums were others."""

    day: str
    before: Day
    after: Day


class Rebuilt(NamedTuple):
    """The days that differed; how many calls were summed; and from which day on, for those before are past keeping."""

    differences: list[Difference]
    calls: int
    from_day: str


def rebuild_sums(config: Config, clock: Clock) -> Rebuilt:
    """Make the sums of the days anew that the ledger has whole. Blocks its writers meanwhile. Raises StoreFailed."""
    now_us = clock.wall_us()
    whole_from_us = now_us - config.records.keep_days * DAY_US
    span = Span(-(-whole_from_us // DAY_US) * DAY_US, -(-now_us // DAY_US) * DAY_US)
    connection = connect(config.data)
    try:
        with failing(database(config.data)):
            was = _by_day(connection, span)
            calls = rebuild(connection, whole_from_us)
            now = _by_day(connection, span)
    finally:
        connection.close()
    found = [
        Difference(_day(at_us), was.get(at_us, _NONE), now.get(at_us, _NONE))
        for at_us in sorted({*was, *now})
        if was.get(at_us) != now.get(at_us)
    ]
    if found:
        audit.record(
            config.data,
            clock,
            action="sums.rebuild",
            subject="sums",
            before={one.day: one.before.told() for one in found},
            after={one.day: one.after.told() for one in found},
        )
    return Rebuilt(found, calls, _day(span.from_us))


def _by_day(connection: sqlite3.Connection, span: Span) -> dict[int, Day]:
    """What pages show of each day, by when it begins."""
    totals = Totals(connection).of(span, step_us=DAY_US)
    return {one.at_us: Day(one.measures["calls"], one.measures["cost_nano"]) for one in totals}


def _day(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d}"
