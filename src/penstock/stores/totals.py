"""Totals over any span of time, from the sums by the hour and, where those end, from the calls themselves.

Exact to the call: what has not been summed yet, and what lies in an hour of which a part is asked for, is read from the
ledger. Blocks; everything raises StoreFailed. Times are Unix microseconds, UTC; money nano-dollars.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from ..errors import ConfigError
from .sums import DAY_US, DURATIONS, HOUR_US, LABELS, MEASURES, STEPS_US, step_sql

Where = Mapping[str, str]


class Span(NamedTuple):
    """From `from_us` up to but not including `until_us`."""

    from_us: int
    until_us: int


class Total(NamedTuple):
    """The calls that share a moment and labels. `at_us` is when their hour or day begins; 0 where all are one."""

    at_us: int
    labels: tuple[str, ...]
    measures: dict[str, int]


class Totals:
    """Reads one database, for one reader at a time; within `with`, all of it as it was at one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Self:
        self._connection.execute("BEGIN")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.execute("COMMIT")

    def of(self, span: Span, by: Sequence[str] = (), where: Where | None = None, *, step_us: int = 0) -> list[Total]:
        """Totals by labels, and by steps of time, where that is wanted: whole hours. In the order of time and labels.

        Raises ConfigError for a label that sums are not kept apart by.
        """
        for name in (*by, *(where or ())):
            if name not in LABELS:
                raise ConfigError(
                    f"There are no totals by {name!r}.",
                    code="bad_label",
                    fix=f"Choose from {', '.join(sorted(LABELS))}.",
                )
        at = f"{{at}} - {{at}} % {step_us}" if step_us else "0"
        keys = [at.format(at="hour_us"), *by]
        sums = [f"sum({name})" for name in MEASURES]
        found: dict[tuple[Any, ...], list[int]] = {}
        query = _query("sums", keys, sums, "hour_us >= ? AND hour_us < ?", [f"{name} = ?" for name in where or ()])
        mark = self._mark()
        whole, parts = _divided(span)
        values = tuple((where or {}).values())
        _gather(found, self._rows(query, (*whole, *values)), len(keys))
        own = [at.format(at="began_at_us"), *(LABELS[name] for name in by)]
        wanted = [f"{LABELS[name]} = ?" for name in where or ()]
        for part in _unsummed(mark, whole, parts):
            query = _query(part.table, own, list(MEASURES.values()), part.condition, wanted)
            _gather(found, self._rows(query, (*part.bounds, *values)), len(keys), part.sign)
        names = tuple(MEASURES)
        return [
            Total(key[0], key[1:], dict(zip(names, measures, strict=True)))
            for key, measures in sorted(found.items())
            if measures[0]
        ]

    def users(self, span: Span, where: Where | None = None, *, limit: int = 50) -> list[tuple[str, int, int]]:
        """Users with their calls and what those cost, the dearest first. Of whole days, UTC."""
        features = [where["feature"]] if where and "feature" in where else []
        wanted = ["feature = ?"] * len(features)
        days = (span.from_us - span.from_us % DAY_US, -(-span.until_us // DAY_US) * DAY_US)
        sums, found = ["sum(calls)", "sum(cost_nano)"], dict[tuple[Any, ...], list[int]]()
        query = _query("sums_of_users", ["user"], sums, "day_us >= ? AND day_us < ?", wanted)
        _gather(found, self._rows(query, (*days, *features)), 1)
        calls = [MEASURES["calls"], MEASURES["cost_nano"]]
        for part in _unsummed(self._mark(), Span(*days), ()):
            query = _query(part.table, ["user"], calls, f"{part.condition} AND user IS NOT NULL", wanted)
            _gather(found, self._rows(query, (*part.bounds, *features)), 1, part.sign)
        ranked = sorted(found.items(), key=lambda entry: (-entry[1][1], entry[0]))
        return [(key[0], measures[0], measures[1]) for key, measures in ranked[:limit]]

    def errors(self, span: Span, where: Where | None = None, *, step_us: int = 0) -> list[Total]:
        """Errors by whose they were and which (`layer`, `code`), and by steps of time, where that is wanted."""
        keys = ("coalesce(error_layer, 'upstream')", "coalesce(error_code, error_type, ending)")
        failed = "ending IN ('refused', 'failed', 'truncated', 'killed')"
        return self._told("sums_of_errors", ("layer", "code"), keys, failed, span, where, step_us)

    def durations(self, what: str, span: Span, where: Where | None = None, *, step_us: int = 0) -> list[Total]:
        """How many messages took how long: the label is the step of `STEPS_US`; `what` is total or first_token."""
        column = DURATIONS[what]
        answered = f"endpoint = 'messages' AND ending NOT IN ('refused', 'killed') AND {column} IS NOT NULL"
        table = f"(SELECT * FROM sums_of_durations WHERE what = '{what}')"
        return self._told(table, ("step",), (step_sql(column),), answered, span, where, step_us)

    def _told(
        self,
        table: str,
        names: Sequence[str],
        values: Sequence[str],
        condition: str,
        span: Span,
        where: Where | None,
        step_us: int,
    ) -> list[Total]:
        """Counts of calls from one of the lesser tables, which knows features and models alone."""
        kept = {name: value for name, value in (where or {}).items() if name in ("feature", "model")}
        at = f"{{at}} - {{at}} % {step_us}" if step_us else "0"
        found: dict[tuple[Any, ...], list[int]] = {}
        whole, parts = _divided(span)
        wanted = [f"{name} = ?" for name in kept]
        query = _query(table, [at.format(at="hour_us"), *names], ["sum(calls)"], "hour_us >= ? AND hour_us < ?", wanted)
        _gather(found, self._rows(query, (*whole, *kept.values())), 1 + len(names))
        wanted = [f"{LABELS[name]} = ?" for name in kept]
        own = [at.format(at="began_at_us"), *values]
        for part in _unsummed(self._mark(), whole, parts):
            query = _query(part.table, own, ["count(*)"], f"{part.condition} AND {condition}", wanted)
            _gather(found, self._rows(query, (*part.bounds, *kept.values())), 1 + len(names), part.sign)
        return [
            Total(key[0], tuple(map(str, key[1:])), {"calls": measures[0]})
            for key, measures in sorted(found.items())
            if measures[0]
        ]

    def _mark(self) -> int:
        (mark,) = self._connection.execute("SELECT rowid_summed FROM summed").fetchone()
        return int(mark)

    def _rows(self, query: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        yield from self._connection.execute(query, values)


def percentile_us(counts: Mapping[int, int], percent: float) -> int:
    """About what one of so many took, from counts by step: at most a quarter off, as if spread evenly."""
    total = sum(counts.values())
    wanted, seen = total * percent / 100, 0
    for step in sorted(counts):
        if seen + counts[step] >= wanted and counts[step]:
            low = STEPS_US[step - 1] if step else 0
            high = STEPS_US[step] if step < len(STEPS_US) else STEPS_US[-1]
            return round(low + (high - low) * (wanted - seen) / counts[step])
        seen += counts[step]
    return 0


def _divided(span: Span) -> tuple[Span, list[Span]]:
    """The whole hours of a span, and what is left of it before and after."""
    first, last = -(-span.from_us // HOUR_US) * HOUR_US, span.until_us - span.until_us % HOUR_US
    if first >= last:
        return Span(first, first), [span]
    parts = [Span(span.from_us, first), Span(last, span.until_us)]
    return Span(first, last), [part for part in parts if part.from_us < part.until_us]


class _Part(NamedTuple):
    """Calls that count besides the sums: in which table, with which sign, by which condition."""

    table: str
    sign: int
    condition: str
    bounds: tuple[int, ...]


def _unsummed(mark: int, whole: Span, parts: Sequence[Span]) -> Iterator[_Part]:
    """What has come since hours were summed, what has changed, and what lies in hours that are not asked for whole."""
    # By the row's number, of which few are above the mark: the plus keeps the index by time out of it.
    within = "+began_at_us >= ? AND +began_at_us < ?"
    yield _Part("calls", 1, f"rowid > ? AND {within}", (mark, *whole))
    yield _Part("sums_changed", -1, f"row <= ? AND {within}", (mark, *whole))
    yield _Part("calls", 1, f"rowid IN (SELECT row FROM sums_changed WHERE row <= ?) AND {within}", (mark, *whole))
    for part in parts:
        yield _Part("calls", 1, "began_at_us >= ? AND began_at_us < ?", tuple(part))


def _query(table: str, keys: Sequence[str], measures: Sequence[str], condition: str, where: Sequence[str]) -> str:
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    conditions = " AND ".join((condition, *where))
    return f"SELECT {', '.join((*keys, *measures))} FROM {table} WHERE {conditions} GROUP BY {places}"


def _gather(found: dict[tuple[Any, ...], list[int]], rows: Iterator[tuple[Any, ...]], keys: int, sign: int = 1) -> None:
    for row in rows:
        key, measures = row[:keys], [sign * (one or 0) for one in row[keys:]]
        known = found.get(key)
        found[key] = measures if known is None else [one + other for one, other in zip(known, measures, strict=True)]
