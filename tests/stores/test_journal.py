"""The journal survives what crashes leave behind."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest
from entries import StillClock, call_id, intent, record
from hypothesis import given
from hypothesis import strategies as st

from penstock.drive import run
from penstock.errors import StoreFailed
from penstock.stores.journal import Segment, intent_line, orphans, read_lines, record_line, write_line
from penstock.stores.reading import LedgerReader
from penstock.stores.schema import database, journal_folder
from penstock.stores.sqlite import SqliteLedger

LINES = [intent_line(intent(1)), record_line(record(1)), intent_line(intent(2)), record_line(record(3, user="é\n"))]


@given(cut=st.integers(0, sum(map(len, LINES))))
def test_a_journal_cut_anywhere_keeps_every_whole_entry_and_nothing_else(cut: int) -> None:
    block = b"".join(LINES)[:cut]
    batch = read_lines(block)
    whole, size = 0, 0
    while whole < len(LINES) and size + len(LINES[whole]) - 1 <= cut:
        size += len(LINES[whole])
        whole += 1
    kept = [batch.opened.get(call_id(1)), *batch.records[:1], batch.opened.get(call_id(2)), *batch.records[1:]]
    assert sum(entry is not None for entry in kept) == whole


@given(noise=st.binary(max_size=200))
def test_no_bytes_at_all_make_reading_raise(noise: bytes) -> None:
    batch = read_lines(b"\n".join([LINES[1][:-1], b"R" + noise, b"I" + noise, LINES[3]]))
    assert [entry.call_id for entry in batch.records if entry in (record(1), record(3, user="é\n"))] == [
        call_id(1),
        call_id(3),
    ]


def test_entries_of_a_newer_version_are_read_as_far_as_they_are_known() -> None:
    longer = [*msgspec.json.decode(LINES[1][1:]), "a field of tomorrow", 1]
    assert read_lines(b"R" + msgspec.json.encode(longer) + b"\n").records == [record(1)]


def test_entries_of_an_older_version_get_the_defaults_of_what_they_lack() -> None:
    shorter = msgspec.json.decode(LINES[1][1:])[:20]
    (read,) = read_lines(b"R" + msgspec.json.encode(shorter) + b"\n").records
    assert (read.call_id, read.ending, read.cost_nano, read.cost_basis) == (call_id(1), "complete", None, "unknown")


def test_a_segment_in_use_is_no_orphan_and_a_closed_one_is(tmp_path: Path) -> None:
    used = Segment.create(tmp_path)
    assert list(orphans(tmp_path)) == []
    used.close()
    (orphan,) = orphans(tmp_path)
    assert orphan.path == used.path
    orphan.delete()
    assert not used.path.exists()


def test_a_line_half_written_to_a_full_disk_leaves_no_trace(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    write_line(os.write, segment, LINES[0])
    with pytest.raises(OSError, match="No space"):
        write_line(lambda fd, line: os.write(fd, line[:7]), segment, LINES[1])
    write_line(os.write, segment, LINES[1])
    assert segment.path.read_bytes() == LINES[0] + LINES[1]
    segment.close()


def test_lines_no_version_can_read_are_set_aside_and_hold_nothing_back(data: Path) -> None:
    segment = Segment.create(journal_folder(data))
    for line in (LINES[0], b"Rubbish\n", b'R["too short"]\n', LINES[1]):
        write_line(os.write, segment, line)
    segment.close()
    with LedgerReader(data) as reader:
        assert [row.call_id for row in reader.calls()] == [call_id(1)]
    assert (journal_folder(data) / "unreadable.jsonl").read_bytes() == b'Rubbish\nR["too short"]\n'


def test_values_that_no_store_can_hold_are_fitted_and_do_not_cost_the_row(ledger: SqliteLedger, data: Path) -> None:
    run(ledger.open(intent(1, user="half a pair \ud83d")))
    run(ledger.close(record(1, user="half a pair \ud83d", client_retry=10**40)))
    run(ledger.close(record(2, client_retry=(1 << 63) + 5)))
    ledger.flush()
    with LedgerReader(data) as reader:
        first, second = reader.call(call_id(1)), reader.call(call_id(2))
    assert first is not None and second is not None
    assert (first.user, first.client_retry, second.client_retry) == ("half a pair ?", (1 << 63) - 1, (1 << 63) - 1)


class Disk:
    """A disk that can be told to fail: every write from now on, or the nth only."""

    def __init__(self) -> None:
        self.fault: int | None = None
        self.nth: int | None = None
        self.writes = 0

    def write(self, fd: int, line: bytes) -> int:
        self.writes += 1
        if self.fault is not None or self.writes == self.nth:
            raise OSError(self.fault or errno.EIO, os.strerror(self.fault or errno.EIO))
        return os.write(fd, line)


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_an_intent_that_cannot_be_written_is_refused_with_the_place_and_the_fix(data: Path, fault: int) -> None:
    disk = Disk()
    ledger = SqliteLedger(data, StillClock(), write=disk.write)
    disk.fault = fault
    with pytest.raises(StoreFailed, match="journal") as caught:
        run(ledger.open(intent(1)))
    assert os.strerror(fault) in str(caught.value) and "--data" in caught.value.fix
    disk.fault = None
    run(ledger.open(intent(2)))
    run(ledger.close(record(2)))
    ledger.close_store()
    with LedgerReader(data) as reader:
        assert [row.call_id for row in reader.calls()] == [call_id(2)]


def test_records_wait_in_memory_while_the_disk_is_full_and_are_written_when_it_is_not(data: Path) -> None:
    disk = Disk()
    ledger = SqliteLedger(data, StillClock(), write=disk.write)
    for number in range(5):
        run(ledger.open(intent(number)))
    disk.fault = errno.ENOSPC
    for number in range(5):
        run(ledger.close(record(number)))
    disk.fault = None
    ledger.close_store()
    with LedgerReader(data) as reader:
        assert {row.ending for row in reader.calls()} == {"complete"} and len(list(reader.calls())) == 5


def test_more_records_than_memory_may_hold_are_reported_lost_and_their_intents_flag_them(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk()
    ledger = SqliteLedger(data, StillClock(), write=disk.write, spool_lines=2)
    for number in range(3):
        run(ledger.open(intent(number)))
    disk.fault = errno.ENOSPC
    run(ledger.close(record(0)))
    run(ledger.close(record(1)))
    with pytest.raises(StoreFailed):
        run(ledger.close(record(2)))
    assert f"{call_id(2)} is lost" in caplog.text
    disk.fault = None
    ledger.close_store()
    with LedgerReader(data) as reader:
        endings = {row.call_id: row.ending for row in reader.calls()}
    assert endings == {call_id(0): "complete", call_id(1): "complete", call_id(2): "killed"}


def test_whichever_write_fails_no_row_is_lost_or_doubled(tmp_path: Path) -> None:
    for nth in range(1, 100):
        data, disk, refused = tmp_path / str(nth), Disk(), set()
        disk.nth = nth
        ledger = SqliteLedger(data, StillClock(), write=disk.write, segment_bytes=900)
        for number in (4, 0, 1, 2, 3):
            try:
                run(ledger.open(intent(number)))
            except StoreFailed:
                refused.add(number)
                continue
            if number < 4:  # call 4 stays open, and is carried from segment to segment
                run(ledger.close(record(number)))
            if number == 2:
                try:
                    ledger.flush()
                except StoreFailed as error:
                    assert os.strerror(errno.EIO) in str(error)
        ledger.close_store()
        with LedgerReader(data) as reader:
            rows = {row.call_id: row.ending for row in reader.calls()}
        assert rows == {
            call_id(number): "complete" if number < 4 else "killed" for number in range(5) if number not in refused
        }
        if disk.writes < nth:
            return
    raise AssertionError("the scenario never outran the fault")


def test_a_data_folder_that_is_a_file_is_named_in_the_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    ledger = SqliteLedger(tmp_path / "data", StillClock())
    with pytest.raises(StoreFailed, match=str(tmp_path / "data")) as caught:
        ledger.start()
    assert "--data" in caught.value.fix
    with pytest.raises(StoreFailed, match=str(tmp_path / "data")):
        run(ledger.open(intent(1)))


def test_only_the_owner_can_read_what_is_stored(ledger: SqliteLedger, data: Path) -> None:
    run(ledger.open(intent(1)))
    ledger.flush()
    (segment,) = journal_folder(data).iterdir()
    assert [path.stat().st_mode & 0o077 for path in (data, database(data), journal_folder(data), segment)] == [0] * 4
