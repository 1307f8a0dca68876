"""What is spent and held: one suite for the stores in memory and in SQLite, and what only SQLite must do."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from penstock import drive
from penstock.config.money import BudgetConfig
from penstock.errors import StoreFailed
from penstock.ports.money import Account, Balance, Held
from penstock.ports.simulated import World
from penstock.record import Record
from penstock.spending.budget import Budget
from penstock.stores.budgets import SqliteBudgets
from penstock.stores.folding import fold
from penstock.stores.memory import MemoryBudgets
from penstock.stores.owners import Owner
from penstock.stores.schema import connect, counters
from penstock.stores.shared import SharedDatabase

run = drive.run
FAR = 1 << 61
Make = Callable[[], Any]


@pytest.fixture(params=["memory", "sqlite"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Budgets; in SQLite a second one shares what the first one has."""
    kept = MemoryBudgets()

    def make() -> Any:
        if request.param == "memory":
            return kept
        held = SharedDatabase(tmp_path)
        request.addfinalizer(held.close)
        return SqliteBudgets(held, World(0))

    return make


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path)
    yield connection
    connection.close()


def of(name: str, limit: int | None = 100) -> Account:
    return Account(name, limit, FAR)


def hold(store: Any, call_id: str, nano: int, *accounts: Account, until_us: int = FAR) -> Held:
    held: Held = run(store.hold(call_id, accounts or (of("a"),), nano, until_us))
    return held


def balance(store: Any, name: str) -> Balance:
    known = store.balances if isinstance(store, MemoryBudgets) else store.balances()
    found: Balance = known.get(name, Balance())
    return found


def test_holds_add_up_to_the_limit_and_not_beyond(stores: Make) -> None:
    one, other = stores(), stores()
    assert hold(one, "c1", 60) == Held((Balance(0, 60),))
    assert hold(other, "c2", 41) == Held((Balance(0, 60),), 0)
    assert hold(other, "c2", 40) == Held((Balance(0, 100),))
    run(one.settle("c1", 10))
    assert balance(other, "a") == Balance(10, 40)
    assert hold(one, "c3", 0) == Held((Balance(10, 40),)), "asks only"
    assert hold(one, "c3", 51).short == 0 and hold(one, "c3", 50).short is None


def test_all_accounts_are_held_or_none(stores: Make) -> None:
    store = stores()
    assert hold(store, "c1", 50, of("a"), of("b", 40), of("c")).short == 1
    assert [balance(store, name) for name in "abc"] == [Balance()] * 3
    assert hold(store, "c1", 50, of("a"), of("b", None), of("c")).short is None
    run(store.settle("c1", 7))
    assert [balance(store, name) for name in "abc"] == [Balance(7, 0)] * 3


def test_more_is_held_on_top_and_a_call_is_settled_once(stores: Make) -> None:
    store = stores()
    hold(store, "c1", 30)
    assert hold(store, "c1", 30) == Held((Balance(0, 60),))
    assert hold(store, "c1", 50).short == 0
    run(store.settle("c1", 45))
    run(store.settle("c1", 45))
    run(store.settle("never held", 45))
    assert balance(store, "a") == Balance(45, 0)


def test_threads_and_tasks_never_pass_the_limit(stores: Make) -> None:
    shared = [stores(), stores()]
    limit, most = 1_000, []

    def calls(seed: int) -> None:
        random, store = Random(seed), shared[seed % 2]

        async def scene() -> None:
            for number in range(40):
                nano = random.randrange(1, 200)
                try:
                    held = await store.hold(f"{seed}-{number}", (of("a", limit),), nano, FAR)
                except StoreFailed:
                    continue
                most.append(held.balances[0].spent_nano + held.balances[0].held_nano)
                if held.short is None:
                    await asyncio.sleep(0)
                    await store.settle(f"{seed}-{number}", random.randrange(nano // 8 + 1))

        asyncio.run(scene())

    threads = [threading.Thread(target=calls, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hold(shared[0], "last", 0)
    run(shared[0].settle("flush", 0))
    run(shared[1].settle("flush", 0))
    assert 0 < max(most) <= limit and balance(shared[0], "a").held_nano == 0


def test_a_settlement_the_store_cannot_take_is_made_later(tmp_path: Path) -> None:
    held = SharedDatabase(tmp_path)
    store = SqliteBudgets(held, World(0))
    hold(store, "c1", 60)
    other = sqlite3.connect(counters(tmp_path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    run(store.settle("c1", 25))
    assert balance(store, "a") == Balance(0, 60)
    with pytest.raises(StoreFailed):
        hold(store, "c2", 1)
    other.execute("ROLLBACK")
    assert hold(store, "c2", 1) == Held((Balance(25, 1),))
    other.close()
    held.close()


def a_record(call_id: str, **more: Any) -> Record:
    common = {"face": "gateway", "method": "POST", "path": "/v1/messages", "endpoint": "messages"}
    return Record(**{"call_id": call_id, "began_at_us": 5, **common, **more})


def test_what_a_dead_process_held_is_settled_by_its_rows(tmp_path: Path, ledger: sqlite3.Connection) -> None:
    script = (
        "import sys; from pathlib import Path; from penstock import drive; from penstock.ports.money import Account;"
        "from penstock.ports.blocking import BlockingClock; from penstock.stores.budgets import SqliteBudgets;"
        "from penstock.stores.shared import SharedDatabase;"
        "store = SqliteBudgets(SharedDatabase(Path(sys.argv[1])), BlockingClock());"
        "[drive.run(store.hold(f'c{n}', (Account('a', None, 1 << 61),), 100, 1 << 61)) for n in range(4)];"
        "print('held', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    fold(ledger, [a_record("c0", cost_nano=30, held_nano=100), a_record("c1", cost_nano=None, held_nano=100)])
    fold(ledger, [a_record("c2", cost_nano=0)])
    held = SharedDatabase(tmp_path)
    store = SqliteBudgets(held, World(0))
    assert store.sweep(ledger) == 0 and balance(store, "a") == Balance(0, 400), "it lives"
    child.kill()
    child.wait()
    assert store.sweep(ledger) == 4
    assert balance(store, "a") == Balance(130, 0), "its cost, all that was held, and nothing twice"
    assert store.sweep(ledger) == 0 and not list((tmp_path / "owners").iterdir())
    held.close()


def test_a_lease_that_has_run_out_is_settled_by_its_row_or_goes_on(tmp_path: Path, ledger: sqlite3.Connection) -> None:
    held = SharedDatabase(tmp_path)
    clock = World(0)
    store = SqliteBudgets(held, clock)
    hold(store, "c1", 60, until_us=clock.wall_us() - 1)
    hold(store, "c2", 20, until_us=clock.wall_us() - 1)
    fold(ledger, [a_record("c1", cost_nano=9)])
    assert store.sweep(ledger) == 1 and balance(store, "a") == Balance(9, 20)
    run(store.settle("c2", 5))
    assert balance(store, "a") == Balance(14, 0)
    held.close()


def test_where_others_live_a_dead_hold_without_a_row_waits_for_the_row(
    tmp_path: Path, ledger: sqlite3.Connection
) -> None:
    held, clock, other = SharedDatabase(tmp_path), World(0), Owner(tmp_path)
    other.name()
    store = SqliteBudgets(held, clock)
    hold(store, "c1", 60)
    hold(store, "c2", 40)
    with held.changing() as connection:
        connection.execute("UPDATE holds SET owner = 'gone'")
    assert store.sweep(ledger) == 0, "its journal may be in another's hands"
    fold(ledger, [a_record("c1", cost_nano=9)])
    assert store.sweep(ledger) == 1 and balance(store, "a") == Balance(9, 40)
    clock._now_s += 20
    assert store.sweep(ledger) == 1 and balance(store, "a") == Balance(9, 0)
    other.let_go()
    held.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_an_owner_of_its_own(tmp_path: Path) -> None:
    held = SharedDatabase(tmp_path)
    store = SqliteBudgets(held, World(0))
    hold(store, "parent", 10)
    pid = os.fork()
    if not pid:
        hold(store, "child", 10)
        os._exit(0)
    os.waitpid(pid, 0)
    connection = connect(tmp_path)
    assert store.sweep(connection) == 1 and balance(store, "a") == Balance(0, 10)
    connection.close()
    held.close()


def test_owners_are_dead_once_their_lock_is_free(tmp_path: Path) -> None:
    one, other = Owner(tmp_path), Owner(tmp_path)
    names = {one.name(), other.name(), "never"}
    assert one.dead(names) == {"never"} and one.others() == 1
    other.let_go()
    assert one.dead(names) == {"never", other._name} and one.others() == 0
    one.let_go()


AT_US = 1_795_132_800_000_000  # 2026-11-20
DAY_US = 86_400_000_000


def test_budgets_are_counted_from_the_ledger(tmp_path: Path, ledger: sqlite3.Connection) -> None:
    held = SharedDatabase(tmp_path)
    store = SqliteBudgets(held, World(0))
    rows = [
        a_record("c1", began_at_us=AT_US, user="ada", feature="chat", cost_nano=10),
        a_record("c2", began_at_us=AT_US, user="ada", feature="chat", cost_nano=None, held_nano=7),
        a_record("c3", began_at_us=AT_US, feature="chat", cost_nano=5),
        a_record("c4", began_at_us=AT_US, user="ada", feature="other", cost_nano=100),
        a_record("c5", began_at_us=AT_US - 40 * DAY_US, user="ada", feature="chat", cost_nano=1000),
        a_record("open", began_at_us=AT_US, user="ada", feature="chat", cost_nano=3),
    ]
    fold(ledger, rows)
    chat = Budget(BudgetConfig(name="chat", where={"feature": "chat"}, per=("user",), plan_usd=1))
    whole = Budget(BudgetConfig(name="whole", period="total", plan_usd=1))
    wanted = [chat.counted(AT_US), whole.counted(AT_US)]
    hold(store, "open", 50, Account("chat\x1f2026-11\x1fada", None, wanted[0].kept_until_us))
    assert store.begin(ledger, wanted, whole_from_us=0) == [], "what is new differs from nothing"
    assert balance(store, "chat\x1f2026-11\x1fada") == Balance(17, 50), "what is still held is settled later"
    assert balance(store, "chat\x1f2026-11\x1f") == Balance(5, 0)
    assert balance(store, "whole\x1ftotal") == Balance(1122, 0)
    with held.changing() as connection:
        connection.execute("UPDATE accounts SET spent_nano = 99 WHERE name = ?", ("chat\x1f2026-11\x1f",))
        connection.execute(
            "INSERT INTO accounts VALUES (?, 4, 0, ?)", ("chat\x1f2026-11\x1fbob", wanted[0].kept_until_us)
        )
    found = {(one.account, one.before_nano, one.after_nano) for one in store.begin(ledger, wanted, whole_from_us=1)}
    assert found == {("chat\x1f2026-11\x1f", 99, 5), ("chat\x1f2026-11\x1fbob", 4, 0)}
    assert store.begin(ledger, wanted, whole_from_us=0) == []
    held.close()


def test_of_the_accounts_of_one_budget_and_period_the_largest_are_found(tmp_path: Path) -> None:
    shared = SharedDatabase(tmp_path)
    store = SqliteBudgets(shared, World(0))
    names = [*(f"b\x1f2026-11\x1fu{number}" for number in range(5)), "b\x1f2026-110", "b 2\x1f2026-11\x1fu9"]
    for number, name in enumerate(names):
        drive.run(store.hold(f"c{number}", [Account(name, None, 1 << 60)], 10 + number, 1 << 60))
    drive.run(store.settle("c0", 99))
    found, count = store.largest("b\x1f2026-11", 2)
    shared.close()
    assert found == [(names[0], Balance(99, 0)), (names[4], Balance(0, 14))] and count == 5
