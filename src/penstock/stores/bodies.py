"""Kept requests and answers, in a database of their own: scrubbed, packed, and gone after their days.

A thread does all of that, beside the calls. What comes faster than it can write is not kept: a sample is no record.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from ..errors import StoreFailed
from ..ports import Clock, Exchange
from .schema import connect, failing, writing

#: What waits for the thread; more is not kept.
WAITING_BYTES_MAX = 16 << 20
#: How often those past their days are looked for.
TRIM_S = 60.0

_DAY_US = 86_400_000_000
_TRIM_ROWS = 200

_log = logging.getLogger("penstock.bodies")

#: A body as it may be kept, as text.
Scrub = Callable[..., str]


def _m001_bodies(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE bodies (
            call_id TEXT PRIMARY KEY NOT NULL,
            began_at_us INTEGER NOT NULL,
            request BLOB NOT NULL,
            answer BLOB NOT NULL
        )"""
    )
    connection.execute("CREATE INDEX bodies_by_time ON bodies (began_at_us)")


class Bodies(msgspec.Struct, frozen=True):
    """The request and the answer of one call, as they were kept."""

    request: str
    answer: str


class BodyStore:
    """The port of kept bodies. `dropped` counts what was not kept because too much waited."""

    def __init__(self, data: Path, clock: Clock, scrub: Scrub, *, keep_days: int, bytes_max: int) -> None:
        self._data, self._clock, self._scrub = data, clock, scrub
        self._keep_us, self._bytes_max = keep_days * _DAY_US, bytes_max
        self.dropped = 0
        self._begin()
        os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self._waiting: deque[Exchange] = deque()
        self._bytes = 0
        self._wake, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._thread: threading.Thread | None = None
        self._trimmed_at: float | None = None

    def keep(self, exchange: Exchange) -> None:
        size = len(exchange.request) + len(exchange.answer)
        if self._bytes + size > WAITING_BYTES_MAX:
            self.dropped += 1
            return
        self._bytes += size
        self._waiting.append(exchange)
        self._idle.clear()
        self.start()
        self._wake.set()

    def start(self) -> None:
        """Begin to look for what is past its days. Not needed: the first that is kept does the same."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="penstock-bodies", daemon=True)
            self._thread.start()

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that came so far is kept; False where that takes longer."""
        return self._idle.wait(timeout_s)

    def _write(self) -> None:
        connection: sqlite3.Connection | None = None
        while True:
            self._wake.wait(TRIM_S)
            self._wake.clear()
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                if connection is None and (taken or place(self._data).exists()):
                    connection = opened(self._data)
                if connection is None:
                    continue
                self._put(connection, taken)
                self._trim(connection)
            except (sqlite3.Error, StoreFailed) as error:
                _log.warning("%d bodies could not be kept: %s", len(taken), error)
            self._bytes -= sum(len(one.request) + len(one.answer) for one in taken)
            if not self._waiting:
                self._idle.set()

    def _put(self, connection: sqlite3.Connection, taken: list[Exchange]) -> None:
        rows = [
            (
                one.call_id,
                one.began_at_us,
                zlib.compress(self._scrub(one.request).encode()),
                zlib.compress(self._scrub(one.answer, is_stream=one.is_stream).encode()),
            )
            for one in taken
        ]
        if not rows:
            return
        with writing(connection):
            connection.executemany("INSERT OR REPLACE INTO bodies VALUES (?, ?, ?, ?)", rows)

    def _trim(self, connection: sqlite3.Connection) -> None:
        now = self._clock.now()
        if self._trimmed_at is not None and now < self._trimmed_at + TRIM_S:
            return
        self._trimmed_at = now
        trim(connection, self._clock.wall_us() - self._keep_us, self._bytes_max)


def place(data: Path) -> Path:
    """The database of the bodies of a data folder."""
    return data / "bodies.db"


def opened(data: Path) -> sqlite3.Connection:
    """That database, made where there is none. Raises StoreFailed."""
    return connect(data, place=place(data), migrations=(_m001_bodies,))


def trim(connection: sqlite3.Connection, before_us: int, bytes_max: int) -> None:
    """Drop what began before, and then the oldest until all fit. Raises sqlite3.Error."""
    with writing(connection):
        connection.execute("DELETE FROM bodies WHERE began_at_us < ?", (before_us,))
    while _used(connection) > bytes_max:
        with writing(connection):
            oldest = "SELECT call_id FROM bodies ORDER BY began_at_us LIMIT ?"
            if not connection.execute(f"DELETE FROM bodies WHERE call_id IN ({oldest})", (_TRIM_ROWS,)).rowcount:
                return


def find(data: Path, call_id: str) -> Bodies | None:
    """What was kept of one call; None where nothing was. Blocks. Raises StoreFailed."""
    if not place(data).exists():
        return None
    connection = opened(data)
    try:
        with failing(place(data)):
            row = connection.execute("SELECT request, answer FROM bodies WHERE call_id = ?", (call_id,)).fetchone()
    finally:
        connection.close()
    return None if row is None else Bodies(*(zlib.decompress(packed).decode() for packed in row))


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of the database's pages that are in use."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
