"""The SQLite database of a data folder: where it is, how it is opened and brought up to date."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ..errors import StoreFailed
from .migrations import MIGRATIONS, Migration

Sync = Literal["os", "disk"]

#: How long a statement waits for another process's write before it fails.
BUSY_S = 5.0

_WAL_TRIES = 100
_WAL_WAIT_S = 0.02


def database(data: Path) -> Path:
    """The database of a data folder."""
    return data / "penstock.db"


def journal_folder(data: Path) -> Path:
    """The journal of a data folder."""
    return data / "journal"


def counters(data: Path) -> Path:
    """The database of what calls share, apart from the ledger's, whose writer would be in the way."""
    return data / "counters.db"


def prepare(data: Path, place: Path) -> None:
    """Make the data folder and an empty database that only its owner can read. Raises StoreFailed.

    A database that exists is not opened, not even to look: closing it again would drop the locks that SQLite holds on
    it for this whole process, and another process could then delete the write-ahead log under our feet.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise unwritable(data, error) from error


def unwritable(place: Path, error: OSError) -> StoreFailed:
    """The error for a folder or file that cannot be written, naming it and the system's reason."""
    if isinstance(error, NotADirectoryError | FileExistsError):
        return StoreFailed(
            f"The ledger cannot write in {place}: a file stands where a folder must.",
            code="data_folder_unwritable",
            fix="Move the file away, or name another folder with --data.",
        )
    return StoreFailed(
        f"The ledger cannot write in {place}: {error.strerror or error}.",
        code="data_folder_unwritable",
        fix="Free some space, give this user write permission there, or name another folder with --data.",
    )


def connect(
    data: Path, *, place: Path | None = None, sync: Sync = "os", migrations: Sequence[Migration] = MIGRATIONS
) -> sqlite3.Connection:
    """Open the database of a data folder, or another at `place` in it, created and migrated where needed. Blocks.

    The connection is in autocommit mode and may be used from any thread, one at a time. Raises StoreFailed.
    """
    place = place or database(data)
    prepare(data, place)
    with failing(place):
        connection = sqlite3.connect(place, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            _set_wal(connection)
            connection.execute(f"PRAGMA synchronous = {'FULL' if sync == 'disk' else 'NORMAL'}")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            migrate(connection, place, migrations)
        except BaseException:
            connection.close()
            raise
    return connection


def migrate(connection: sqlite3.Connection, place: Path, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring the schema up to date. Of several processes that open at once, one does the work."""
    known = len(migrations)
    if _version(connection, place, known) == known:
        return
    with writing(connection):
        for number in range(_version(connection, place, known), known):
            migrations[number](connection)
        connection.execute(f"PRAGMA user_version = {known}")


def _version(connection: sqlite3.Connection, place: Path, known: int) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > known:
        raise StoreFailed(
            f"{place} has schema version {version}; this Penstock knows versions up to {known}.",
            code="schema_too_new",
            fix="Run the Penstock version that wrote it or a newer one, or name another folder with --data.",
        )
    return version


def _set_wal(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on. SQLite does not wait for others here as it does elsewhere, so we do."""
    pause = threading.Event()
    for left in reversed(range(_WAL_TRIES)):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if left == 0 or "locked" not in str(error):
                raise
            pause.wait(_WAL_WAIT_S)


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction: all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def failing(place: Path) -> Iterator[None]:
    """Turn SQLite's errors into StoreFailed, naming the database."""
    try:
        yield
    except sqlite3.Error as error:
        raise store_failed(place, error) from error


def store_failed(place: Path, error: Exception) -> StoreFailed:
    """SQLite's error, with the place and the fix."""
    said = str(error)
    if "readonly" in said or "unable to open" in said:
        fix = "Give this user write permission on the file and its folder, or name another folder with --data."
    elif "full" in said:
        fix = "Free some space on that disk."
    elif "locked" in said or "busy" in said:
        fix = "Find the process that holds a long transaction on it."
    elif "not a database" in said or "malformed" in said:
        fix = "Restore it from a backup, or name another folder with --data."
    else:
        fix = "See the message above; the journal beside it still holds what is not in it yet."
    return StoreFailed(f"The database {place} failed: {said}.", code="database_failed", fix=fix)
