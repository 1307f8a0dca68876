"""From journal lines to rows: the one way into the `calls` table, for live journals and dead ones alike.

Folding is idempotent. A call has one row; the first record wins, except that a real record replaces the row of a call
that was given up for killed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from ..record import Intent, Record
from .journal import Batch, Segment, orphans, read_intent, read_lines, record_line, storable
from .schema import writing

#: The columns of `calls`, in order: the fields of a record.
COLUMNS: tuple[str, ...] = Record.__struct_fields__

#: Is told of records that have become rows.
Told = Callable[[Sequence[Record]], object]

#: How much of a segment is read back at a time, and folded in one transaction.
BLOCK_BYTES = 1 << 20

#: Lines that no version could read are kept here for whoever wants to know what they were.
UNREADABLE = "unreadable.jsonl"

_log = logging.getLogger("penstock.ledger")

_TOGETHER = 32
_NAN = float("nan")
_IS_STREAM = COLUMNS.index("is_stream")
_TRAIL = COLUMNS.index("trail")
_REJECTED = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, UnicodeError)


def _insert(rows: int) -> str:
    names = ", ".join(COLUMNS)
    marks = ", ".join(["(" + ", ".join("?" * len(COLUMNS)) + ")"] * rows)
    updates = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "call_id")
    return (
        f"INSERT INTO calls ({names}) VALUES {marks} ON CONFLICT (call_id) DO UPDATE SET {updates} "
        "WHERE calls.ending = 'killed' AND excluded.ending <> 'killed'"
    )


_BILL = """UPDATE calls SET cost_nano = ?2, cost_basis = 'exact', input_tokens = ?3, cache_read_tokens = ?4,
    cache_write_5m_tokens = ?5, cache_write_1h_tokens = ?6, output_tokens = ?7, web_searches = ?8
    WHERE batch_id = ?1 AND cost_basis = 'deferred'"""
_INSERT_ONE = _insert(1)
_INSERT_MANY = _insert(_TOGETHER)


def killed(intent: Intent) -> Record:
    """The record of a call whose process died before it ended. It may have cost something: we cannot know."""
    fields = {name: getattr(intent, name) for name in Intent.__struct_fields__ if name != "attempt"}
    return Record(**fields, ending="killed", attempts=intent.attempt, cost_basis="unknown", cost_nano=None)


def insert(connection: sqlite3.Connection, records: Sequence[Record]) -> None:
    """Insert records, inside the caller's transaction.

    Many rows go in one statement: SQLite runs it without the interpreter's lock, so that an event loop beside
    us waits once for a batch and not once for each row.
    """
    whole = len(records) - len(records) % _TOGETHER
    for first in range(0, whole, _TOGETHER):
        connection.execute(_INSERT_MANY, _values(records[first : first + _TOGETHER]))
    for record in records[whole:]:
        connection.execute(_INSERT_ONE, _values([record]))


def _values(records: Sequence[Record]) -> list[Any]:
    """The rows of records, one after the other, in types that `sqlite3` takes as they are.

    For each None, bool and bytes it first looks for an adapter, at some 200 ns. SQLite makes NULL of a NaN.
    """
    values: list[Any] = [_NAN if value is None else value for record in records for value in astuple(record)]
    values[_IS_STREAM :: len(COLUMNS)] = map(int, values[_IS_STREAM :: len(COLUMNS)])
    values[_TRAIL :: len(COLUMNS)] = map(bytearray, values[_TRAIL :: len(COLUMNS)])
    return values


def fold(connection: sqlite3.Connection, records: Sequence[Record]) -> list[Record]:
    """Insert records in one transaction and return those SQLite will not take. Raises sqlite3.Error."""
    if not records:
        return []
    try:
        with writing(connection):
            insert(connection, records)
    except _REJECTED:
        return _fold_singly(connection, records)
    return []


def _fold_singly(connection: sqlite3.Connection, records: Iterable[Record]) -> list[Record]:
    """One bad record must not hold back the others of its batch."""
    rejected = []
    for record in records:
        try:
            with writing(connection):
                insert(connection, [storable(record)])
        except _REJECTED:
            rejected.append(record)
    return rejected


def fold_segment(
    connection: sqlite3.Connection,
    segment: Segment,
    taken: tuple[int, Batch | None],
    opened: dict[str, bytes],
    told: Told,
) -> None:
    """Fold what was taken of a segment, from its file where the entries are not at hand.

    `opened` keeps the intents whose calls have not ended; `told` gets the records. Raises sqlite3.Error.
    """
    end, fresh = taken
    if fresh is not None:
        _fold_batch(connection, segment, fresh, opened)
        told(fresh.records)
    else:
        while block := segment.read(BLOCK_BYTES, end):
            batch = read_lines(block)
            _fold_batch(connection, segment, batch, opened)
            segment.folded += len(block)
            told(batch.records)
    segment.folded = end


def _fold_batch(connection: sqlite3.Connection, segment: Segment, batch: Batch, opened: dict[str, bytes]) -> None:
    spoiled = batch.unreadable + [record_line(record)[:-1] for record in fold(connection, batch.records)]
    if spoiled:
        keep_unreadable(segment.path.parent, spoiled)
    if batch.bills:  # after the records, which may be those of the calls they are for
        with writing(connection):
            connection.executemany(_BILL, map(astuple, batch.bills))
    note_opened(batch, opened)


def note_opened(batch: Batch, opened: dict[str, bytes]) -> None:
    """Add to `opened` the lines of the intents in a batch, and take out those whose calls end in it."""
    opened.update(batch.opened)
    for record in batch.records:
        opened.pop(record.call_id, None)


def nobody(records: Sequence[Record]) -> None:
    """Whoever is not to be told of records."""


def adopt(connection: sqlite3.Connection, folder: Path, told: Told = nobody) -> int:
    """Fold the segments of dead processes and delete them; how many calls they left unfinished.

    Safe at any time, from any number of processes, again and again. Raises sqlite3.Error, StoreFailed.
    """
    unfinished = 0
    for segment in orphans(folder):
        try:
            opened: dict[str, bytes] = {}
            fold_segment(connection, segment, segment.take(), opened, told)
            unended = [killed(read_intent(line)) for line in opened.values()]
            fold(connection, unended)
            told(unended)
            unfinished += len(opened)
            segment.delete()
        finally:
            segment.close()
    return unfinished


def keep_unreadable(folder: Path, lines: Sequence[bytes]) -> None:
    """Set lines aside. Failing to is not worth failing for: they were of no use to us."""
    with contextlib.suppress(OSError):
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        fd = os.open(folder / UNREADABLE, flags, 0o600)
        try:
            os.write(fd, b"".join(line + b"\n" for line in lines))
        finally:
            os.close(fd)


def trim(connection: sqlite3.Connection, before_us: int, rows: int) -> int:
    """Delete at most `rows` calls that began before `before_us`; how many it were.

    Never the row that came last: numbers of rows would be given again, and sums go by them.
    """
    last = "SELECT max(rowid) FROM calls"
    oldest = f"SELECT rowid FROM calls WHERE began_at_us < ? AND rowid <> ({last}) ORDER BY began_at_us LIMIT ?"
    with writing(connection):
        return connection.execute(f"DELETE FROM calls WHERE rowid IN ({oldest})", (before_us, rows)).rowcount


def tell(watchers: Sequence[Told], records: Sequence[Record]) -> None:
    """Let each that watches know of records that have become rows."""
    for watcher in watchers if records else ():
        try:
            watcher(records)
        except Exception:  # noqa: BLE001  (the rows are there; whoever watches is no reason to stop)
            _log.exception("records could not be told to whoever watches the ledger")
