"""The audit log: who changed what, and from what to what. Append-only, in the ledger's database.

Whoever changes something for an administrator notes it in the transaction of the change itself, so that neither is
there without the other:

    with writing(connection):
        connection.execute("UPDATE keys SET …")
        audit.note(connection, at_us=…, who=audit.operator(), action="key.revoke", subject=key.id, after={…})

Where the change is elsewhere, such as a config read again, `record` makes a transaction of its own. Actions are a noun
and a verb: key.create, key.revoke, key.rotate, upstream_key.rotate, budgets.rebuild, config.reload, alert.acknowledge.
The subject is an id or a name to look up by. Triggers refuse to change or delete a row; whoever may write the file may
drop them, so what must be proven is to be exported to another machine.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..errors import StoreFailed
from ..ports import Clock
from ..secret import masked
from .schema import connect, database, failing, writing

#: What one side of a change holds: names and values as JSON has them, money as decimal strings in dollars.
State = Mapping[str, Any]

_SECRET = re.compile(r"(?:sk-ant-|pk_)[A-Za-z0-9_-]{16,}")
_COLUMNS = "number, at_us, who, action, subject, before, after"


class Entry(msgspec.Struct, frozen=True):
    """One change. `at_us` is Unix microseconds; `before` is None of what is new, `after` of what is gone."""

    number: int
    at_us: int
    who: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def operator() -> str:
    """Who runs this process: the operating system's user, at this host."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # containers run as users that no one has entered
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def note(
    connection: sqlite3.Connection,
    *,
    at_us: int,
    who: str,
    action: str,
    subject: str,
    before: State | None = None,
    after: State | None = None,
) -> None:
    """Note a change, inside the caller's transaction. `who` is `operator()`, or the id of the admin's virtual key.

    The states are to hold no secrets; what looks like a key is masked all the same.
    """
    connection.execute(
        "INSERT INTO audit (at_us, who, action, subject, before, after) VALUES (?, ?, ?, ?, ?, ?)",
        (at_us, _safe(who), action, _safe(subject), _to_text(before), _to_text(after)),
    )


def record(
    data: Path, clock: Clock, *, action: str, subject: str, before: State | None = None, after: State | None = None
) -> None:
    """Note a change that is no transaction of the ledger's database, as done by `operator()`. Raises StoreFailed."""
    connection = connect(data)
    try:
        with failing(database(data)), writing(connection):
            note(
                connection,
                at_us=clock.wall_us(),
                who=operator(),
                action=action,
                subject=subject,
                before=before,
                after=after,
            )
    finally:
        connection.close()


def entries(
    data: Path, *, since_us: int | None = None, subject: str | None = None, action: str | None = None
) -> Iterator[Entry]:
    """Changes, oldest first: from that moment on, of that subject, of that action. Raises StoreFailed."""
    if not database(data).exists():
        raise StoreFailed(
            f"There is no ledger in {data}.",
            code="no_ledger",
            fix="Name the data folder of the process that made the changes with --data.",
        )
    wanted = {"at_us >= ?": since_us, "subject = ?": subject, "action = ?": action}
    terms = [term for term, value in wanted.items() if value is not None]
    values = [value for value in wanted.values() if value is not None]
    condition = f"WHERE {' AND '.join(terms)}" if terms else ""
    connection = connect(data)
    try:
        with failing(database(data)):
            for row in connection.execute(f"SELECT {_COLUMNS} FROM audit {condition} ORDER BY number", values):
                number, at_us, who, done, of, before, after = row
                yield Entry(number, at_us, who, done, of, _to_state(before), _to_state(after))
    finally:
        connection.close()


def latest(connection: sqlite3.Connection, count: int) -> list[Entry]:
    """The last changes, newest first. Raises sqlite3.Error."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM audit ORDER BY number DESC LIMIT ?", (count,))
    return [
        Entry(number, at_us, who, done, of, _to_state(before), _to_state(after))
        for number, at_us, who, done, of, before, after in rows
    ]


def _to_text(state: State | None) -> str | None:
    return None if state is None else _safe(msgspec.json.encode(state).decode())


def _to_state(text: str | None) -> dict[str, Any] | None:
    return None if text is None else msgspec.json.decode(text, type=dict[str, Any])


def _safe(text: str) -> str:
    return _SECRET.sub(lambda found: masked(found[0]), text)
