"""What the processes of one host share between calls, in SQLite: counts per minute, open circuits, kept answers, money.

Statements are short and wait for other processes no longer than `BUSY_MS`, for they run on the path of calls, on event
loops too. What cannot be had in that time is a StoreFailed, and the layer that asked knows what to do without.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from msgspec.structs import replace

from ..ports import Circuit, Claim, Clock, StoredAnswer
from .memory import Places
from .owners import Owner
from .schema import connect, counters, failing, writing
from .window import SLOT_US, SLOTS, Window

BUSY_MS = 50
#: How old what is known of circuits may be.
CIRCUITS_S = 0.25
#: All kept answers together; the oldest go first.
ANSWERS_BYTES_MAX = 256 << 20

_WINDOW = msgspec.msgpack.Decoder(Window)
_ANSWER = msgspec.msgpack.Decoder(StoredAnswer)
_ENCODER = msgspec.msgpack.Encoder()
_PRUNED_ROWS = 50
_PRUNE_US = 10_000_000


_TABLES = (
    """CREATE TABLE quotas (
        name TEXT PRIMARY KEY NOT NULL,
        taken BLOB NOT NULL,
        until_us INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE circuits (
        name TEXT PRIMARY KEY NOT NULL,
        until_us INTEGER NOT NULL,
        opens INTEGER NOT NULL,
        probed_until_us INTEGER NOT NULL
    ) WITHOUT ROWID""",
    # `answer` is NULL while `owner` is at work on it, who has the place until `until_us`.
    """CREATE TABLE answers (
        name TEXT PRIMARY KEY NOT NULL,
        digest BLOB NOT NULL,
        owner TEXT NOT NULL,
        until_us INTEGER NOT NULL,
        answer BLOB
    )""",
    "CREATE INDEX answers_by_time ON answers (until_us)",
)


_MONEY = (
    """CREATE TABLE accounts (
        name TEXT PRIMARY KEY NOT NULL,
        spent_nano INTEGER NOT NULL,
        held_nano INTEGER NOT NULL,
        until_us INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE holds (
        call_id TEXT PRIMARY KEY NOT NULL,
        owner TEXT NOT NULL,
        until_us INTEGER NOT NULL,
        nano INTEGER NOT NULL,
        accounts BLOB NOT NULL
    ) WITHOUT ROWID""",
    # What the calls that made batches were settled with, until those are billed.
    """CREATE TABLE batches (
        batch_id TEXT PRIMARY KEY NOT NULL,
        nano INTEGER NOT NULL,
        accounts BLOB NOT NULL
    ) WITHOUT ROWID""",
    # The budgets whose accounts are counted since some time, Unix microseconds.
    "CREATE TABLE budgets (identity TEXT PRIMARY KEY NOT NULL, since_us INTEGER NOT NULL) WITHOUT ROWID",
)


def _first(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)


def _second(connection: sqlite3.Connection) -> None:
    for statement in _MONEY:
        connection.execute(statement)


class SharedDatabase:
    """One connection of this process to the counters of a data folder, for all stores that are in them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.owner = Owner(data)
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection | None] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forgetter(weakref.ref(self)))

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, failing(counters(self._data)):
            yield self._opened()

    @contextmanager
    def changing(self, busy_ms: int = BUSY_MS) -> Iterator[sqlite3.Connection]:
        """One write transaction: all of it or nothing. `busy_ms`: how long to wait for that of another process."""
        with self._lock, failing(counters(self._data)):
            connection = self._opened()
            if busy_ms != BUSY_MS:
                connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
            try:
                with writing(connection):
                    yield connection
            finally:
                if busy_ms != BUSY_MS:
                    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def forget_parent(self) -> None:
        """In a forked child: keep the inherited connection unused, for closing it would drop the parent's locks."""
        self._inherited.append(self._connection)
        self._connection = None
        self.owner.let_go()
        self._lock = threading.RLock()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._data, place=counters(self._data), migrations=(_first, _second))
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._connection.execute("PRAGMA synchronous = OFF")  # a killed process loses nothing, a power cut little
        return self._connection


def _forgetter(held: weakref.ref[SharedDatabase]) -> Callable[[], None]:
    def forget() -> None:
        inherited = held()
        if inherited is not None:
            inherited.forget_parent()

    return forget


class SqliteQuotas(Places):
    """Counts per minute. Places are this process's own."""

    def __init__(self, shared: SharedDatabase, clock: Clock) -> None:
        super().__init__()
        self._shared, self._clock = shared, clock
        self._pruned_us = 0

    async def take(self, name: str, per_minute: int, amount: int = 1) -> float:
        now_us = self._clock.wall_us()
        with self._shared.changing() as connection:
            row = connection.execute("SELECT taken FROM quotas WHERE name = ?", (name,)).fetchone()
            window = _WINDOW.decode(row[0]) if row is not None else Window()
            wait_s = window.take(now_us, per_minute, amount)
            if wait_s == 0.0:
                until_us = now_us + (SLOTS + 1) * SLOT_US
                connection.execute(
                    "INSERT INTO quotas VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET taken = ?2, until_us = ?3",
                    (name, _ENCODER.encode(window), until_us),
                )
            if now_us - self._pruned_us > _PRUNE_US:
                self._pruned_us = now_us
                connection.execute(
                    "DELETE FROM quotas WHERE name IN (SELECT name FROM quotas WHERE until_us < ? LIMIT ?)",
                    (now_us, _PRUNED_ROWS),
                )
        return wait_s


class SqliteCircuits:
    """Open circuits. What is known of them is read anew a few times a second, and at once where this process acts."""

    def __init__(self, shared: SharedDatabase, clock: Clock) -> None:
        self._shared, self._clock = shared, clock
        self._known: dict[str, Circuit] = {}
        self._read_at = -1e9

    async def find(self, name: str) -> Circuit | None:
        now = self._clock.now()
        if now - self._read_at > CIRCUITS_S:
            with self._shared.reading() as connection:
                rows = connection.execute("SELECT name, until_us, opens, probed_until_us FROM circuits").fetchall()
            self._known = {row[0]: Circuit(*row[1:]) for row in rows}
            self._read_at = now
        return self._known.get(name)

    async def all(self) -> Mapping[str, Circuit]:
        await self.find("")
        return dict(self._known)

    async def open(self, name: str, circuit: Circuit) -> None:
        with self._shared.changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO circuits VALUES (?, ?, ?, ?)",
                (name, circuit.until_us, circuit.opens, circuit.probed_until_us),
            )
        self._known[name] = circuit

    async def probe(self, name: str, now_us: int, until_us: int) -> bool:
        with self._shared.changing() as connection:
            taken = connection.execute(
                "UPDATE circuits SET probed_until_us = ? WHERE name = ? AND until_us <= ? AND probed_until_us <= ?",
                (until_us, name, now_us, now_us),
            ).rowcount
        known = self._known.get(name)
        if taken and known is not None:
            self._known[name] = replace(known, probed_until_us=until_us)
        return bool(taken)

    async def close(self, name: str) -> None:
        with self._shared.changing() as connection:
            connection.execute("DELETE FROM circuits WHERE name = ?", (name,))
        self._known.pop(name, None)


class SqliteAnswers:
    """Kept answers, and the places of those under way."""

    def __init__(self, shared: SharedDatabase, bytes_max: int = ANSWERS_BYTES_MAX) -> None:
        self._shared, self._bytes_max = shared, bytes_max
        self._pruned_us = 0

    async def claim(self, name: str, digest: bytes, owner: str, now_us: int, lease_until_us: int) -> Claim:
        with self._shared.changing() as connection:
            row = connection.execute(
                "SELECT digest, answer FROM answers WHERE name = ? AND until_us > ?", (name, now_us)
            ).fetchone()
            if row is None:
                connection.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, NULL)", (name, digest, owner, lease_until_us)
                )
                return Claim(digest, is_mine=True)
        return Claim(row[0], answer=None if row[1] is None else _ANSWER.decode(row[1]))

    async def put(self, name: str, owner: str, answer: StoredAnswer, until_us: int) -> None:
        with self._shared.changing() as connection:
            filled = connection.execute(
                "UPDATE answers SET answer = ?, until_us = ? WHERE name = ? AND owner = ? AND answer IS NULL",
                (_ENCODER.encode(answer), until_us, name, owner),
            ).rowcount
            if filled:
                self._prune(connection, answer.made_at_us)

    async def keep(self, name: str, answer: StoredAnswer, until_us: int) -> None:
        with self._shared.changing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                (name, b"", answer.call_id, until_us, _ENCODER.encode(answer)),
            )
            self._prune(connection, answer.made_at_us)

    async def release(self, name: str, owner: str) -> None:
        with self._shared.changing() as connection:
            connection.execute("DELETE FROM answers WHERE name = ? AND owner = ? AND answer IS NULL", (name, owner))

    async def find(self, name: str, now_us: int) -> StoredAnswer | None:
        with self._shared.reading() as connection:
            row = connection.execute(
                "SELECT answer FROM answers WHERE name = ? AND until_us > ? AND answer IS NOT NULL", (name, now_us)
            ).fetchone()
        return None if row is None else _ANSWER.decode(row[0])

    def _prune(self, connection: sqlite3.Connection, now_us: int) -> None:
        """Now and then, some of what has run out, and the oldest where there is too much of them."""
        if now_us - self._pruned_us < _PRUNE_US:
            return
        self._pruned_us = now_us
        connection.execute(
            "DELETE FROM answers WHERE name IN (SELECT name FROM answers WHERE until_us < ? LIMIT ?)",
            (now_us, _PRUNED_ROWS),
        )
        kept = "SELECT coalesce(sum(length(answer)), 0) FROM answers"
        while connection.execute(kept).fetchone()[0] > self._bytes_max:
            connection.execute(
                "DELETE FROM answers WHERE name = "
                "(SELECT name FROM answers WHERE answer IS NOT NULL ORDER BY rowid LIMIT 1)"
            )
