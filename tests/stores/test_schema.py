"""The database comes up to date by itself, once, whoever opens it."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from entries import call_id

from penstock.errors import StoreFailed
from penstock.record import Record
from penstock.stores.folding import COLUMNS
from penstock.stores.migrations import MIGRATIONS
from penstock.stores.reading import LedgerReader
from penstock.stores.schema import connect, database

#: A database as the first version left it. Never edited: it is what users have on their disks.
FIRST = Path(__file__).with_name("first.sql")


def first(data: Path) -> None:
    data.mkdir()
    with sqlite3.connect(database(data)) as connection:
        connection.executescript(FIRST.read_text())
    connection.close()


def schema(data: Path) -> list[tuple[str, str]]:
    connection = connect(data)
    try:
        return connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    finally:
        connection.close()


def test_the_first_versions_database_becomes_todays_and_keeps_its_rows(tmp_path: Path) -> None:
    first(tmp_path / "old")
    assert schema(tmp_path / "old") == schema(tmp_path / "new")
    with LedgerReader(tmp_path / "old") as reader:
        found = reader.call(call_id(1))
    assert found is not None and (found.cost_nano, found.feature, found.trail) == (105_000, "summarise", b"[1]")


def test_a_later_step_keeps_the_rows_and_is_taken_once(data: Path) -> None:
    def m002(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE calls ADD COLUMN colour TEXT DEFAULT 'blue'")

    first(data)
    for _ in range(2):
        connection = connect(data, migrations=(*MIGRATIONS, m002))
        assert connection.execute("SELECT call_id, colour FROM calls").fetchall() == [(call_id(1), "blue")]
        connection.close()


def test_a_step_that_fails_leaves_the_database_as_it_was(data: Path) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE calls ADD COLUMN colour TEXT")
        connection.execute("no SQL at all")

    first(data)
    before = schema(data)
    with pytest.raises(StoreFailed, match="syntax error"):
        connect(data, migrations=(*MIGRATIONS, broken))
    assert schema(data) == before


def test_a_database_of_a_newer_version_is_refused_and_not_touched(data: Path) -> None:
    first(data)
    with sqlite3.connect(database(data)) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreFailed, match="version 99") as caught:
        connect(data)
    assert caught.value.code == "schema_too_new" and "newer" in caught.value.fix


def test_many_processes_that_open_a_new_database_at_once_all_succeed(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(6) as pool:
        for attempt in range(5):
            found = pool.map(columns, [tmp_path / str(attempt)] * 6)
            assert found == [[*COLUMNS]] * 6


def columns(data: Path) -> list[str]:
    connection = connect(data)
    try:
        return [row[1] for row in connection.execute("PRAGMA table_info(calls)")]
    finally:
        connection.close()


def test_every_field_of_a_record_has_its_column(data: Path) -> None:
    assert columns(data) == [*Record.__struct_fields__]


def test_the_log_is_written_ahead_so_that_readers_never_wait_for_the_writer(data: Path) -> None:
    connection = connect(data)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
