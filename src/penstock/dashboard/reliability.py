"""How calls go: how long they take, what fails and whose fault it was, how often they are tried, what is shut."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from ..ports import Circuit
from ..stores.sums import HOUR_US
from ..stores.totals import Span, Total, percentile_us
from .desk import Desk
from .heat import heat
from .view import View, times

_PERCENTILES = (50, 95, 99)
#: So many kinds of errors have a colour of their own in the plot; the others are drawn as one.
_KINDS_MAX = 6
_OTHERS = "others"
_LANES_MAX = 1000
#: Up to so much time is told apart by minutes.
FINE_US, FINE_UNTIL_US = 5 * 60_000_000, 2 * HOUR_US


def reliability(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: the heat map, percentiles, errors, attempts, circuits and incidents."""
    what = "first_token" if view.asked.get("what") == "first_token" else "total"
    with desk.totals() as totals:
        step_us = _step_us(view)
        told = _by_step(lambda span, step: totals.of(span, ("upstream",), view.where, step_us=step), view.span, step_us)
        durations = _by_step(
            lambda span, step: totals.durations(what, span, view.where, step_us=step), view.span, step_us
        )
        errors = _by_step(lambda span, step: totals.errors(span, view.where, step_us=step), view.span, step_us)
        before = None
        if view.compares:
            earlier = totals.of(view.before, where=view.where), totals.durations(what, view.before, view.where)
            before = _figures(*earlier)
    series = _summed(told, lambda one: (one.at_us, ()))
    counts: dict[int, Counter[int]] = defaultdict(Counter)
    for one in durations:
        counts[one.at_us][int(one.labels[0])] += one.measures["calls"]
    rows = [_row(one, counts[one.at_us]) for one in series]
    return {
        **_figures(series, durations),
        "before": before,
        "what": what,
        "is_empty": not series,
        "step_us": step_us,
        "heat": heat(durations, view, step_us),
        "rows": rows,
        **_lines(rows),
        "errors": _errors(errors),
        "taxonomy": _taxonomy(errors, view.span, step_us),
        "upstreams": [_upstream(one) for one in _summed(told, lambda one: (0, one.labels))],
        "circuits": [
            {"name": name, "state": _state(one, view.now_us), "until_us": one.until_us, "opens": one.opens}
            for name, one in sorted(desk.circuits.items())
        ],
        "lanes": _lanes(desk, view.span, view.now_us),
        "incident": desk.incident,
        "watches_page": desk.config.status.every_s > 0,
        "narrows_less": sorted({*view.where} - {"feature", "model"}),
    }


def _step_us(view: View) -> int:
    """How finely time is told apart: as elsewhere, and by minutes where it is short, for what happens just now."""
    return FINE_US if view.span.until_us - view.span.from_us <= FINE_UNTIL_US else view.step_us


def _by_step(ask: Callable[[Span, int], list[Total]], span: Span, step_us: int) -> list[Total]:
    """Totals by steps of time. Sums know whole hours: shorter steps are asked for singly, and read from the calls."""
    if step_us >= HOUR_US:
        return ask(span, step_us)
    found = []
    for at_us in times(span, step_us):
        piece = Span(max(at_us, span.from_us), min(at_us + step_us, span.until_us))
        found += [Total(at_us, one.labels, one.measures) for one in ask(piece, 0)]
    return found


def _summed(totals: Sequence[Total], key: Callable[[Total], tuple[int, tuple[str, ...]]]) -> list[Total]:
    """Totals put together by moment and labels, in their order."""
    found: dict[tuple[int, tuple[str, ...]], Counter[str]] = defaultdict(Counter)
    for one in totals:
        found[key(one)].update(one.measures)
    return [Total(at_us, labels, measures) for (at_us, labels), measures in sorted(found.items())]


def _figures(series: Sequence[Total], durations: Sequence[Total]) -> dict[str, Any]:
    """Of all the time: calls, those that failed, those refused here, attempts beyond the first, percentiles."""
    counts: Counter[int] = Counter()
    for one in durations:
        counts[int(one.labels[0])] += one.measures["calls"]
    return {
        "calls": sum(one.measures["calls"] for one in series),
        "failed": sum(one.measures["errors"] - one.measures["refused"] for one in series),
        "refused": sum(one.measures["refused"] for one in series),
        "again": max(0, sum(_again(one) for one in series)),
        "overall": {name: percentile_us(counts, name) or None for name in _PERCENTILES},
    }


def _lines(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Percentiles in seconds, and attempts per call above the one there must be, as plots have them."""
    time = [one["at_us"] // 1_000_000 for one in rows]
    percentiles = {name: [one["percentiles"][name] for one in rows] for name in _PERCENTILES}
    return {
        "latency": {
            "time": time,
            **{f"p{name}": [us and us / 1e6 for us in line] for name, line in percentiles.items()},
        },
        "tries": {
            "time": time,
            "attempts per call": [one["attempts_per_call"] for one in rows],
            "at least": [1.0] * len(rows),
        },
    }


def _row(total: Total, counts: Counter[int]) -> dict[str, Any]:
    one = total.measures
    left = one["calls"] - one["refused"]
    return {
        "at_us": total.at_us,
        "calls": one["calls"],
        "failed": one["errors"] - one["refused"],
        "refused": one["refused"],
        "attempts_per_call": one["attempts"] / left if left else None,
        "percentiles": {name: percentile_us(counts, name) or None for name in _PERCENTILES},
    }


def _again(total: Total) -> int:
    """Attempts beyond the first, retries and fallbacks together; less than none where answers needed no attempt."""
    one = total.measures
    return one["attempts"] - (one["calls"] - one["refused"])


def _errors(errors: Sequence[Total]) -> list[dict[str, Any]]:
    found: Counter[tuple[str, ...]] = Counter()
    for one in errors:
        found[one.labels] += one.measures["calls"]
    return [{"layer": layer, "code": code, "calls": calls} for (layer, code), calls in found.most_common()]


def _taxonomy(errors: Sequence[Total], span: Span, step_us: int) -> dict[str, Any]:
    """Errors over time: the most frequent codes, and all others as one."""
    codes: Counter[str] = Counter()
    for one in errors:
        codes[one.labels[1]] += one.measures["calls"]
    shown = [code for code, _ in codes.most_common(_KINDS_MAX) if code != _OTHERS]
    names = [*shown, _OTHERS] if len(codes) > len(shown) else shown
    all_times = times(span, step_us)
    places = {at: place for place, at in enumerate(all_times)}
    found = {name: [0] * len(all_times) for name in names}
    for one in errors:
        code = one.labels[1]
        found[code if code in shown else _OTHERS][places[one.at_us]] += one.measures["calls"]
    return {
        "time": [at // 1_000_000 for at in all_times],
        "step_s": step_us // 1_000_000,
        "stack": [{"label": name, "values": values} for name, values in found.items()],
    }


def _upstream(total: Total) -> dict[str, Any]:
    one = total.measures
    left = one["calls"] - one["refused"]
    return {
        "name": total.labels[0],
        "calls": one["calls"],
        "failed": one["errors"] - one["refused"],
        "again": max(0, _again(total)),
        "attempts_per_call": one["attempts"] / left if left else None,
    }


def _state(circuit: Circuit, now_us: int) -> str:
    if circuit.until_us > now_us:
        return "open"
    return "half-open, being tried" if circuit.probed_until_us > now_us else "half-open"


def _lanes(desk: Desk, span: Span, now_us: int) -> list[dict[str, Any]]:
    """When circuits were open in the span, as alerts have it: one lane each, in percent of the span."""
    length = span.until_us - span.from_us
    lanes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in desk.alerts.history(limit=_LANES_MAX):
        ended_us = now_us if one.cleared_at_us is None else one.cleared_at_us
        if one.kind != "breaker" or one.since_us >= span.until_us or ended_us <= span.from_us:
            continue
        began = max(0, one.since_us - span.from_us)
        lanes[one.identity.removeprefix("circuit ")].append(
            {
                "x": 100 * began / length,
                "width": max(0.3, 100 * (min(ended_us, span.until_us) - span.from_us - began) / length),
                "from_us": one.since_us,
                "until_us": one.cleared_at_us,
            }
        )
    return [{"name": name, "opens": opens} for name, opens in sorted(lanes.items())]
