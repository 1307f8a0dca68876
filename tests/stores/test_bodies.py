"""Kept bodies: scrubbed, bounded in time and size, and never in a call's way."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from pathlib import Path

import pytest

from penstock.observe.scrubbing import scrubbed
from penstock.ports import Exchange
from penstock.ports.blocking import BlockingClock
from penstock.stores.bodies import WAITING_BYTES_MAX, BodyStore, find, opened, place, trim

DAY_US = 86_400_000_000


def a_store(data: Path, **more: int) -> BodyStore:
    return BodyStore(data, BlockingClock(), scrubbed, **({"keep_days": 7, "bytes_max": 1 << 30} | more))


def exchange(number: int, *, age_days: float = 0.0, size: int = 10) -> Exchange:
    at_us = BlockingClock.wall_us() - round(age_days * DAY_US)
    return Exchange(f"call_{number}", at_us, b'{"n": %d}' % number, os.urandom(size).hex().encode())


def kept(data: Path) -> set[str]:
    with sqlite3.connect(place(data)) as connection:
        return {row[0] for row in connection.execute("SELECT call_id FROM bodies")}


def test_what_is_kept_can_be_found_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.keep(Exchange("call_1", BlockingClock.wall_us(), b'{"text":"Write to ada@example.com."}', b"not JSON"))
    assert store.flush()
    found = find(tmp_path, "call_1")
    assert (
        found is not None and json.loads(found.request) == {"text": "Write to [EMAIL]."} and found.answer == "not JSON"
    )
    assert find(tmp_path, "call_2") is None and place(tmp_path).stat().st_mode & 0o077 == 0


def test_those_past_their_days_go(tmp_path: Path) -> None:
    store = a_store(tmp_path, keep_days=1)
    for number, age in enumerate((0.0, 0.9, 1.1, 30.0)):
        store.keep(exchange(number, age_days=age))
    assert store.flush()
    connection = opened(tmp_path)
    trim(connection, BlockingClock.wall_us() - DAY_US, 1 << 30)
    connection.close()
    assert kept(tmp_path) == {"call_0", "call_1"}


def test_the_oldest_go_where_the_room_is_used_up(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    for number in range(1_000):
        store.keep(exchange(number, age_days=5 - number / 1_000, size=2_000))
    assert store.flush()
    connection = opened(tmp_path)
    trim(connection, 0, 1 << 20)
    connection.close()
    left = kept(tmp_path)
    assert 100 < len(left) < 1_000 and "call_999" in left and "call_0" not in left


def test_too_much_at_once_is_not_kept_and_waits_for_nobody(tmp_path: Path) -> None:
    gate, begun = threading.Event(), threading.Event()

    def slow(body: bytes, *, is_stream: bool = False) -> str:
        begun.set()
        gate.wait(10)
        return ""

    store = BodyStore(tmp_path, BlockingClock(), slow, keep_days=7, bytes_max=1 << 30)
    store.keep(exchange(0))
    assert begun.wait(10)
    for number in range(1, 40):
        store.keep(Exchange(f"call_{number}", BlockingClock.wall_us(), bytes(1 << 20), b""))
    assert store.dropped == 40 - WAITING_BYTES_MAX // (1 << 20)
    gate.set()
    assert store.flush() and len(kept(tmp_path)) == 40 - store.dropped


def test_a_database_that_fails_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place(tmp_path).mkdir()
    store = a_store(tmp_path)
    store.keep(exchange(1))
    assert store.flush() and "could not be kept" in caplog.text
