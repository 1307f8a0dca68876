"""Batches: the ledger has one cost for each, once its results were had; reports have its tokens by day and model.

A batch is done within a day, so what is reported of a day is of batches created on it or the day before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from .books import Row
from .findings import UNEXPLAINED, Finding
from .minutes import matched
from .sums import DAY_US, ZERO, Counts, Place, Rates, Sum, minus, plus, sign

TIER = "batch"

Cells = dict[tuple[int, Place], Counts]


def placed(bills: Sequence[Row], cells: Cells, rates: Rates) -> dict[tuple[int, Place], Sum]:
    """The bills as sums by the day and place that the API counts them under, as far as that can be found.

    Those for which it cannot stand under the day they were made on and no model.
    """
    found: dict[tuple[int, Place], Sum] = {}
    left = list(bills)
    open_cells = dict(cells)
    for where, counts in sorted(cells.items()):
        near = [row for row in left if _is_near(row, *where)]
        match = matched(near, counts, 0, 1)
        if match.taken:
            taken = [near[place] for place in match.taken]
            left = [row for row in left if row not in taken]
            found[where] = Sum(counts, len(taken), sum(row.nano or 0 for row in taken))
            del open_cells[where]
    for group in [[row] for row in left] + [left]:  # one by one, and then all that are left together
        group = [row for row in group if row in left]
        parts = _parts(group, open_cells, rates) if group else {}
        for where, part in parts.items():
            del open_cells[where]
            found[where] = part
        if parts:
            left = [row for row in left if row not in group]
    for row in left:
        own = found.setdefault((row.began_us // DAY_US, row.place), Sum())
        own.counts, own.calls, own.nano = plus(own.counts, row.counts), own.calls + 1, own.nano + (row.nano or 0)
    return found


def _is_near(row: Row, day: int, place: Place) -> bool:
    return row.place.key == place.key and 0 <= day - row.began_us // DAY_US <= 1


def _parts(group: Sequence[Row], cells: Cells, rates: Rates) -> dict[tuple[int, Place], Sum]:
    """Batches of several models, or over midnight, as the cells that together are they; none where no cells are."""
    rows = [
        group[0]._replace(place=place, began_us=day * DAY_US, counts=counts)
        for (day, place), counts in cells.items()
        if any(_is_near(row, day, place) for row in group)
    ]
    wanted = ZERO
    for row in group:
        wanted = plus(wanted, row.counts)
    match = matched(rows, wanted, 0, 1)
    if not match.taken:
        return {}
    parts: dict[tuple[int, Place], Sum] = {}
    left = sum(row.nano or 0 for row in group)
    for at in match.taken:
        one = rows[at]
        pico = sum(count * (rate or 0) for count, rate in zip(one.counts, rates(one.place, one.began_us), strict=True))
        nano = left if len(parts) == len(match.taken) - 1 else min(left, (pico + 500) // 1000)
        left -= nano
        parts[one.began_us // DAY_US, one.place] = Sum(one.counts, 0 if parts else len(group), nano)
    return parts


def explained(
    cells: Cells,
    ours: Mapping[tuple[int, Place], Sum],
    created: Mapping[int, int],
    open_: Mapping[int, int],
    rates: Rates,
    until_day: int,
) -> Iterator[tuple[Place, Finding]]:
    """What differs in the batch tier, on days before `until_day`.

    `created` are the batches of each day, `open_` those of them whose results were not had.
    """
    for day, place in sorted(cells.keys() | ours.keys()):
        own = ours.get((day, place))
        delta = minus(cells.get((day, place), ZERO), ZERO if own is None else own.counts)
        if place.tier != TIER or not any(delta):
            continue
        unread = open_.get(day, 0) + open_.get(day - 1, 0)
        if unread and (sign(delta) == 1 or not place.model):
            cause, told = (
                "batches",
                f"The results of {_batches(unread)} were not had, so their cost is not in the ledger.",
            )
        elif not place.model and day == until_day - 1:
            cause, told = "midnight", "Batches of the last day are not in its report; they may have ended on the next."
        elif sign(delta) == 1 and not created.get(day, 0) + created.get(day - 1, 0):
            cause, told = (
                "elsewhere",
                "The API counted batches when the ledger has none: they did not go through Penstock.",
            )
        else:
            cause, told = UNEXPLAINED, "What the API counted of batches is not what their results came to."
        pico = sum(count * (rate or 0) for count, rate in zip(delta, rates(place, day * DAY_US), strict=True))
        if own is not None and not place.model:
            pico = -own.nano * 1000
        finding = Finding(
            cause=cause,
            day=day,
            model=place.model,
            key=place.key,
            counts=delta,
            pico=pico,
            told=told,
            calls=unread if cause == "batches" else None,
        )
        yield place, finding


def _batches(number: int) -> str:
    return "one batch" if number == 1 else f"{number} batches"
