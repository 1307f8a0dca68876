"""Budgets burning down: what is left over the period, and what will be, at the pace of the last days.

Each coming step is taken to cost what the last ones did, one independent of another: the band is where four of five
endings would be. What is spent is the account's own word; its way there is the ledger's.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from statistics import fmean, stdev
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from ..ports import Key
from ..spending.budget import Budget, parts
from ..stores.keys import KeyStore
from ..stores.schema import counters, failing
from ..stores.sums import DAY_US, HOUR_US
from ..stores.totals import Span, Totals
from .desk import Desk
from .drawing import points
from .wording import dollars, percent

#: The box of a burn-down; it is stretched to its card.
WIDTH, HEIGHT = 300, 80
#: So many accounts are shown, those that have used most of what they may; all are on the page of limits.
_SHOWN = 6
#: Of a normal distribution, four fifths are so many deviations around its middle.
_BAND = 1.2816
#: How far a budget without an end is looked ahead.
_AHEAD_US = 30 * DAY_US
#: What sums are kept apart by, of what budgets may be about. Of users and sessions, and of models asked for, there is
#: no way to tell how an account came to what it is.
_TOLD = ("environment", "feature", "segment", "key")


class Pace(NamedTuple):
    """What a step of `step_us` costs, nano-dollars: the mean and the deviation; `deviation` is None for a guess."""

    step_us: int
    mean: float
    deviation: float | None

    def at(self, ahead_us: float, side: int = 0) -> float:
        """What is spent after so long: the middle, or below or above it (-1, 1) as far as the band goes."""
        steps = ahead_us / self.step_us
        return max(0.0, self.mean * steps + side * _BAND * (self.deviation or 0) * math.sqrt(steps))


class Standing(NamedTuple):
    """One account of the period that is now. `most_nano` is its limit, or its plan where nothing is refused."""

    budget: Budget
    values: tuple[str, ...]
    period: Span
    label: str
    spent_nano: int
    held_nano: int
    most_nano: int

    @property
    def used(self) -> float:
        return (self.spent_nano + self.held_nano) / self.most_nano


def burning(desk: Desk, now_us: int, totals: Totals) -> list[dict[str, Any]]:
    """The accounts that have used most of their budgets: in words, and drawn where their way is known."""
    standings = sorted(_standings(desk, now_us), key=lambda one: -one.used)[:_SHOWN]
    needs_keys = any("key" in (*one.budget.config.where, *one.budget.config.per) for one in standings)
    keys = KeyStore(desk.data, desk.clock).list() if needs_keys else []
    return [_burning(one, now_us, totals, keys) for one in standings]


def _standings(desk: Desk, now_us: int) -> list[Standing]:
    found = []
    for budget in map(Budget, desk.config.budgets):
        own, of = budget.config, budget.span(now_us)
        most = budget.plan_nano if budget.limit_nano is None else budget.limit_nano
        name = budget.account((), of)
        accounts = _dearest(desk, name) or ([] if own.per else [(name, 0, 0)])
        found += [
            Standing(budget, parts(account)[2], Span(of.from_us, of.until_us), of.label, spent, held, most)
            for account, spent, held in accounts
            if most
        ]
    return found


def _dearest(desk: Desk, name: str) -> list[tuple[str, int, int]]:
    """The accounts of one budget and period with what was spent and is held, those that have spent most."""
    place = counters(desk.data)
    if not place.exists():
        return []
    query = (
        "SELECT name, spent_nano, held_nano FROM accounts WHERE name = ? OR (name >= ? AND name < ?) "
        "ORDER BY spent_nano DESC LIMIT ?"
    )
    with failing(place), closing(sqlite3.connect(f"{place.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(query, (name, f"{name}\x1f", f"{name}\x20", _SHOWN)).fetchall()


def _burning(one: Standing, now_us: int, totals: Totals, keys: Sequence[Key]) -> dict[str, Any]:
    own = one.budget.config
    wheres = _wheres(one, keys)
    pace, said_of = _pace(one, now_us, totals, wheres)
    each = [f"{name} {value or 'none'}" for name, value in zip(own.per, one.values, strict=True)]
    shown = {
        "title": ", ".join((own.title, *each)),
        "period": one.label,
        "spent_nano": one.spent_nano,
        "held_nano": one.held_nano,
        "most_nano": one.most_nano,
        "stops": one.budget.limit_nano is not None,
        "used": percent(one.spent_nano + one.held_nano, one.most_nano),
        "said": _said(one, now_us, pace, said_of),
        "drawn": None,
    }
    return shown | {"drawn": _drawn(one, now_us, pace, _way(one, now_us, totals, wheres))} if wheres else shown


def _wheres(one: Standing, keys: Sequence[Key]) -> list[dict[str, str]]:
    """The filters whose totals, together, are the account's; none where sums do not know what it is about."""
    about = {**one.budget.config.where, **dict(zip(one.budget.config.per, one.values, strict=True))}
    if not all(name in _TOLD for name in about):
        return []
    if "key" not in about:
        return [about]
    family = [key.id for key in keys if (key.lineage or key.id) == about["key"]]
    return [{**about, "key": key_id} for key_id in family or [about["key"]]]


def _step_us(one: Standing) -> int:
    return HOUR_US if one.period.until_us - one.period.from_us <= 2 * DAY_US else DAY_US


def _spent_by(totals: Totals, span: Span, wheres: Sequence[Mapping[str, str]], step_us: int) -> dict[int, int]:
    """Nano-dollars by when their step begins."""
    found: dict[int, int] = {}
    for where in wheres:
        for total in totals.of(span, where=where, step_us=step_us):
            found[total.at_us] = found.get(total.at_us, 0) + total.measures["cost_nano"]
    return found


def _pace(one: Standing, now_us: int, totals: Totals, wheres: Sequence[Mapping[str, str]]) -> tuple[Pace, str]:
    """At what pace it is spent, and of when that is. Steps before the first call do not count."""
    step_us, steps = _step_us(one), 14
    if step_us == HOUR_US:
        steps = 24
    until_us = now_us - now_us % step_us
    spent = _spent_by(totals, Span(until_us - steps * step_us, until_us), wheres, step_us)
    first_us = min(spent, default=until_us)
    costs = [spent.get(at_us, 0) for at_us in range(first_us, until_us, step_us)]
    if len(costs) > 1:
        unit = "hours" if step_us == HOUR_US else "days"
        return Pace(step_us, fmean(costs), stdev(costs)), f"of the last {len(costs)} {unit}"
    gone_us = max(now_us - (one.period.from_us or first_us), HOUR_US)
    return Pace(step_us, one.spent_nano * step_us / gone_us, None), "of the period so far"


def _said(one: Standing, now_us: int, pace: Pace, said_of: str) -> str:
    left, until_us = one.most_nano - one.spent_nano, _until_us(one, now_us)
    has_end = one.period.until_us == until_us
    if left <= 0:
        return "Used up: calls are refused." if one.budget.limit_nano is not None else "The plan is passed."
    if not pace.mean:
        return "Nothing was spent lately."
    ahead = until_us - now_us
    out_us = [_out_us(left, pace, side) for side in (1, 0, -1)]
    if out_us[1] <= ahead:
        soonest = "" if pace.deviation is None else f", perhaps as early as {_day(one, now_us + out_us[0])}"
        return f"Used up by {_day(one, now_us + out_us[1])} at the pace {said_of}{soonest}."
    ending = "when it ends" if has_end else "in 30 days"
    low, high = (dollars(round(one.spent_nano + pace.at(ahead, side))) for side in (-1, 1))
    band = "" if pace.deviation is None else f" ({low} to {high})"
    risk = f" It may be used up by {_day(one, now_us + out_us[0])}." if out_us[0] <= ahead else ""
    return f"At the pace {said_of}, {dollars(round(one.spent_nano + pace.at(ahead)))} {ending}{band}.{risk}"


def _out_us(left: int, pace: Pace, side: int) -> float:
    """After how long so much is spent: the root of `mean · s + side · band · √s = left`, s in steps."""
    spread = side * _BAND * (pace.deviation or 0)
    root = (-spread + math.sqrt(spread * spread + 4 * pace.mean * left)) / (2 * pace.mean)
    return root * root * pace.step_us


def _day(one: Standing, at_us: float) -> str:
    at = datetime.fromtimestamp(at_us / 1e6, ZoneInfo(one.budget.config.timezone))
    return f"{at:%Y-%m-%d}" if _step_us(one) == DAY_US else f"{at:%H:%M} ({one.budget.config.timezone})"


def _until_us(one: Standing, now_us: int) -> int:
    return one.period.until_us if one.budget.config.period != "total" else now_us + _AHEAD_US


def _way(one: Standing, now_us: int, totals: Totals, wheres: Sequence[Mapping[str, str]]) -> list[tuple[int, int]]:
    """What was left at the end of each step, from the period's beginning until now."""
    step_us = _step_us(one)
    spent = sorted(_spent_by(totals, Span(one.period.from_us, now_us), wheres, step_us).items())
    began_us = one.period.from_us or (spent[0][0] if spent else now_us - DAY_US)
    way, left = [(began_us, one.most_nano)], one.most_nano
    for at_us, nano in spent:
        if way[-1][0] < at_us:
            way.append((at_us, left))
        left -= nano
        way.append((min(at_us + step_us, now_us), left))
    return [*way, (now_us, one.most_nano - one.spent_nano)]


def _drawn(one: Standing, now_us: int, pace: Pace, way: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Coordinates: the way until now, what is to come, the band around that, where now is and where the plan ends."""
    from_us, until_us = way[0][0], _until_us(one, now_us)

    def place(at_us: float, left: float) -> tuple[float, float]:
        high = min(1.0, max(0.0, left / one.most_nano))
        return (at_us - from_us) / (until_us - from_us) * WIDTH, 1 + (1 - high) * (HEIGHT - 2)

    left = one.most_nano - one.spent_nano
    ahead = [(until_us - now_us) * part / 24 for part in range(25)]
    sides = {side: [place(now_us + us, left - pace.at(us, side)) for us in ahead] for side in (-1, 0, 1)}
    plan = one.most_nano - one.budget.plan_nano
    return {
        "way": points(place(at_us, left) for at_us, left in way),
        "ahead": points(sides[0]),
        "band": points([*sides[-1], *reversed(sides[1])]) if pace.deviation is not None else "",
        "now": round(place(now_us, 0)[0], 1),
        "plan": round(place(now_us, plan)[1], 1) if plan > 0 else None,
        "from_us": from_us,
        "until_us": until_us,
    }
