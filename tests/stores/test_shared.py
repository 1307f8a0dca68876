"""What processes share: one suite for the stores in memory and in SQLite."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import drive
from penstock.errors import StoreFailed
from penstock.ports import Circuit, StoredAnswer
from penstock.ports.simulated import World
from penstock.stores.memory import MemoryAnswers, MemoryCircuits, MemoryQuotas
from penstock.stores.schema import counters
from penstock.stores.shared import SharedDatabase, SqliteAnswers, SqliteCircuits, SqliteQuotas
from penstock.stores.window import Window

run = drive.run


class Clock(World):
    """Time that the test moves."""

    def pass_(self, seconds: float) -> None:
        self._now_s += seconds


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], tuple[Any, Any, Any, Clock]]:
    """Quotas, circuits, answers and their clock; in SQLite a second set shares what the first one has."""
    clock = Clock(0)
    kept = (MemoryQuotas(clock), MemoryCircuits(), MemoryAnswers())

    def make() -> tuple[Any, Any, Any, Clock]:
        if request.param == "memory":
            return (*kept, clock)
        held = SharedDatabase(tmp_path)
        request.addfinalizer(held.close)
        return SqliteQuotas(held, clock), SqliteCircuits(held, clock), SqliteAnswers(held), clock

    return make


Make = Callable[[], tuple[Any, Any, Any, Clock]]


def answer(id: str, body: bytes = b"body \x00 \xff", at_us: int = 0) -> StoredAnswer:
    return StoredAnswer(id, 200, ((b"content-type", b"x"),), body, at_us, 5)


def test_no_minute_has_more_than_its_limit_and_two_share_it(stores: Make) -> None:
    one, other = stores(), stores()
    clock, random = one[3], Random(4)
    taken: list[float] = []
    for _ in range(900):
        clock.pass_(random.uniform(0, 0.4))
        quotas = random.choice([one, other])[0]
        wait_s = run(quotas.take("u", 30))
        if wait_s == 0:
            taken.append(clock.now())
        else:
            assert 0 < wait_s <= 61
    for at in taken:
        assert sum(at <= other < at + 60 for other in taken) <= 30
    minutes = clock.now() / 60
    assert len(taken) >= 0.98 * 30 * (minutes - 1)


def test_what_one_waits_for_is_there_then(stores: Make) -> None:
    quotas, _, _, clock = stores()
    for _ in range(5):
        assert run(quotas.take("u", 5)) == 0
    wait_s = run(quotas.take("u", 5))
    clock.pass_(wait_s - 0.01)
    assert run(quotas.take("u", 5)) > 0
    clock.pass_(0.02)
    assert run(quotas.take("u", 5)) == 0
    assert run(quotas.take("v", 5)) == 0, "each name has its own"
    assert run(quotas.take("w", 3, 4)) == float("inf")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), max_size=60), st.integers(1, 12))
def test_a_window_is_exact_to_its_slots(steps: list[tuple[float, int]], limit: int) -> None:
    window, now_us, taken = Window(), 0, []
    for pause_s, amount in steps:
        now_us += round(pause_s * 1e6)
        if window.take(now_us, limit, amount) == 0.0:
            taken.append((now_us, amount))
        within = sum(took for at, took in taken if at > now_us - 60_000_000)
        assert within <= limit
        loosely = sum(took for at, took in taken if at > now_us - 60_500_000)
        assert (window.take(now_us, limit, limit + 1) > 0) and loosely <= limit + limit


def test_places_are_so_many(stores: Make) -> None:
    quotas = stores()[0]
    assert quotas.enter("u", 2) and quotas.enter("u", 2) and not quotas.enter("u", 2)
    quotas.leave("u")
    assert quotas.enter("u", 2) and quotas.enter("v", 1)


def test_a_circuit_is_known_to_all_and_has_one_probe_at_a_time(stores: Make) -> None:
    one, other = stores(), stores()
    clock = one[3]
    now_us = clock.wall_us()
    assert run(one[1].find("a")) is None
    run(one[1].open("a", Circuit(now_us + 1_000_000, 1)))
    assert run(one[1].find("a")) == Circuit(now_us + 1_000_000, 1)
    clock.pass_(0.3)
    assert run(other[1].find("a")) == Circuit(now_us + 1_000_000, 1)
    assert not run(other[1].probe("a", now_us, now_us + 9)), "it is open"
    later_us = now_us + 1_000_000
    assert [run(each[1].probe("a", later_us, later_us + 100)) for each in (one, other, one)] == [True, False, False]
    assert run(other[1].probe("a", later_us + 100, later_us + 200)), "the first one's time was over"
    run(other[1].close("a"))
    clock.pass_(0.3)
    assert run(one[1].find("a")) is None and not run(one[1].probe("a", later_us + 500, later_us + 600))


def test_a_place_has_one_owner_and_then_its_answer(stores: Make) -> None:
    one, other = stores(), stores()
    assert run(one[2].claim("n", b"d", "A", 0, 100)).is_mine
    held = run(other[2].claim("n", b"e", "B", 50, 150))
    assert (held.digest, held.is_mine, held.answer) == (b"d", False, None)
    run(other[2].put("n", "B", answer("B"), 1000))
    run(other[2].release("n", "B"))
    assert run(one[2].find("n", 50)) is None, "it is not B's to fill or to leave"
    run(one[2].put("n", "A", answer("A"), 1000))
    assert run(other[2].claim("n", b"d", "B", 500, 600)).answer == answer("A")
    run(one[2].release("n", "A"))
    assert run(other[2].find("n", 500)) == answer("A"), "what is filled is not left"
    assert run(other[2].find("n", 1000)) is None
    assert run(other[2].claim("n", b"f", "B", 1000, 1100)).is_mine


def test_a_lease_runs_out_and_its_former_owner_has_nothing_to_say(stores: Make) -> None:
    answers = stores()[2]
    assert run(answers.claim("n", b"d", "A", 0, 100)).is_mine
    assert run(answers.claim("n", b"d", "B", 100, 200)).is_mine
    run(answers.put("n", "A", answer("A"), 1000))
    assert run(answers.find("n", 150)) is None
    run(answers.release("n", "B"))
    assert run(answers.claim("n", b"d", "C", 150, 250)).is_mine


def test_an_answer_is_kept_in_the_place_of_an_older_one(stores: Make) -> None:
    one, other = stores(), stores()
    run(one[2].keep("n", answer("A"), 100))
    run(other[2].keep("n", answer("B"), 200))
    assert run(one[2].find("n", 50)) == answer("B") and run(one[2].find("n", 200)) is None


def test_the_oldest_go_where_there_is_too_much(tmp_path: Path) -> None:
    held = SharedDatabase(tmp_path)
    for answers in (MemoryAnswers(3000), SqliteAnswers(held, 3000)):
        for number in range(6):
            run(answers.keep(f"n{number}", answer(f"A{number}", bytes(900), number * 20_000_000), 1 << 60))
        kept = [number for number in range(6) if run(answers.find(f"n{number}", 0)) is not None]
        assert kept in ([3, 4, 5], [4, 5])
    held.close()


def test_a_database_that_another_holds_fails_soon_and_one_that_is_none_says_so(tmp_path: Path) -> None:
    held, other = SharedDatabase(tmp_path), SharedDatabase(tmp_path)
    quotas = SqliteQuotas(other, World(0))
    assert run(quotas.take("u", 5)) == 0
    with held.changing(), pytest.raises(StoreFailed, match="locked"):
        run(quotas.take("u", 5))
    assert run(quotas.take("u", 5)) == 0
    held.close()
    other.close()
    broken = tmp_path / "broken"
    broken.mkdir()
    counters(broken).write_bytes(b"no database at all, but long enough to be looked at" * 20)
    with pytest.raises(StoreFailed, match="not a database"):
        run(SqliteQuotas(SharedDatabase(broken), World(0)).take("u", 5))


CHILD = """
import sys
from pathlib import Path
from penstock import drive
from penstock.ports.blocking import BlockingClock
from penstock.stores.shared import SharedDatabase, SqliteQuotas
quotas = SqliteQuotas(SharedDatabase(Path(sys.argv[1])), BlockingClock())
taken = 0
for _ in range(400):
    try:
        taken += drive.run(quotas.take("u", 200)) == 0
    except Exception as error:
        assert "locked" in str(error), error
print(taken)
"""


def test_four_processes_take_no_more_than_one_may(tmp_path: Path) -> None:
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    taken = [int(child.communicate(timeout=60)[0]) for child in children]
    assert sum(taken) == 200, taken


def test_a_forked_child_has_a_connection_of_its_own(tmp_path: Path) -> None:
    held = SharedDatabase(tmp_path)
    quotas = SqliteQuotas(held, World(0))
    assert run(quotas.take("u", 3)) == 0
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if run(quotas.take("u", 3)) == 0 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert run(quotas.take("u", 3)) == 0 and run(quotas.take("u", 3)) > 0
    held.close()


def test_they_serve_a_loop_as_well() -> None:
    async def scene() -> float:
        return await MemoryQuotas(World(0)).take("u", 1)

    assert asyncio.run(scene()) == 0
