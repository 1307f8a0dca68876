"""The journal survives what crashes leave behind."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import resource
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from entries import StillClock, call_id, intent, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.drive import run
from penstock.errors import StoreFailed
from penstock.stores import journal
from penstock.stores.journal import Segment, allocate, intent_line, orphans, read_lines, record_line
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


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line with LONG in it is longer than a window: every one of them makes the file grow."""
    monkeypatch.setattr(journal, "WINDOW_BYTES", mmap.PAGESIZE)


LONG = "x" * mmap.PAGESIZE


class Disk:
    """A disk that can be told to fail: every time the journal needs room from now on, or the nth only.

    It fails as a full one may, when it has given half of what was asked for.
    """

    def __init__(self) -> None:
        self.fault: int | None = None
        self.nth: int | None = None
        self.asked = 0

    def extend(self, fd: int, offset: int, length: int) -> None:
        self.asked += 1
        if self.fault is not None or self.asked == self.nth:
            allocate(fd, offset, length // 2)
            raise OSError(self.fault or errno.EIO, os.strerror(self.fault or errno.EIO))
        allocate(fd, offset, length)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 3 * mmap.PAGESIZE), max_size=8))
def test_lines_of_any_length_are_in_the_file_when_the_append_returns(
    sizes: list[int], tmp_path: Path, small_windows: None
) -> None:
    segment = Segment.create(tmp_path)
    written = b""
    for count, size in enumerate(sizes):
        line = b"%c" % (65 + count) * (size - 1) + b"\n"
        segment.append(line)
        written += line
        found = segment.path.read_bytes()
        assert found[: len(written)] == written and not found[len(written) :].strip(b"\0")
    first = segment.read(10, segment.size)
    assert segment.size == len(written) and written.startswith(first) and first[-1:] == written[-1:]
    segment.close()
    assert segment.path.read_bytes() == written
    segment.path.unlink()


def test_a_line_the_disk_has_no_room_for_leaves_no_trace(tmp_path: Path, small_windows: None) -> None:
    disk, long = Disk(), record_line(record(4, user=LONG))
    segment = Segment.create(tmp_path, disk.extend)
    segment.append(LINES[0])
    disk.fault = errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        segment.append(long)
    segment.append(LINES[1])  # there was room for this one
    disk.fault = None
    segment.append(long)
    segment.close()
    assert segment.path.read_bytes() == LINES[0] + LINES[1] + long


def test_a_file_that_may_not_grow_is_an_error_and_does_not_kill(tmp_path: Path, small_windows: None) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    segment, whole = Segment.create(tmp_path), itertools.count()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * mmap.PAGESIZE, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            while next(whole) < 1_000:
                segment.append(LINES[1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    segment.close()
    fitting = 2 * mmap.PAGESIZE // len(LINES[1])
    assert next(whole) == fitting + 1 and segment.path.read_bytes() == LINES[1] * fitting


@pytest.mark.parametrize("fault", [None, errno.EOPNOTSUPP])
def test_where_the_system_or_the_file_system_cannot_allocate_zeros_are_written_behind_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: int | None
) -> None:
    def refuse(*asked: int) -> None:
        raise OSError(fault, "not here")

    if fault is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    path = tmp_path / "file"
    path.write_bytes(b"x" * 5_000)
    fd = os.open(path, os.O_RDWR)
    allocate(fd, 4_096, 8_192)
    os.close(fd)
    assert path.read_bytes() == b"x" * 5_000 + bytes(4_096 + 8_192 - 5_000)


def test_a_disk_that_fails_to_allocate_is_not_asked_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*asked: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "posix_fallocate", full)
    segment = Segment.create(tmp_path)
    with pytest.raises(OSError, match="full"):
        segment.append(LINES[0])
    assert segment.path.stat().st_size == 0
    segment.close()


def test_what_appends_while_a_line_is_appended_takes_a_place_of_its_own(tmp_path: Path) -> None:
    """As a finaliser does that settles a call, in the middle of another append of its thread."""
    within: list[bytes] = [LINES[1]]

    def extend(fd: int, offset: int, length: int) -> None:
        allocate(fd, offset, length)
        if within:
            segment.append(within.pop())

    segment = Segment.create(tmp_path, extend)
    segment.append(LINES[0])
    segment.append(LINES[2])
    segment.close()
    assert segment.path.read_bytes() == LINES[1] + LINES[0] + LINES[2]


@pytest.mark.parametrize(
    "torn",
    [
        lambda line: line[:-20] + bytes(20),
        lambda line: bytes(20) + line[20:],
        lambda line: line[:20] + bytes(20) + line[40:],
        lambda line: bytes(len(line)),
    ],
    ids=["no end", "no beginning", "no middle", "nothing of it"],
)
def test_a_line_half_copied_by_a_killed_process_is_passed_over(data: Path, torn: Callable[[bytes], bytes]) -> None:
    folder = journal_folder(data)
    folder.mkdir(parents=True)
    (folder / "1-1.segment").write_bytes(LINES[1] + torn(LINES[3]) + bytes(5_000))
    with LedgerReader(data) as reader:
        assert [row.call_id for row in reader.calls()] == [call_id(1)]
    assert list(folder.iterdir()) == []


def test_a_place_that_was_never_filled_hides_nothing_behind_it(data: Path) -> None:
    folder = journal_folder(data)
    folder.mkdir(parents=True)
    (folder / "1-1.segment").write_bytes(LINES[1] + bytes(700) + LINES[3] + bytes(5_000))
    with LedgerReader(data) as reader:
        assert {row.call_id for row in reader.calls()} == {call_id(1), call_id(3)}


def test_lines_no_version_can_read_are_set_aside_and_hold_nothing_back(data: Path) -> None:
    segment = Segment.create(journal_folder(data))
    for line in (LINES[0], b"Rubbish\n", b'R["too short"]\n', LINES[1]):
        segment.append(line)
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


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_an_intent_that_cannot_be_written_is_refused_with_the_place_and_the_fix(data: Path, fault: int) -> None:
    disk = Disk()
    ledger = SqliteLedger(data, StillClock(), extend=disk.extend)
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


def test_records_wait_in_memory_while_the_disk_is_full_and_are_written_when_it_is_not(
    data: Path, small_windows: None
) -> None:
    disk = Disk()
    ledger = SqliteLedger(data, StillClock(), extend=disk.extend)
    for number in range(5):
        run(ledger.open(intent(number)))
    disk.fault = errno.ENOSPC
    for number in range(5):
        run(ledger.close(record(number, user=LONG)))
    with pytest.raises(StoreFailed, match="No space"):
        run(ledger.open(intent(5, user=LONG)))
    disk.fault = None
    ledger.close_store()
    with LedgerReader(data) as reader:
        assert {row.ending for row in reader.calls()} == {"complete"} and len(list(reader.calls())) == 5


def test_more_records_than_memory_may_hold_are_reported_lost_and_their_intents_flag_them(
    data: Path, caplog: pytest.LogCaptureFixture, small_windows: None
) -> None:
    disk = Disk()
    ledger = SqliteLedger(data, StillClock(), extend=disk.extend, spool_lines=2)
    for number in range(3):
        run(ledger.open(intent(number)))
    disk.fault = errno.ENOSPC
    run(ledger.close(record(0, user=LONG)))
    run(ledger.close(record(1, user=LONG)))
    with pytest.raises(StoreFailed):
        run(ledger.close(record(2, user=LONG)))
    assert f"{call_id(2)} is lost" in caplog.text
    disk.fault = None
    ledger.close_store()
    with LedgerReader(data) as reader:
        endings = {row.call_id: row.ending for row in reader.calls()}
    assert endings == {call_id(0): "complete", call_id(1): "complete", call_id(2): "killed"}


def test_whenever_the_journal_cannot_grow_no_row_is_lost_or_doubled(tmp_path: Path, small_windows: None) -> None:
    for nth in range(1, 100):
        data, disk, refused = tmp_path / str(nth), Disk(), set()
        disk.nth = nth
        ledger = SqliteLedger(data, StillClock(), extend=disk.extend, segment_bytes=900)
        for number in (4, 0, 1, 2, 3):
            try:
                run(ledger.open(intent(number, user=LONG)))
            except StoreFailed:
                refused.add(number)
                continue
            if number < 4:  # call 4 stays open, and is carried from segment to segment
                run(ledger.close(record(number, user=LONG)))
            if number == 2:
                failing_at_most(ledger.flush)
        failing_at_most(ledger.close_store)
        with LedgerReader(data) as reader:
            rows = {row.call_id: row.ending for row in reader.calls()}
        assert rows == {
            call_id(number): "complete" if number < 4 else "killed" for number in range(5) if number not in refused
        }
        if disk.asked < nth:
            return
    raise AssertionError("the scenario never outran the fault")


def failing_at_most(step: Callable[[], None]) -> None:
    try:
        step()
    except StoreFailed as error:
        assert os.strerror(errno.EIO) in str(error)


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
