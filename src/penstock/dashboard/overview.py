"""The first page: what is spent, how it goes, and what wants somebody now."""

from __future__ import annotations

from typing import Any

from ..config.money import BudgetConfig
from ..spending.budget import Budget
from ..stores.sums import DAY_US, HOUR_US
from ..stores.totals import Span, Total, Totals, percentile_us
from .desk import Desk
from .drawing import SPARK_HEIGHT, SPARK_WIDTH, spark
from .view import View
from .wording import dollars, duration, percent, short


def overview(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: tiles, plots, what moved most, and what wants attention."""
    with desk.totals() as totals:
        now = _sum(totals.of(view.span, where=view.where))
        before = _sum(totals.of(view.before, where=view.where))
        series = totals.of(view.span, where=view.where, step_us=view.step_us)
        today = _today(desk, totals, view)
        movers = _movers(_spent(totals, view, view.span), _spent(totals, view, view.before))
        spread = {
            what: {int(one.labels[0]): one.measures["calls"] for one in totals.durations(what, view.span, view.where)}
            for what in ("total", "first_token")
        }
    return {
        "tiles": [today, *_tiles(now, before, spread, _plotted(series))],
        "box": (SPARK_WIDTH, SPARK_HEIGHT),
        "plots": {"time": [one.at_us // 1_000_000 for one in series], **_plotted(series)},
        "movers": movers[:8],
        "attention": desk.attention(),
        "is_empty": not now["calls"] and not before["calls"],
    }


def _sum(totals: list[Total]) -> dict[str, int]:
    found = dict.fromkeys(("calls", "errors", "refused", "cost_nano", "unpriced"), 0)
    found |= dict.fromkeys(("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"), 0)
    for one in totals:
        found = {name: found.get(name, 0) + value for name, value in one.measures.items()}
    return found


def _today(desk: Desk, totals: Totals, view: View) -> dict[str, Any]:
    """What today has cost, UTC, what budgets about everything plan for a day, and what its pace comes to."""
    from_us = view.now_us - view.now_us % DAY_US
    spent = _sum(totals.of(Span(from_us, from_us + DAY_US)))["cost_nano"]
    plans = [_planned_nano(own) for own in desk.config.budgets if not own.where and not own.per]
    of = f"of {dollars(min(plans))} planned" if (plans := [nano for nano in plans if nano]) else "no plan for a day"
    gone_us = view.now_us - from_us
    ahead = f", {dollars(spent * DAY_US // gone_us)} by midnight at this pace" if spent and gone_us > HOUR_US else ""
    return {"name": "Spent today, UTC", "value": dollars(spent), "note": of + ahead, "to": "cost"}


def _planned_nano(own: BudgetConfig) -> int:
    """What a budget plans for a day; 0 where its period has no days."""
    days = {"day": 1, "week": 7, "month": 30}.get(own.period, 0)
    return (Budget(own).plan_nano or 0) // days if days else 0


def _tiles(
    now: dict[str, int], before: dict[str, int], spread: dict[str, dict[int, int]], plotted: dict[str, list[float]]
) -> list[dict[str, Any]]:
    read, all_input = now["cache_read_tokens"], _input(now)
    faults, faults_before = now["errors"] - now["refused"], before["errors"] - before["refused"]
    return [
        {
            "name": "Spent",
            "value": dollars(now["cost_nano"]),
            "spark": spark(plotted["spent"]),
            "was": before["cost_nano"],
            "is": now["cost_nano"],
            "to": "cost",
        },
        {
            "name": "Calls",
            "value": short(now["calls"]),
            "spark": spark(plotted["calls"]),
            "was": before["calls"],
            "is": now["calls"],
            "to": "calls",
        },
        {
            "name": "Errors",
            "value": percent(faults, now["calls"]),
            "spark": spark(plotted["errors"]),
            "was": faults_before,
            "is": faults,
            "to": "reliability",
        },
        {"name": "P50", "value": duration(percentile_us(spread["total"], 50)), "to": "reliability"},
        {"name": "P95", "value": duration(percentile_us(spread["total"], 95)), "to": "reliability"},
        {"name": "P99", "value": duration(percentile_us(spread["total"], 99)), "to": "reliability"},
        {"name": "First token, P95", "value": duration(percentile_us(spread["first_token"], 95)), "to": "reliability"},
        {"name": "Read from cache", "value": percent(read, all_input), "to": "caching"},
    ]


def _input(measures: dict[str, int]) -> int:
    names = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    return sum(measures[name] for name in names)


def _plotted(series: list[Total]) -> dict[str, list[float]]:
    return {
        "spent": [one.measures["cost_nano"] / 1e9 for one in series],
        "calls": [float(one.measures["calls"]) for one in series],
        "errors": [float(one.measures["errors"] - one.measures["refused"]) for one in series],
    }


def _spent(totals: Totals, view: View, span: Span) -> dict[str, int]:
    """What each of the label that the view tells apart by has cost; of users, those of whole days."""
    if view.by == "user":
        return {user: nano for user, _, nano in totals.users(span, view.where)}
    return {one.labels[0]: one.measures["cost_nano"] for one in totals.of(span, (view.by,), view.where)}


def _movers(is_now: dict[str, int], was: dict[str, int]) -> list[dict[str, Any]]:
    """What changed most against the time before, in dollars."""
    moved = [{"label": label, "now": is_now.get(label, 0), "before": was.get(label, 0)} for label in {*was, *is_now}]
    return sorted(moved, key=lambda one: (-abs(one["now"] - one["before"]), one["label"]))
