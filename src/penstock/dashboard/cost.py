"""What calls cost: over time, by label, by day, by kind of token; what budgets have left; how long answers are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import add
from typing import Any, NamedTuple

from ..stores.keys import KeyStore
from ..stores.sums import DAY_US
from ..stores.totals import Total, Totals
from ..wire.prices import usd
from .burning import HEIGHT, WIDTH, burning
from .desk import Desk
from .drawing import SPARK_HEIGHT, SPARK_WIDTH, spark
from .exporting import Table
from .lengths import lengths
from .view import View

#: What amounts are of: `unit` of the address, and the sign before them.
UNITS = {"dollars": "$", "tokens": "", "calls": ""}
#: What may be chosen to tell calls apart by.
BY = ("feature", "model", "key", "user", "segment", "environment", "prompt", "arm", "upstream")
#: Where a click on a label leads: the next of these that there is no filter of.
_DRILL = ("feature", "model", "key", "segment", "prompt", "arm", "environment", "upstream")
_ROWS = 50
#: So many labels are in a plot; the others are one more.
_STACKED = 7
_USERS_IN_A_FILE = 100_000
#: The kinds of tokens, by their measures.
_MIX = {
    "input_tokens": "fresh input",
    "cache_read_tokens": "read from cache",
    "cache_write_5m_tokens": "written for 5 minutes",
    "cache_write_1h_tokens": "written for 1 hour",
    "output_tokens": "output",
}


class Sum(NamedTuple):
    """What some calls came to. `kinds` are the tokens of each kind, none where they are not told, as of users."""

    calls: int = 0
    cost_nano: int = 0
    unpriced: int = 0
    errors: int = 0
    kinds: tuple[int, ...] = ()

    @property
    def tokens(self) -> int:
        return sum(self.kinds)

    @property
    def cache_read(self) -> tuple[int, int]:
        """Of how many input tokens so many were read from the cache: (read, all)."""
        return (self.kinds[1], sum(self.kinds[:4])) if self.kinds else (0, 0)

    @property
    def each_nano(self) -> int | None:
        """What one call cost, of those whose cost is known."""
        priced = self.calls - self.unpriced
        return round(self.cost_nano / priced) if priced else None

    def amount(self, unit: str) -> int:
        return {"dollars": self.cost_nano, "tokens": self.tokens, "calls": self.calls}[unit]


def cost(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: plots, rows by label and by day, budgets, lengths of answers."""
    unit, is_by_user = unit_of(view), view.by == "user"
    with desk.totals() as totals:
        series = totals.of(view.span, () if is_by_user else (view.by,), view.where, step_us=view.step_us)
        sums, before = _by_label(totals, view, series)
        budgets = burning(desk, view.now_us, totals)
        unpriced = _unpriced(totals, view) if any(one.measures["unpriced"] for one in series) else []
    everything = _summed(series)
    times = _times(view, series)
    lines = _lines(series, times, unit)
    names = _names(desk, view)
    ranked = sorted(sums, key=lambda label: (-sums[label].amount(unit), label))
    rows = [_row(view, label, sums, before, lines, names) for label in ranked[:_ROWS]]
    return {
        "unit": unit,
        "units": list(UNITS),
        "labels": BY,
        "plots": {
            "spent": _stack(times, lines, ranked, names, unit, view),
            "mix": _mix(times, series, view),
        },
        "rows": rows,
        "others": _added(sums[label] for label in ranked[_ROWS:]) if len(ranked) > _ROWS else None,
        "others_count": max(0, len(ranked) - _ROWS),
        "all": everything,
        "users_ignore": [name for name in view.where if name != "feature"] if is_by_user else [],
        "days": _days(series),
        "budgets": budgets,
        "unpriced": unpriced,
        "lengths": lengths(desk, view),
        "boxes": {"spark": (SPARK_WIDTH, SPARK_HEIGHT), "burning": (WIDTH, HEIGHT)},
    }


def cost_table(desk: Desk, view: View) -> Table:
    """The rows of the page as a file: by label, or by day and label for `table=days`. Dollars are decimal strings."""
    with desk.totals() as totals:
        if view.asked.get("table") == "days":
            by = () if view.by == "user" else (view.by,)
            found = totals.of(view.span, by, view.where, step_us=DAY_US)
            rows = [
                {"day": _day(one.at_us), **dict(zip(by, one.labels, strict=True)), **_told(_summed([one]))}
                for one in found
            ]
            return Table("cost-by-day", rows)
        series = [] if view.by == "user" else totals.of(view.span, (view.by,), view.where)
        sums, before = _by_label(totals, view, series, users=_USERS_IN_A_FILE)
    ranked = sorted(sums, key=lambda name: (-sums[name].cost_nano, name))
    told = [{view.by: name, **_told(sums[name])} for name in ranked]
    if view.compares:
        told = [one | {"cost_usd_before": usd(before.get(one[view.by], Sum()).cost_nano)} for one in told]
    return Table(f"cost-by-{view.by}", told)


def unit_of(view: View) -> str:
    asked = view.asked.get("unit", "dollars")
    return asked if asked in UNITS else "dollars"


def _by_label(
    totals: Totals, view: View, series: Iterable[Total], *, users: int = 1000
) -> tuple[dict[str, Sum], dict[str, Sum]]:
    """The sums of each label, now and, where that is compared, before."""
    if view.by == "user":
        now, before = (
            {user: Sum(calls, nano) for user, calls, nano in totals.users(span, view.where, limit=users)}
            for span in (view.span, view.before)
        )
        return now, before if view.compares else {}
    was = totals.of(view.before, (view.by,), view.where) if view.compares else []
    return _grouped(series), _grouped(was)


def _grouped(totals: Iterable[Total]) -> dict[str, Sum]:
    found: dict[str, list[Total]] = {}
    for one in totals:
        found.setdefault(one.labels[0], []).append(one)
    return {label: _summed(of_label) for label, of_label in found.items()}


def _summed(totals: Iterable[Total]) -> Sum:
    return _added(
        Sum(
            calls=one.measures["calls"],
            cost_nano=one.measures["cost_nano"],
            unpriced=one.measures["unpriced"],
            errors=one.measures["errors"],
            kinds=tuple([one.measures[name] for name in _MIX]),
        )
        for one in totals
    )


def _added(sums: Iterable[Sum]) -> Sum:
    calls = cost_nano = unpriced = errors = 0
    kinds: tuple[int, ...] = ()
    for one in sums:
        calls, cost_nano = calls + one.calls, cost_nano + one.cost_nano
        unpriced, errors = unpriced + one.unpriced, errors + one.errors
        kinds = tuple(map(add, kinds, one.kinds)) if kinds else one.kinds
    return Sum(calls, cost_nano, unpriced, errors, kinds)


def _told(one: Sum) -> dict[str, Any]:
    """A sum as files have it; what is not told is left out."""
    kinds = {name.removesuffix("_tokens") + "_tokens": count for name, count in zip(_MIX, one.kinds, strict=False)}
    return {"calls": one.calls, "cost_usd": usd(one.cost_nano), "unpriced": one.unpriced, "errors": one.errors, **kinds}


def _times(view: View, series: Sequence[Total]) -> list[int]:
    """When each step of the span begins, until now."""
    step = view.step_us
    until_us = min(view.span.until_us, max(view.now_us, max((one.at_us for one in series), default=0) + 1))
    return list(range(view.span.from_us - view.span.from_us % step, until_us, step))


def _lines(series: Iterable[Total], times: Sequence[int], unit: str) -> dict[str, list[int]]:
    """How much of each label in each step: what a stack and the sparklines are drawn from."""
    places = {at_us: place for place, at_us in enumerate(times)}
    lines: dict[str, list[int]] = {}
    for one in series:
        line = lines.setdefault("".join(one.labels), [0] * len(times))
        line[places[one.at_us]] += _summed([one]).amount(unit)
    return lines


def _stack(
    times: Sequence[int],
    lines: Mapping[str, list[int]],
    ranked: Sequence[str],
    names: Mapping[str, tuple[str, str]],
    unit: str,
    view: View,
) -> dict[str, Any]:
    """What a plot of areas on one another is drawn from: each label's amounts, those of the largest first."""
    if view.by == "user":
        shown = [("all users", lines.get("", [0] * len(times)))]
    else:
        shown = [(_name(names, label)[0], lines[label]) for label in ranked[:_STACKED]]
        rest = [lines[label] for label in ranked[_STACKED:]]
        shown += [(f"{len(rest)} others", [sum(step) for step in zip(*rest, strict=True)])] if rest else []
    scale = 1e9 if unit == "dollars" else 1
    stack = [{"label": name, "values": [amount / scale for amount in line]} for name, line in shown]
    return {"time": [at_us // 1_000_000 for at_us in times], "step_s": view.step_us // 1_000_000, "stack": stack}


def _mix(times: Sequence[int], series: Iterable[Total], view: View) -> dict[str, Any]:
    places = {at_us: place for place, at_us in enumerate(times)}
    lines = {name: [0] * len(times) for name in _MIX}
    for one in series:
        for name, line in lines.items():
            line[places[one.at_us]] += one.measures[name]
    stack = [{"label": _MIX[name], "values": line} for name, line in lines.items()]
    return {"time": [at_us // 1_000_000 for at_us in times], "step_s": view.step_us // 1_000_000, "stack": stack}


def _names(desk: Desk, view: View) -> dict[str, tuple[str, str]]:
    """Of keys their names, and what is shown of them."""
    if view.by != "key":
        return {}
    return {key.id: (key.name, key.shown) for key in KeyStore(desk.data, desk.clock).list()}


def _name(names: Mapping[str, tuple[str, str]], label: str) -> tuple[str, str]:
    return names.get(label, (label or "none", ""))


def _row(
    view: View,
    label: str,
    sums: Mapping[str, Sum],
    before: Mapping[str, Sum],
    lines: Mapping[str, list[int]],
    names: Mapping[str, tuple[str, str]],
) -> dict[str, Any]:
    name, hint = _name(names, label)
    calls = f"calls{view.query(**{view.by: label}, by=None, unit=None)}"
    further = next((one for one in _DRILL if one != view.by and one not in view.where), None)
    return {
        "label": label,
        "name": name,
        "hint": hint,
        "to": f"cost{view.query(**{view.by: label}, by=further)}" if further and view.by != "user" else calls,
        "calls_to": calls,
        "sum": sums[label],
        "before": before.get(label, Sum()),
        "spark": spark(lines.get(label, [])),
    }


def _days(series: Iterable[Total]) -> list[dict[str, Any]]:
    """The days that had calls, the last first, with how each compares with the dearest."""
    found: dict[str, list[Total]] = {}
    for one in series:
        found.setdefault(_day(one.at_us), []).append(one)
    sums = {day: _summed(of_day) for day, of_day in found.items()}
    most = max((one.cost_nano for one in sums.values()), default=0)
    return [
        {
            "day": day,
            "until": _day(found[day][0].at_us + DAY_US),
            "sum": sums[day],
            "width": round(100 * sums[day].cost_nano / most, 1) if most else 0,
        }
        for day in sorted(found, reverse=True)
    ]


def _day(at_us: int) -> str:
    return f"{datetime.fromtimestamp(at_us // 1_000_000, UTC):%Y-%m-%d}"


def _unpriced(totals: Totals, view: View) -> list[tuple[str, int]]:
    """Models of calls whose cost is not known, those with the most first."""
    found = [(one.labels[0], one.measures["unpriced"]) for one in totals.of(view.span, ("model",), view.where)]
    return sorted((one for one in found if one[1]), key=lambda one: (-one[1], one[0]))
