"""The ledger's database, for tools that read much of it: opened once, read as of one moment, a few rows at a time."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..stores.reading import LedgerReader
from ..stores.schema import connect, database, failing

#: How many rows are in memory at once.
ROWS_TOGETHER = 5_000


@contextlib.contextmanager
def opened(data: Path) -> Iterator[sqlite3.Connection]:
    """The ledger of a data folder, with what dead processes left folded in. All that is read of it is of one moment.

    Raises StoreFailed, also for what SQLite raises in the block.
    """
    LedgerReader(data).close()  # says so where there is no ledger, and folds
    connection = connect(data)
    try:
        with failing(database(data)):
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection
    finally:
        connection.close()


def chunks(
    connection: sqlite3.Connection, query: str, values: Sequence[Any] = (), size: int = ROWS_TOGETHER
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a query, at most `size` at a time."""
    cursor = connection.execute(query, values)
    while rows := cursor.fetchmany(size):
        yield rows
