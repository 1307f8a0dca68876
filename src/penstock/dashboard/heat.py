"""A heat map of durations: time across, duration upwards by steps that grow alike, and how many calls by shade.

Made on the server as rectangles of one by one, so that it needs no script and each says its exact count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..stores.sums import STEPS_US
from ..stores.totals import Total
from .view import View
from .wording import duration, moment

#: A page must not become heavy: so many columns and rows at most, give or take what makes them even.
COLUMNS_MAX, ROWS_MAX = 48, 24
#: Rows are marked at every quarter, so there is a multiple of so many.
_MARKS = 4
_SHADES = 9


def heat(durations: Sequence[Total], view: View, step_us: int) -> dict[str, Any]:
    """Columns with their cells from `Totals.durations` by steps of time; marks from top to bottom and left to right.

    Time is to scale, and a column that has nothing is left out. `to` is the address of its time alone.
    """
    span = view.span
    from_us = span.from_us - span.from_us % step_us
    width_us = step_us * -(-(span.until_us - from_us) // (step_us * COLUMNS_MAX))
    count = -(-(span.until_us - from_us) // width_us)
    steps = [int(one.labels[0]) for one in durations]
    low, high = min(steps, default=0), max(steps, default=0)
    band = 1 if high - low < ROWS_MAX else 2
    first = low // band
    rows = -(-(high // band - first + 1) // _MARKS) * _MARKS
    cells: Counter[tuple[int, int]] = Counter()
    for one in durations:
        cells[(one.at_us - from_us) // width_us, int(one.labels[0]) // band - first] += one.measures["calls"]
    most = max(cells.values(), default=0)
    edges = [_edge(first + row, band) for row in range(rows + 1)]
    columns: dict[int, dict[int, int]] = {}
    for (place, row), calls in cells.items():
        columns.setdefault(place, {})[row] = calls
    made = []
    for place, own in sorted(columns.items()):
        at_us = from_us + place * width_us
        made.append(
            {"place": place, "to": _alone(view, at_us, at_us + width_us), "cells": _cells(at_us, own, edges, most)}
        )
    return {
        "columns": made,
        "count": count,
        "rows": rows,
        "calls": cells.total(),
        "marks": [duration(edge) for edge in reversed(edges[:: rows // _MARKS])],
        "times": [moment(from_us + part * count * width_us // 3)[:16] for part in range(4)],
    }


def _cells(at_us: int, found: Mapping[int, int], edges: Sequence[int], most: int) -> list[dict[str, Any]]:
    rows, when = len(edges) - 1, moment(at_us)[:16]
    return [
        {
            "y": rows - 1 - row,
            "shade": 1 + min(_SHADES - 1, int(_SHADES * (calls / most) ** 0.5)),
            "said": f"{when}, {duration(edges[row])} to {duration(edges[row + 1])}: {calls:,}",
        }
        for row, calls in sorted(found.items())
    ]


def _alone(view: View, from_us: int, until_us: int) -> str:
    ends = {name: f"{moment(at_us)[:16]}Z".replace(" ", "T") for name, at_us in (("from", from_us), ("to", until_us))}
    return view.query(range=None, **ends)


def _edge(band: int, size: int) -> int:
    """What those in a band of steps have reached, in microseconds."""
    step = band * size
    return STEPS_US[min(step, len(STEPS_US)) - 1] if step else 0
