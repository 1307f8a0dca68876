"""From journal lines to rows: the one way into the `calls` table, for live journals and dead ones alike.

Folding is idempotent. A call has one row; the first record wins, except that a real record replaces the row of a call
that was given up for killed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Iterable, Sequence
from operator import attrgetter
from pathlib import Path

from ..record import Intent, Record
from .journal import Batch, Segment, orphans, read_lines, record_line, storable
from .schema import writing

#: The columns of `calls`, in order: every field of a record but the trail, which has its own table.
COLUMNS: tuple[str, ...] = tuple(name for name in Record.__struct_fields__ if name != "trail")

#: How much of a segment one transaction takes.
BLOCK_BYTES = 1 << 20

#: Lines that no version could read are kept here for whoever wants to know what they were.
UNREADABLE = "unreadable.jsonl"

_TOGETHER = 32
_EMPTY_TRAIL = b"[]"
_row = attrgetter(*COLUMNS)
_REJECTED = (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError, UnicodeError)


def _insert(rows: int) -> str:
    names = ", ".join(COLUMNS)
    marks = ", ".join(["(" + ", ".join("?" * len(COLUMNS)) + ")"] * rows)
    updates = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "call_id")
    return (
        f"INSERT INTO calls ({names}) VALUES {marks} ON CONFLICT (call_id) DO UPDATE SET {updates} "
        "WHERE calls.ending = 'killed' AND excluded.ending <> 'killed'"
    )


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
    rows = map(_row, records)
    for _ in range(0, whole, _TOGETHER):
        connection.execute(_INSERT_MANY, list(itertools.chain.from_iterable(itertools.islice(rows, _TOGETHER))))
    for row in rows:
        connection.execute(_INSERT_ONE, row)
    trails = [(record.call_id, record.trail) for record in records if record.trail != _EMPTY_TRAIL]
    if trails:
        connection.executemany("INSERT OR IGNORE INTO trails (call_id, facts) VALUES (?, ?)", trails)


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


def fold_segment(connection: sqlite3.Connection, segment: Segment, opened: dict[str, bytes]) -> None:
    """Fold what is new in a segment; `opened` keeps the intents whose calls have not ended. Raises sqlite3.Error."""
    while block := segment.read(BLOCK_BYTES):
        batch = read_lines(block)
        spoiled = batch.unreadable + [record_line(record)[:-1] for record in fold(connection, batch.records)]
        if spoiled:
            keep_unreadable(segment.path.parent, spoiled)
        _note_opened(batch, opened)
        segment.folded += len(block)


def note_opened(block: bytes, opened: dict[str, bytes]) -> None:
    """Add to `opened` the lines of the intents in a block, and take out those whose calls end in it."""
    _note_opened(read_lines(block), opened)


def _note_opened(batch: Batch, opened: dict[str, bytes]) -> None:
    opened.update((call_id, line) for call_id, (_, line) in batch.opened.items())
    for record in batch.records:
        opened.pop(record.call_id, None)


def adopt(connection: sqlite3.Connection, folder: Path) -> int:
    """Fold the segments of dead processes and delete them; how many calls they left unfinished.

    Safe at any time, from any number of processes, again and again. Raises sqlite3.Error, StoreFailed.
    """
    unfinished = 0
    for segment in orphans(folder):
        try:
            opened: dict[str, bytes] = {}
            fold_segment(connection, segment, opened)
            intents = [intent for intent, _ in read_lines(b"".join(opened.values())).opened.values()]
            fold(connection, [killed(intent) for intent in intents])
            unfinished += len(intents)
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
    """Delete at most `rows` calls that began before `before_us`, with their trails; how many it were."""
    oldest = "SELECT call_id FROM calls WHERE began_at_us < ? ORDER BY began_at_us LIMIT ?"
    with writing(connection):
        calls = [call_id for (call_id,) in connection.execute(oldest, (before_us, rows))]
        connection.executemany("DELETE FROM trails WHERE call_id = ?", [(call_id,) for call_id in calls])
        connection.executemany("DELETE FROM calls WHERE call_id = ?", [(call_id,) for call_id in calls])
    return len(calls)
