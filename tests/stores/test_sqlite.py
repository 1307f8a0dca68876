"""The writer behind the journal: group commits, segments, retention, and faults of the database."""

from __future__ import annotations

import asyncio
import mmap
import os
import sqlite3
import threading
from pathlib import Path

import pytest
from entries import BEGAN_US, StillClock, call_id, intent, record

from penstock.drive import run
from penstock.errors import StoreFailed
from penstock.stores import journal
from penstock.stores import sqlite as store
from penstock.stores.journal import Segment
from penstock.stores.reading import LedgerReader
from penstock.stores.schema import database, journal_folder
from penstock.stores.sqlite import SqliteLedger

DAY_US = 86_400_000_000


def ids(data: Path) -> list[str]:
    with LedgerReader(data) as reader:
        return sorted(row.call_id for row in reader.calls())


def wait_for(ledger: SqliteLedger) -> None:
    """Until the writer has caught up by itself."""
    pause = threading.Event()
    for _ in range(1_000):
        if ledger.lag_bytes == 0 and ledger.trouble is None:
            return
        pause.wait(0.01)
    raise AssertionError("the writer never caught up")


def test_rows_reach_the_database_by_themselves(ledger: SqliteLedger, data: Path) -> None:
    for number in range(100):  # more than one statement's worth, and a remainder
        run(ledger.open(intent(number)))
        run(ledger.close(record(number)))
    wait_for(ledger)
    assert ids(data) == sorted(call_id(number) for number in range(100))


def test_the_writer_wakes_again_after_it_has_rested(ledger: SqliteLedger, data: Path) -> None:
    for number in range(3):
        run(ledger.close(record(number)))
        wait_for(ledger)
    assert len(ids(data)) == 3


def test_an_append_never_suspends_and_never_opens_the_database(data: Path, clock: StillClock) -> None:
    ledger = SqliteLedger(data, clock, window_s=60.0)
    run(ledger.open(intent(1)))  # `run` raises if it suspends
    run(ledger.close(record(1)))
    assert not database(data).exists()
    ledger.close_store()
    assert ids(data) == [call_id(1)]


def test_threads_and_a_loop_append_together(ledger: SqliteLedger, data: Path) -> None:
    def work(thread: int) -> None:
        for number in range(50):
            run(ledger.open(intent(f"{thread}x{number}")))
            run(ledger.close(record(f"{thread}x{number}")))

    async def tasks() -> None:
        await asyncio.gather(*(ledger.close(record(f"loop{number}")) for number in range(50)))
        await asyncio.get_running_loop().run_in_executor(None, ledger.flush)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    ledger.flush()
    assert len(ids(data)) == 250


def test_segments_stay_bounded_and_carry_the_calls_still_open(
    data: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "WINDOW_BYTES", mmap.PAGESIZE)
    ledger = SqliteLedger(data, clock, segment_bytes=4_000)
    run(ledger.open(intent("first")))
    for number in range(200):
        run(ledger.close(record(number)))
        if number % 10 == 0:
            ledger.flush()
            assert sum(path.stat().st_size for path in journal_folder(data).iterdir()) < 20_000
    ledger.close_store()
    with LedgerReader(data) as reader:
        endings = [row.ending for row in reader.calls()]
    assert endings.count("complete") == 200 and endings.count("killed") == 1


def test_closing_with_nothing_open_leaves_no_segment_and_a_later_append_starts_anew(
    ledger: SqliteLedger, data: Path
) -> None:
    run(ledger.close(record(1)))
    ledger.close_store()
    ledger.close_store()
    assert list(journal_folder(data).iterdir()) == []
    run(ledger.close(record(2)))
    ledger.close_store()
    assert ids(data) == [call_id(1), call_id(2)]


def test_a_ledger_never_used_leaves_no_trace(data: Path, clock: StillClock) -> None:
    SqliteLedger(data, clock).close_store()
    assert not data.exists()


def test_rows_past_their_days_go_and_younger_ones_stay(data: Path, clock: StillClock) -> None:
    ledger = SqliteLedger(data, clock, keep_days=30)
    old = 2 * store._TRIM_ROWS + 7
    for number in range(old):
        run(ledger.close(record(number, began_at_us=BEGAN_US - 31 * DAY_US)))
    run(ledger.close(record("young", began_at_us=BEGAN_US - 29 * DAY_US)))
    ledger.flush()
    clock.now_s += store.TIDY_S
    ledger.flush()
    assert ids(data) == [call_id("young")]
    ledger.close_store()


def test_without_a_bound_rows_are_kept(data: Path, clock: StillClock) -> None:
    ledger = SqliteLedger(data, clock, keep_days=None)
    run(ledger.close(record(1, began_at_us=0)))
    ledger.flush()
    clock.now_s += store.TIDY_S
    ledger.close_store()
    assert ids(data) == [call_id(1)]


def test_while_the_database_fails_calls_go_on_and_their_rows_arrive_when_it_heals(
    data: Path, clock: StillClock
) -> None:
    data.mkdir()
    database(data).write_bytes(b"this is no database" * 100)
    ledger = SqliteLedger(data, clock)
    run(ledger.open(intent(1)))
    run(ledger.close(record(1)))
    with pytest.raises(StoreFailed, match="not a database") as caught:
        ledger.flush()
    assert str(database(data)) in str(caught.value) and caught.value.fix
    assert ledger.trouble is not None and ledger.lag_bytes > 0
    database(data).unlink()
    ledger.flush()
    assert ledger.trouble is None and ids(data) == [call_id(1)]
    ledger.close_store()


def test_when_far_too_much_waits_for_the_database_calls_are_refused_and_records_are_not(
    data: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = SqliteLedger(data, clock, window_s=60.0)
    run(ledger.open(intent(1)))
    run(ledger.close(record(1)))
    monkeypatch.setattr(store, "BACKLOG_BYTES", ledger.lag_bytes)
    run(ledger.open(intent(2)))
    with pytest.raises(StoreFailed, match="wait for the database"):
        run(ledger.open(intent(3)))
    run(ledger.close(record(2)))
    ledger.flush()
    run(ledger.open(intent(3)))
    run(ledger.close(record(3)))
    ledger.close_store()
    assert len(ids(data)) == 3


def test_entries_are_on_the_disk_itself_where_that_is_asked_for(
    data: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    ledger = SqliteLedger(data, clock, sync="disk")
    run(ledger.open(intent(1)))
    run(ledger.close(record(1)))
    assert len(synced) == 2
    ledger.flush()
    assert ledger._connected().execute("PRAGMA synchronous").fetchone() == (2,)
    ledger.close_store()


def test_rows_are_made_of_what_was_appended_and_the_journal_is_not_read_back(
    ledger: SqliteLedger, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Segment, "read", None)
    for number in range(3):
        run(ledger.open(intent(number)))
        run(ledger.close(record(number)))
        if number:
            ledger.flush()
    assert ids(data) == [call_id(0), call_id(1), call_id(2)]


def test_what_is_too_much_to_note_is_read_back_and_no_row_is_lost(
    data: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "FRESH_BYTES", 2_000)
    ledger = SqliteLedger(data, clock, window_s=60.0)
    run(ledger.open(intent("left open")))
    for number in range(20):
        run(ledger.close(record(number)))
    assert ledger._segment is not None and ledger._segment.fresh.size < 3_000
    ledger.flush()
    run(ledger.close(record(20)))  # and from here on it is noted again
    monkeypatch.setattr(Segment, "read", None)
    ledger.close_store()
    monkeypatch.undo()
    with LedgerReader(data) as reader:
        rows = {row.call_id: row.ending for row in reader.calls()}
    assert rows == {call_id("left open"): "killed", **{call_id(number): "complete" for number in range(21)}}


def test_a_database_locked_by_another_program_delays_rows_and_loses_none(
    data: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.stores.schema.BUSY_S", 0.01)
    ledger = SqliteLedger(data, clock)
    ledger.start()
    other = sqlite3.connect(database(data), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    run(ledger.close(record(1)))
    with pytest.raises(StoreFailed, match="locked"):
        ledger.flush()
    other.execute("ROLLBACK")
    other.close()
    ledger.close_store()
    assert ids(data) == [call_id(1)]


def test_what_is_done_beside_the_ledger_may_fail_without_being_its_trouble(ledger: SqliteLedger) -> None:
    def busy(connection: sqlite3.Connection) -> None:
        raise StoreFailed("The counters are busy.")

    ledger.tidied = busy
    run(ledger.close(record(1)))
    ledger.flush()
    assert ledger.trouble is None
