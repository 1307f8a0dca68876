"""What writing a call down costs: the append that a call waits for, and the way into SQLite that it does not."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock.drive import run
from penstock.ports.blocking import BlockingClock
from penstock.record import Intent, Record
from penstock.stores.folding import COLUMNS, fold
from penstock.stores.journal import Segment, intent_line, record_line
from penstock.stores.schema import connect
from penstock.stores.sqlite import SqliteLedger

from .machine import cores
from .report import Plan, Row, Section, Spread

_ABOUT = (
    "In one process, without a gateway. An append makes the line of an intent or a record and copies it into the "
    "journal's memory, which is the operating system's too; the baseline is `write` of the same bytes. Folding puts "
    "records into SQLite in one commit of so many; the baseline is a plain INSERT with a commit for each. The last row "
    "is both and the writer thread, as in a gateway that does nothing else."
)
_SUBJECTS = ("Penstock", "baseline")


def measure(plan: Plan) -> Section:
    section = Section("ledger", "Ledger: the cost of a row", _ABOUT, _SUBJECTS)
    count = 1_000 if plan.is_quick else 20_000
    rounds = range(plan.rounds)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        appends = [_append_us(count, lambda n: intent_line(_intent(n))) for _ in rounds]
        records = [_append_us(count, lambda n: record_line(_record(n))) for _ in rounds]
        line = record_line(_record(0))
        bare = Spread.of([_write_us(count, line) for _ in rounds])
        section.rows += [
            Row("append of an intent, CPU", "µs", (Spread.of([cpu for cpu, _ in appends]), bare)),
            Row("append of a record, CPU", "µs", (Spread.of([cpu for cpu, _ in records]), bare)),
            Row("append of a record, wall p99", "µs", (Spread.of([p99 for _, p99 in records]), None)),
        ]
        singly = Spread.of([_insert_us(min(count, 2_000)) for _ in rounds])
        for batch in (1, 50, 250):
            spread = Spread.of([_fold_us(count if batch > 1 else min(count, 2_000), batch) for _ in rounds])
            section.rows.append(Row(f"fold, {batch} to a commit, CPU", "µs/record", (spread, singly)))
        together = Spread.of([_together_us(count) for _ in rounds])
        section.rows.append(Row("intent, record and folding, all CPU", "µs/call", (together, None)))
    finally:
        os.sched_setaffinity(0, before)
    section.notes.append(f"The record's line has {len(line)} bytes, its row {len(COLUMNS)} columns.")
    return section


def _append_us(count: int, line_of: Callable[[int], bytes]) -> tuple[float, float]:
    """CPU for each append, and the 99th percentile of the wait for one."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        segment = Segment.create(Path(folder))
        waits = []
        used = time.process_time()
        for number in range(count):
            began = time.perf_counter()
            segment.append(line_of(number))
            waits.append(time.perf_counter() - began)
        used = time.process_time() - used
        segment.delete()
    return used * 1e6 / count, sorted(waits)[int(0.99 * count)] * 1e6


def _write_us(count: int, line: bytes) -> float:
    """The same bytes by the book: one `write` each."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Path(folder, "lines").open("wb", buffering=0) as file:
        used = time.process_time()
        for _ in range(count):
            file.write(line)
        used = time.process_time() - used
    return used * 1e6 / count


def _fold_us(count: int, batch: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        connection = connect(Path(folder))
        records = [_record(number) for number in range(count)]
        used = time.process_time()
        for first in range(0, count, batch):
            fold(connection, records[first : first + batch])
        used = time.process_time() - used
        connection.close()
    return used * 1e6 / count


def _insert_us(count: int) -> float:
    """The same row by the book: one INSERT, one commit."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        connection = connect(Path(folder))
        connection.close()
        connection = sqlite3.connect(Path(folder, "penstock.db"))
        connection.execute("PRAGMA synchronous = NORMAL")
        insert = f"INSERT INTO calls ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
        rows: Sequence[tuple[object, ...]] = [
            tuple(getattr(_record(number), name) for name in COLUMNS) for number in range(count)
        ]
        used = time.process_time()
        for row in rows:
            connection.execute(insert, row)
            connection.commit()
        used = time.process_time() - used
        connection.close()
    return used * 1e6 / count


def _together_us(count: int) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ledger = SqliteLedger(Path(folder), BlockingClock())
        ledger.start()
        pairs = [(_intent(number), _record(number)) for number in range(count)]
        used = time.process_time()
        for intent, record in pairs:
            run(ledger.open(intent))
            run(ledger.close(record))
        ledger.flush()
        used = time.process_time() - used
        ledger.close_store()
    return used * 1e6 / count


def _intent(number: int) -> Intent:
    return Intent(
        call_id=f"call_{number:026}",
        began_at_us=1_795_000_000_000_000 + number,
        face="gateway",
        method="POST",
        path="/v1/messages",
        endpoint="messages",
        upstream="anthropic",
        model_asked="claude-sonnet-4-5",
        key_id="key_01BENCHBENCHBENCHBENCHBENCH",
        environment="prod",
        feature="summarise",
        user="user-1842",
    )


def _record(number: int) -> Record:
    return Record(
        call_id=f"call_{number:026}",
        began_at_us=1_795_000_000_000_000 + number,
        face="gateway",
        method="POST",
        path="/v1/messages",
        endpoint="messages",
        upstream="anthropic",
        upstream_request_id="req_011CVLbenchbenchbenchbench",
        key_id="key_01BENCHBENCHBENCHBENCHBENCH",
        environment="prod",
        feature="summarise",
        user="user-1842",
        model_asked="claude-sonnet-4-5",
        model_served="claude-sonnet-4-5-20250929",
        status=200,
        stop_reason="end_turn",
        input_tokens=412,
        cache_read_tokens=1024,
        output_tokens=57,
        service_tier="standard",
        inference_geo="global",
        cost_nano=2_398_200,
        cost_basis="exact",
        attempts=1,
        upstream_us=1_204_113,
        total_us=1_204_391,
        request_bytes=2_000,
        response_bytes=634,
        prompt_hash="a3c1f09e5b7d2468",
        trail=b'[{"type":"Identified","key":"key_01BENCH"},{"type":"Routed","upstream":"anthropic"}]',
    )
