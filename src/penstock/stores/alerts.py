"""Alerts that fire and that fired, and the messages about them, in the ledger's database.

One row for each time an alert fires, which makes one of what several processes see at once; one for each message and
each who is to have it, which outlives the process that made it. Blocks; every method raises StoreFailed. Times are Unix
microseconds.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from . import audit
from .schema import connect, database, failing, writing

T = TypeVar("T", bound=msgspec.Struct)

#: How long a process that delivers a message has it for itself.
LEASE_US = 120_000_000
#: How long an alert is kept after it cleared.
KEPT_US = 90 * 86_400_000_000


class Firing(msgspec.Struct, frozen=True):
    """What is known of an alert that fires: the highest level it had, since when it fires, and when it was last told.

    `below_since_us` is since when it has been below its clearing value, `hold_us` how long it must be to clear.
    """

    identity: str
    level: int
    severity: str
    hold_us: int
    since_us: int
    told_us: int
    below_since_us: int | None = None
    is_acked: bool = False
    said: str = ""
    fix: str = ""


class Message(msgspec.Struct, frozen=True):
    """What one sink, by its reference, is to be told, and from when on it may be."""

    sink: str
    title: str
    body: str
    due_us: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of one alert. `event`: fired | worsened | reminded | cleared; None for `below_since_us` alone."""

    identity: str
    event: str | None
    kind: str = ""
    level: int = 0
    severity: str = ""
    said: str = ""
    fix: str = ""
    hold_us: int = 0
    below_since_us: int | None = None
    messages: tuple[Message, ...] = ()


class Delivery(msgspec.Struct, frozen=True):
    """A message to one sink, and what became of it. `tries` counts this one too while it is under way.

    Neither delivered nor given up while `ended_at_us` is None.
    """

    id: int
    alert_id: int
    event: str
    sink: str
    severity: str
    title: str
    body: str
    made_at_us: int
    due_us: int
    tries: int
    error: str | None
    ended_at_us: int | None
    is_delivered: bool


class Alert(msgspec.Struct, frozen=True):
    """One time that an alert fired. It still does where `cleared_at_us` is None."""

    id: int
    identity: str
    kind: str
    severity: str
    said: str
    fix: str
    since_us: int
    acked_at_us: int | None
    cleared_at_us: int | None
    deliveries: tuple[Delivery, ...] = ()


_ALERT = "id, identity, kind, severity, said, fix, since_us, acked_at_us, cleared_at_us"
_FIRING = (
    "identity, level, severity, hold_us, since_us, told_us, below_since_us, acked_at_us IS NOT NULL, said, fix "
    "FROM alerts WHERE cleared_at_us IS NULL"
)
_DELIVERY = ", ".join(Delivery.__struct_fields__)
#: Of each alert, a sink hears in order.
_NEXT = f"""SELECT {_DELIVERY} FROM deliveries AS one WHERE ended_at_us IS NULL AND due_us <= ?1 AND NOT EXISTS (
    SELECT 1 FROM deliveries AS earlier WHERE earlier.alert_id = one.alert_id AND earlier.sink = one.sink
    AND earlier.id < one.id AND earlier.ended_at_us IS NULL) ORDER BY id LIMIT 1"""


_DRIFT = "drift_percent_millionths:"


class AlertStore:
    """The alerts of a data folder. May be used from any thread."""

    def __init__(self, data: Path) -> None:
        self._place = database(data)
        self._connection = connect(data)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def round(self, at_us: int, decide: Callable[[Mapping[str, Firing]], Sequence[Change]]) -> list[Change]:
        """Write what a round of measuring, taken at `at_us`, changes; what was written is returned.

        `decide` is asked once to see whether anything changes, and then again while no other process can write.
        """
        with self._lock, failing(self._place):
            if not decide(_firing(self._connection)):
                return []
            with writing(self._connection):
                known = _firing(self._connection)
                fresh = [one for one in decide(known) if self._is_news(one, known.get(one.identity), at_us)]
                for change in fresh:
                    self._write(change, at_us)
                self._connection.execute("DELETE FROM alerts WHERE cleared_at_us < ?", (at_us - KEPT_US,))
                self._connection.execute("DELETE FROM deliveries WHERE alert_id NOT IN (SELECT id FROM alerts)")
        return fresh

    def _is_news(self, change: Change, known: Firing | None, at_us: int) -> bool:
        """Whether it was measured after what others have written of the alert."""
        if known is not None:
            return at_us > known.told_us
        row = self._connection.execute(
            "SELECT max(cleared_at_us) FROM alerts WHERE identity = ?", (change.identity,)
        ).fetchone()
        return row[0] is None or at_us > row[0]

    def _write(self, change: Change, at_us: int) -> None:
        run, where = self._connection.execute, "WHERE identity = ? AND cleared_at_us IS NULL"
        if change.event == "fired":
            run(
                "INSERT INTO alerts (kind, level, severity, said, fix, identity, hold_us, since_us, told_us) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*_words(change), change.hold_us, at_us, at_us),
            )
        elif change.event in ("worsened", "reminded"):
            run(
                "UPDATE alerts SET kind = ?1, level = ?2, severity = ?3, said = ?4, fix = ?5, told_us = ?7, "
                "below_since_us = NULL WHERE identity = ?6 AND cleared_at_us IS NULL",
                (*_words(change), at_us),
            )
        else:
            run(f"UPDATE alerts SET below_since_us = ? {where}", (change.below_since_us, change.identity))
        (alert_id,) = run(f"SELECT id FROM alerts {where}", (change.identity,)).fetchone()
        if change.event == "cleared":
            run("UPDATE alerts SET cleared_at_us = ? WHERE id = ?", (at_us, alert_id))
        about = (alert_id, change.event)
        for message in change.messages:
            run(
                "UPDATE deliveries SET due_us = min(due_us, ?) "
                "WHERE alert_id = ? AND sink = ? AND ended_at_us IS NULL AND tries = 0",
                (message.due_us, alert_id, message.sink),
            )
            run(
                "INSERT INTO deliveries (alert_id, event, sink, severity, title, body, made_at_us, due_us) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*about, message.sink, change.severity, message.title, message.body, at_us, message.due_us),
            )

    def take(self, now_us: int) -> Delivery | None:
        """A message that is due, for this process alone until its lease is over; None where there is none."""
        with self._lock, failing(self._place):
            if self._connection.execute(_NEXT, (now_us,)).fetchone() is None:
                return None
            with writing(self._connection):
                row = self._connection.execute(_NEXT, (now_us,)).fetchone()
                if row is not None:
                    self._connection.execute(
                        "UPDATE deliveries SET tries = tries + 1, due_us = ? WHERE id = ?", (now_us + LEASE_US, row[0])
                    )
        if row is None:
            return None
        taken = _made(Delivery, row)
        return replace(taken, tries=taken.tries + 1)

    def settle(self, delivery_id: int, now_us: int, *, error: str | None, due_us: int | None = None) -> None:
        """How a try ended: well, where there is no error; tried again at `due_us`; or else given up."""
        is_over = error is None or due_us is None
        with self._lock, failing(self._place), writing(self._connection):
            self._connection.execute(
                "UPDATE deliveries SET error = ?, due_us = coalesce(?, due_us), ended_at_us = ?, is_delivered = ? "
                "WHERE id = ?",
                (error, due_us, now_us if is_over else None, int(error is None), delivery_id),
            )

    def history(self, *, firing_only: bool = False, limit: int = 1000) -> list[Alert]:
        """Alerts with their deliveries: those that fire first, then the newest."""
        where = "WHERE cleared_at_us IS NULL" if firing_only else ""
        with self._lock, failing(self._place):
            rows = self._connection.execute(
                f"SELECT {_ALERT} FROM alerts {where} ORDER BY cleared_at_us IS NOT NULL, id DESC LIMIT ?", (limit,)
            ).fetchall()
            return [replace(_made(Alert, row), deliveries=self._deliveries(row[0])) for row in rows]

    def _deliveries(self, alert_id: int) -> tuple[Delivery, ...]:
        query = f"SELECT {_DELIVERY} FROM deliveries WHERE alert_id = ? ORDER BY id"
        return tuple([_made(Delivery, row) for row in self._connection.execute(query, (alert_id,))])

    def ack(self, alert_id: int, now_us: int, who: str) -> Alert | None:
        """Note that somebody knows of an alert that fires, which ends its reminders; None where none has this id.

        The first time it is noted in the audit log too, as done by `who`.
        """
        with self._lock, failing(self._place), writing(self._connection):
            changed = self._connection.execute(
                "UPDATE alerts SET acked_at_us = ? WHERE id = ? AND acked_at_us IS NULL AND cleared_at_us IS NULL",
                (now_us, alert_id),
            ).rowcount
            row = self._connection.execute(f"SELECT {_ALERT} FROM alerts WHERE id = ?", (alert_id,)).fetchone()
            found = None if row is None else _made(Alert, row)
            if changed and found is not None:
                audit.note(
                    self._connection,
                    at_us=now_us,
                    who=who,
                    action="alert.acknowledge",
                    subject=found.identity,
                    before={"acked_at_us": None},
                    after={"acked_at_us": now_us},
                )
        return found

    def note_drift(self, upstream: str, percent: float) -> None:
        """By how much of an upstream's invoice the ledger was found to differ, for the next round of alerts."""
        with self._lock, failing(self._place), writing(self._connection):
            self._connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_DRIFT + upstream, min(round(percent * 1e6), 1 << 62))
            )

    def drifts(self) -> list[tuple[str, float]]:
        """What was noted last of each upstream, in percent."""
        with self._lock, failing(self._place):
            rows = self._connection.execute("SELECT name, value FROM meta WHERE name GLOB ?", (f"{_DRIFT}*",))
            return [(name.removeprefix(_DRIFT), value / 1e6) for name, value in rows]

    def seen(self, keys: Iterable[tuple[str, bytes]], now_us: int) -> dict[str, int]:
        """Since when each of the upstreams' keys, a reference and a digest, is known to be what it is."""
        with self._lock, failing(self._place):
            query = "SELECT reference, digest, since_us FROM upstream_keys"
            known = {row[0]: (row[1], row[2]) for row in self._connection.execute(query)}
            given = dict(keys)
            changed = [(name, digest) for name, digest in given.items() if known.get(name, (b"", 0))[0] != digest]
            if changed:
                with writing(self._connection):
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO upstream_keys VALUES (?, ?, ?)",
                        [(name, digest, now_us) for name, digest in changed],
                    )
        fresh = {name for name, _ in changed}
        return {name: now_us if name in fresh else known[name][1] for name in given}


def _firing(connection: sqlite3.Connection) -> dict[str, Firing]:
    return {row[0]: _made(Firing, row) for row in connection.execute(f"SELECT {_FIRING}").fetchall()}


def _words(change: Change) -> tuple[Any, ...]:
    return change.kind, change.level, change.severity, change.said, change.fix, change.identity


def _made(kind: type[T], row: Sequence[Any]) -> T:
    """A struct of a row whose columns are its first fields; SQLite's 0 and 1 are the bool among them."""
    return msgspec.convert(dict(zip(kind.__struct_fields__, row, strict=False)), kind, strict=False)
