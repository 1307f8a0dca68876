"""Finding calls among millions: by labels and by what became of them, a page at a time, newest or oldest first.

Rows are read along the index by time, and at most `EXAMINED_MAX` of them for one page. Where labels, a user or an error
are wanted, the sums by the hour say which hours have any, so that others are passed over. Blocks; raises sqlite3.Error.
Times are Unix microseconds, UTC; money nano-dollars.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..record import Record
from .folding import COLUMNS
from .reading import ERRORS
from .sums import DAY_US, HOUR_US, LABELS
from .totals import Span

#: So many calls are looked at for one page; who wants more asks for the next.
EXAMINED_MAX = 50_000
#: What stands for any of the endings that count as errors.
ANY_ERROR = "errors"

#: With more rows than this not yet summed, sums are no guide.
_UNSUMMED_MAX = 50_000
_SHOWN = tuple(name for name in COLUMNS if name != "trail")
_ERROR = "coalesce(error_code, error_type, ending)"
_IS_ERROR = "ending IN ('" + "', '".join(sorted(ERRORS)) + "')"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call must be; None asks for nothing. Of `labels` an empty text stands for none.

    `model` is one that was asked for or that answered, where the label is the latter; a key may be any of `key_ids`;
    `request_id` is the upstream's.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    key_ids: tuple[str, ...] | None = None
    user: str | None = None
    session: str | None = None
    ending: str | None = None
    error: str | None = None
    status: int | None = None
    request_id: str | None = None
    over_nano: int | None = None
    longer_us: int | None = None

    @property
    def is_by_labels_alone(self) -> bool:
        """Whether the sums know how many such calls there are."""
        return self == Wanted(self.labels)

    def conditions(self) -> tuple[list[str], list[Any]]:
        """As SQL, and the values for it in order."""
        conditions, values = [f"{LABELS[name]} = ?" for name in self.labels], list[Any](self.labels.values())
        if self.key_ids is not None:
            conditions.append(f"key_id IN ({', '.join('?' * len(self.key_ids))})")
            values += self.key_ids
        if self.error is not None:
            conditions.append(f"{_IS_ERROR} AND {_ERROR} = ?")
            values.append(self.error)
        if self.ending == ANY_ERROR:
            conditions.append(_IS_ERROR)
        others = {
            "ending = ?": None if self.ending == ANY_ERROR else self.ending,
            "? IN (model_asked, model_served)": self.model,
            "user = ?": self.user,
            "session = ?": self.session,
            "status = ?": self.status,
            "upstream_request_id = ?": self.request_id,
            "cost_nano > ?": self.over_nano,
            "total_us > ?": self.longer_us,
        }
        for condition, value in others.items():
            if value is not None:
                conditions.append(condition)
                values.append(value)
        return conditions, values


class Place(NamedTuple):
    """Where a call stands in time; the number of its row tells apart those that began together."""

    at_us: int
    row: int


class Row(NamedTuple):
    """One call, without its trail where many are asked for."""

    place: Place
    record: Record


class Found(NamedTuple):
    """Calls in the order wanted. `stopped` is how far was looked, where that is not to the end of the time."""

    rows: list[Row]
    stopped: Place | None = None


def find(
    connection: sqlite3.Connection,
    wanted: Wanted,
    span: Span,
    *,
    beyond: Place | None = None,
    oldest_first: bool = False,
    limit: int = 50,
    examined_max: int = EXAMINED_MAX,
) -> Found:
    """Calls of a span that are as wanted, from `beyond` on."""
    found: list[Row] = []
    left = examined_max
    connection.execute("BEGIN")
    try:
        pieces = _pieces(connection, wanted, span)
        for piece in pieces if oldest_first else reversed(pieces):
            scan = _Scan(piece, beyond, oldest_first)
            edge = scan.edge(connection, left)
            found += scan.rows(connection, wanted, edge, limit - len(found))
            if len(found) >= limit:
                break
            if edge is not None:
                return Found(found, edge)
            left -= scan.count(connection)
    finally:
        connection.execute("COMMIT")
    return Found(found)


def arrived(connection: sqlite3.Connection, wanted: Wanted, after: int, until: int, limit: int = -1) -> list[Row]:
    """The calls as wanted among rows numbered above `after` and up to `until`, in that order; the last `limit` of them.

    Rows are numbered as calls end, whenever they began.
    """
    conditions, values = wanted.conditions()
    query = (
        f"SELECT rowid, {', '.join(_SHOWN)} FROM calls WHERE {' AND '.join(('rowid > ? AND rowid <= ?', *conditions))} "
        "ORDER BY rowid DESC LIMIT ?"
    )
    return [_row(row) for row in connection.execute(query, (after, until, *values, limit))][::-1]


def last_row(connection: sqlite3.Connection) -> int:
    """The number of the row that came last; 0 where there is none."""
    (row,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM calls").fetchone()
    return int(row)


def call_of(connection: sqlite3.Connection, call_id: str) -> Row | None:
    """One call with its trail; None where there is no such call."""
    query = f"SELECT rowid, {', '.join(COLUMNS)} FROM calls WHERE call_id = ?"
    row = connection.execute(query, (call_id,)).fetchone()
    return None if row is None else _row(row, COLUMNS)


class _Scan:
    """A walk over a piece of time, from `beyond` on where that lies within."""

    def __init__(self, piece: Span, beyond: Place | None, oldest_first: bool) -> None:
        self._terms, self._bounds = ["began_at_us >= ?", "began_at_us < ?"], [*piece]
        self._onward, self._backward = (">", "<=") if oldest_first else ("<", ">=")
        turn = "" if oldest_first else " DESC"
        self._order = f"ORDER BY began_at_us{turn}, rowid{turn}"
        if beyond is not None:
            self._terms.append(f"(began_at_us, rowid) {self._onward} (?, ?)")
            self._bounds += beyond

    def edge(self, connection: sqlite3.Connection, count: int) -> Place | None:
        """The last of so many calls; None where there are not so many. Reads the index alone."""
        query = f"SELECT began_at_us, rowid FROM calls WHERE {' AND '.join(self._terms)} {self._order} LIMIT 1 OFFSET ?"
        row = connection.execute(query, (*self._bounds, max(0, count - 1))).fetchone()
        return None if row is None else Place(*row)

    def count(self, connection: sqlite3.Connection) -> int:
        query = f"SELECT count(*) FROM calls WHERE {' AND '.join(self._terms)}"
        return int(connection.execute(query, self._bounds).fetchone()[0])

    def rows(self, connection: sqlite3.Connection, wanted: Wanted, edge: Place | None, limit: int) -> Iterator[Row]:
        conditions, values = wanted.conditions()
        terms, bounds = [*self._terms, *conditions], [*self._bounds, *values]
        if edge is not None:
            terms.append(f"(began_at_us, rowid) {self._backward} (?, ?)")
            bounds += edge
        query = f"SELECT rowid, {', '.join(_SHOWN)} FROM calls WHERE {' AND '.join(terms)} {self._order} LIMIT ?"
        yield from map(_row, connection.execute(query, (*bounds, limit)))


def _row(row: Sequence[Any], columns: Sequence[str] = _SHOWN) -> Row:
    fields = dict(zip(columns, row[1:], strict=True))
    fields["is_stream"] = bool(fields["is_stream"])
    return Row(Place(fields["began_at_us"], row[0]), Record(**fields))


def _pieces(connection: sqlite3.Connection, wanted: Wanted, span: Span) -> list[Span]:
    """The pieces of a span that may have such calls, the oldest first."""
    if not wanted.labels and wanted.error is None and wanted.user is None:
        return [span]
    (mark,) = connection.execute("SELECT rowid_summed FROM summed").fetchone()
    if last_row(connection) - mark > _UNSUMMED_MAX:
        return [span]
    first, last = connection.execute("SELECT min(hour_us), max(hour_us) FROM sums").fetchone()
    (day_us,) = connection.execute("SELECT min(day_us) FROM sums_of_users").fetchone()
    if first is None or (wanted.user is not None and day_us is None):
        return [span]
    from_us = max(span.from_us - span.from_us % HOUR_US, first)
    if wanted.user is not None:
        from_us = max(from_us, day_us)  # sums of users are kept by the day, and dropped so
    hours = _summed(connection, wanted, from_us, min(span.until_us, last + HOUR_US))
    hour = f"began_at_us - began_at_us % {HOUR_US}"
    for query, values in (
        (f"SELECT DISTINCT {hour} FROM calls WHERE rowid > ?", (mark,)),
        (f"SELECT DISTINCT {hour} FROM sums_changed", ()),
    ):
        hours |= {hour_us for (hour_us,) in connection.execute(query, values)}
    return _merged(hours, span, from_us)


def _summed(connection: sqlite3.Connection, wanted: Wanted, from_us: int, until_us: int) -> set[int]:
    """The hours that have such calls, as far as they are summed."""
    hours: set[int] | None = None
    tables = [("sums", dict(wanted.labels))] if wanted.labels else []
    tables += [("sums_of_errors", {"code": wanted.error})] if wanted.error is not None else []
    for table, labels in tables:
        terms = " AND ".join(("hour_us >= ?", "hour_us < ?", *(f"{name} = ?" for name in labels)))
        query = f"SELECT DISTINCT hour_us FROM {table} WHERE {terms}"
        having = {hour_us for (hour_us,) in connection.execute(query, (from_us, until_us, *labels.values()))}
        hours = having if hours is None else hours & having
    if wanted.user is None:
        return hours if hours is not None else set(range(from_us, until_us, HOUR_US))
    query, days = "SELECT 1 FROM sums_of_users WHERE day_us = ? AND user = ? LIMIT 1", set()
    for day_us in range(from_us - from_us % DAY_US, until_us, DAY_US):
        if connection.execute(query, (day_us, wanted.user)).fetchone() is not None:
            days.add(day_us)
    if hours is None:
        return {hour_us for day_us in days for hour_us in range(day_us, day_us + DAY_US, HOUR_US)}
    return {hour_us for hour_us in hours if hour_us - hour_us % DAY_US in days}


def _merged(hours: set[int], span: Span, summed_from_us: int) -> list[Span]:
    """Hours as pieces of a span, those that follow one another as one; what is older than the sums is a piece too."""
    older = Span(span.from_us, min(summed_from_us, span.until_us))
    pieces = [older] if older.from_us < older.until_us else []
    for hour_us in sorted(hours):
        piece = Span(max(hour_us, span.from_us, summed_from_us), min(hour_us + HOUR_US, span.until_us))
        if piece.from_us >= piece.until_us:
            continue
        if pieces and pieces[-1].until_us == piece.from_us:
            pieces[-1] = Span(pieces[-1].from_us, piece.until_us)
        else:
            pieces.append(piece)
    return pieces
