"""Processes die, fork and share a data folder: no row is lost, none doubled, none owned by nobody."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from entries import StillClock, call_id, intent, record

from penstock.drive import run
from penstock.stores.folding import adopt
from penstock.stores.journal import Segment, intent_line, orphans
from penstock.stores.reading import LedgerReader
from penstock.stores.schema import connect, database, journal_folder
from penstock.stores.sqlite import SqliteLedger

KILLS = 50
CHILD = Path(__file__).with_name("child.py")


def start(data: Path, name: str) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(data), name], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )


def kill_after(child: subprocess.Popen[bytes], lines: int) -> dict[str, set[str]]:
    """Let it get so far, kill it in the middle of whatever it does, and return what it told."""
    assert child.stdout is not None
    told = [child.stdout.readline() for _ in range(lines)]
    child.send_signal(signal.SIGKILL)
    told += child.stdout.readlines()
    child.wait()
    child.stdout.close()
    said: dict[str, set[str]] = defaultdict(set)
    for line in told:
        if line.endswith(b"\n"):
            said[line[:1].decode()].add(line[1:-1].decode())
    return said


def rows(data: Path) -> dict[str, str]:
    with LedgerReader(data) as reader:
        return {row.call_id: row.ending for row in reader.calls()}


def promises_kept(said: dict[str, set[str]], found: dict[str, str], name: str) -> None:
    assert said["r"], "the child was killed before it did anything"
    mine = {call for call in found if call.removeprefix("call_").lstrip("0").startswith(name)}
    assert said["i"] <= mine <= said["I"], "an intent was lost, or a call made up"
    complete = {call for call in mine if found[call] == "complete"}
    assert said["r"] <= complete <= said["R"], "a record was lost, or made up"
    assert {found[call] for call in mine - complete} <= {"killed"}


def test_a_process_killed_fifty_times_under_load_loses_and_doubles_nothing(data: Path) -> None:
    for count in range(KILLS):
        name = f"k{count}t"
        said = kill_after(start(data, name), 30 + count * 37)
        promises_kept(said, rows(data), name)
    assert not list(journal_folder(data).glob("*.segment"))
    with sqlite3.connect(database(data)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        doubled = "SELECT call_id FROM calls GROUP BY call_id HAVING count(*) > 1"
        assert connection.execute(doubled).fetchall() == []
    connection.close()


def test_two_processes_share_a_database_and_the_death_of_one_leaves_the_other_alone(data: Path) -> None:
    left, right = start(data, "at"), start(data, "bt")
    said_left = kill_after(left, 3_000)
    with LedgerReader(data) as reader:  # adopts the left one's journal while the right one writes on
        assert reader.grouped()[0].calls > 0
    said_right = kill_after(right, 3_000)
    found = rows(data)
    promises_kept(said_left, found, "at")
    promises_kept(said_right, found, "bt")


def test_a_living_process_keeps_its_open_calls_whoever_reads(ledger: SqliteLedger, data: Path) -> None:
    run(ledger.open(intent(1)))
    assert rows(data) == {}
    run(ledger.close(record(1)))
    ledger.flush()
    assert rows(data) == {call_id(1): "complete"}


def test_adoption_that_dies_half_way_is_done_again_with_the_same_result(data: Path) -> None:
    ledger = SqliteLedger(data, StillClock())
    run(ledger.open(intent(1)))
    run(ledger.open(intent(2)))
    run(ledger.close(record(1)))
    ledger.close_store()
    (segment,) = journal_folder(data).glob("*.segment")
    before = segment.read_bytes()
    assert rows(data) == {call_id(1): "complete", call_id(2): "killed"}
    segment.write_bytes(before)  # as if the process had died after the commit and before the deletion
    assert rows(data) == {call_id(1): "complete", call_id(2): "killed"}


def test_many_adopters_at_once_take_each_segment_once(data: Path) -> None:
    segments = [Segment.create(journal_folder(data)) for _ in range(5)]
    for number, segment in enumerate(segments):
        segment.append(intent_line(intent(number)))
    for segment in segments:
        segment.close()
    context = multiprocessing.get_context("fork")
    with context.Pool(4) as pool:
        adopted = pool.map(adopt_all, [data] * 4)
    assert sum(adopted) == 5 and len(rows(data)) == 5


def adopt_all(data: Path) -> int:
    connection = connect(data)
    try:
        return adopt(connection, journal_folder(data))
    finally:
        connection.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_writes_a_journal_of_its_own_and_leaves_the_parents_calls_alone(data: Path) -> None:
    ledger = SqliteLedger(data, StillClock())
    run(ledger.open(intent("parent")))
    ledger.flush()
    pid = os.fork()
    if pid == 0:
        try:
            run(ledger.open(intent("child")))
            run(ledger.close(record("child")))
            ledger.flush()
            run(ledger.open(intent("orphan")))
        finally:
            os._exit(0)  # without atexit, as the workers of prefork servers and multiprocessing go
    os.waitpid(pid, 0)
    assert rows(data) == {call_id("child"): "complete", call_id("orphan"): "killed"}
    run(ledger.close(record("parent")))
    ledger.close_store()
    assert rows(data)[call_id("parent")] == "complete"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_that_outlives_its_parent_does_not_keep_the_parents_journal_alive(data: Path) -> None:
    reading, writing = os.pipe()
    parent = os.fork()
    if parent == 0:
        ledger = SqliteLedger(data, StillClock())
        run(ledger.open(intent("parent")))
        if os.fork() == 0:
            os.close(writing)
            os.read(reading, 1)  # lives until the test lets it go
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(parent, 0)
    try:
        assert rows(data) == {call_id("parent"): "killed"}
    finally:
        os.write(writing, b"x")
        os.close(writing)
        os.close(reading)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_neither_shortens_a_segment_nor_keeps_it(tmp_path: Path) -> None:
    segment = Segment.create(tmp_path)
    line = intent_line(intent(1))
    segment.append(line)
    started, let_go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(let_go[1])  # so that it ends with its parent, however that ends
        os.write(started[1], b"x")
        os.read(let_go[0], 1)
        os._exit(0 if segment.fd < 0 else 1)
    os.read(started[0], 1)
    try:
        for _ in range(100):  # well beyond the page the file would end in
            segment.append(line)
        segment.close()
        (orphan,) = orphans(tmp_path)  # the child lives, and holds no lock
        orphan.delete()
    finally:
        os.write(let_go[1], b"x")
        assert os.waitpid(pid, 0)[1] == 0
        for descriptor in (*started, *let_go):
            os.close(descriptor)
    assert orphan.size == 101 * len(line)


def test_leaving_the_interpreter_writes_everything(data: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from entries import StillClock, intent, record\n"
        "from penstock.drive import run; from penstock.stores.sqlite import SqliteLedger\n"
        "ledger = SqliteLedger(Path(sys.argv[1]), StillClock())\n"
        "for n in range(100): run(ledger.open(intent(n))); run(ledger.close(record(n)))\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    subprocess.run(
        [sys.executable, "-c", script, str(data)], check=True, env={**os.environ, "PYTHONPATH": paths}, timeout=60
    )
    assert not list(journal_folder(data).glob("*.segment"))
    assert len(rows(data)) == 100
