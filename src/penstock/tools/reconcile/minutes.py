"""Which minutes differ, and of which calls the difference is made.

The two sides may put a call in neighbouring minutes: the ledger has when it began, the API need not. So minutes that
differ in opposite directions are taken together, and what comes to nothing is no difference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from .books import ROWS_KEPT, Minute, Row
from .sums import MINUTE_US, ZERO, Counts, Place, minus, plus, sign, times

_NODES_MAX, _VECTORS_MAX = 20_000, 200
_APART = 2
_CHANCE = 20  # so many times rarer than chance must a match be


class Run(msgspec.Struct):
    """Minutes, from the first to the last, in which a place differs. `delta` is the API's count less the ledger's.

    `by_minute` has what each contributes. `counts`, `calls` and `nano` are the ledger's sums of those minutes, and
    `rows` its calls in them; not all, unless `is_whole`.
    """

    place: Place
    first: int
    last: int
    delta: Counts
    by_minute: dict[int, Counts]
    counts: Counts = ZERO
    calls: int = 0
    nano: int = 0
    rows: list[Row] = msgspec.field(default_factory=list)
    is_whole: bool = True


def differing(place: Place, counted: Mapping[int, Counts], ours: Mapping[int, Minute]) -> list[Run]:
    """The runs of one place, earliest first. Those that come to nothing are among them, with a delta of zeros."""
    runs: list[Run] = []
    longest = 0
    for minute in sorted(counted.keys() | ours.keys()):
        own = ours.get(minute) or Minute()
        delta = minus(counted.get(minute, ZERO), own.counts)
        if not any(delta):
            continue
        last = runs[-1] if runs else None
        if last is not None and minute - last.last <= _APART + longest and _turns(last.delta, delta):
            last.last, last.delta = minute, plus(last.delta, delta)
        else:
            last = Run(place, minute, minute, delta, {})
            runs.append(last)
            longest = 0
        last.by_minute[minute] = delta
        longest = max(longest, own.longest_us // MINUTE_US)
    for run in runs:
        _with_rows(run, ours)
    return runs


def _turns(before: Counts, after: Counts) -> bool:
    """Whether one goes back on the other."""
    if not any(before):
        return False
    directions = sign(before), sign(after)
    return None in directions or directions[0] != directions[1]


def _with_rows(run: Run, ours: Mapping[int, Minute]) -> None:
    for minute in range(run.first, run.last + 1):
        own = ours.get(minute)
        if own is None:
            continue
        run.counts = plus(run.counts, own.counts)
        run.calls += own.calls
        run.nano += own.nano
        run.rows += own.rows
        run.is_whole = run.is_whole and own.calls <= ROWS_KEPT


class Match(NamedTuple):
    """How often each of some rows must be counted, by its place among them, to come to a sum; None where they cannot.

    `is_sure` is false where that may be chance, so many sums can be made of them, or where the search was given up.
    """

    taken: dict[int, int] | None
    is_sure: bool


def matched(rows: Sequence[Row], target: Counts, low: int, high: int) -> Match:
    """Whether the rows, each counted from `low` to `high` times, can come to `target`. The fewer the better."""
    kinds = Counter(row.counts for row in rows if any(row.counts))
    if len(kinds) > _VECTORS_MAX:
        return Match(None, False)
    search = _Search(kinds, low, high)
    found = search.find(0, target)
    if found is None:
        return Match(None, search.nodes <= _NODES_MAX)
    left = dict(zip(search.vectors, found, strict=True))
    taken: dict[int, int] = {}
    for place, row in enumerate(rows):
        number = left.get(row.counts, 0)
        if number:
            step = 1 if number > 0 else -1
            taken[place] = step
            left[row.counts] = number - step
    return Match(taken, search.is_telling())


class _Search:
    """Depth first, the largest vectors first; given up after _NODES_MAX steps."""

    def __init__(self, kinds: Mapping[Counts, int], low: int, high: int) -> None:
        self.vectors = sorted(kinds, key=lambda one: (-sum(one), one))
        self._kinds, self._low, self._high = kinds, low, high
        self.nodes = 0
        rests = [ZERO]
        for vector in reversed(self.vectors):
            rests.append(plus(rests[-1], times(vector, kinds[vector])))
        self._rests = rests[::-1]

    def find(self, at: int, wanted: Counts) -> list[int] | None:
        self.nodes += 1
        low, high, rest = self._low, self._high, self._rests[at]
        if self.nodes > _NODES_MAX or not all(low * r <= w <= high * r for w, r in zip(wanted, rest, strict=True)):
            return None
        if at == len(self.vectors):
            return []
        vector = self.vectors[at]
        count = self._kinds[vector]
        for number in sorted(range(low * count, high * count + 1), key=abs):
            found = self.find(at + 1, minus(wanted, times(vector, number)))
            if found is not None:
                return [number, *found]
        return None

    def is_telling(self) -> bool:
        """Whether far fewer sums can be made of the rows than there could be: else any sum can be made of them.

        Kinds of token go together, so it counts only the sums that the largest of them could have.
        """
        steps = self._high - self._low
        made = math.prod(steps * count + 1 for count in self._kinds.values())
        could = steps * max(self._rests[0]) + 1
        return made * _CHANCE <= could
