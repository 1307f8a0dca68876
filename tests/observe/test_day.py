"""A scripted day in virtual time, watched by two processes, told to a real HTTP server through Apprise itself.

Each alert fires once and clears once, whatever else happens: messages that cannot be delivered, processes that are
replaced, quiet hours.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from posted import Desk, desk, row

from penstock.config.alerts import AlertsConfig
from penstock.config.money import BudgetConfig
from penstock.config.schema import Config
from penstock.observe.alerts.reading import Reading, Sources
from penstock.observe.alerts.sinks import Sinks
from penstock.observe.alerts.watching import Alerts
from penstock.ports import Circuit
from penstock.ports.blocking import SystemChance
from penstock.ports.simulated import EPOCH_US, World
from penstock.record import Record
from penstock.secret import Secret
from penstock.spending.budget import Budget
from penstock.stores.alerts import AlertStore
from penstock.stores.folding import insert
from penstock.stores.keys import KeyStore
from penstock.stores.recent import Recent, accounts
from penstock.stores.schema import connect
from penstock.stores.shared import SharedDatabase, SqliteCircuits

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
EVERY_S = 10.0  # between calls
SINK = "env:HOOK"


def clock(at_us: int) -> float:
    """Hours since the day began."""
    return (at_us - EPOCH_US) / HOUR_US


def fields(number: int, hours: float) -> dict[str, Any]:
    """What is special about a call of the day."""
    made: dict[str, Any] = {}
    if 10.0 <= hours < 10.35 and number % (25 if hours < 10.15 else 5) == 0:
        made |= {"ending": "failed", "status": 529, "cost_nano": 0}
    if 12.0 <= hours < 12.35:
        made |= {"total_us": 15_000_000}
    if 14.0 <= hours < 15.0:
        made |= {"cost_nano": 100_000_000}
    if 16.5 <= hours < 17.5:
        made |= {"input_tokens": 10_000, "cache_read_tokens": 0}
    if number % 7 == 0:
        made |= {"ending": "refused", "status": 429, "cost_nano": 0} if number % 25 else {}
    return made


def calls() -> list[Record]:
    """Four days before, the day, and the morning after it."""
    made = []
    for number in range(round(-4 * 86_400 / EVERY_S), round(32 * 3_600 / EVERY_S)):
        at_us = EPOCH_US + round(number * EVERY_S * 1e6)
        made.append(row(number + 1_000_000, at_us, **fields(number, clock(at_us))))
    return made


CONFIG = AlertsConfig(
    sinks=(SINK,),
    day_usd=90,
    quiet_from="22:00",
    quiet_until="07:00",
    forecast_s=14_400.0,
)


class Day:
    """One data folder, and what happens in it."""

    def __init__(self, data: Path, world: World, told: Desk) -> None:
        self.world, self.told = world, told
        self.config = Config(data=data, alerts=CONFIG, budgets=(BudgetConfig(name="all", period="day", plan_usd=110),))
        connection = connect(data)
        with connection:
            connection.execute("BEGIN")
            insert(connection, calls())
            connection.execute("COMMIT")
        self.ledger: sqlite3.Connection = connection
        self.shared = SharedDatabase(data)
        self.circuits = SqliteCircuits(self.shared, world)
        self.alive: list[int] = []

    def process(self) -> Alerts:
        """The alerts of one more process."""
        store = AlertStore(self.config.data)
        recent = Recent(self.config.data)
        sources = Sources(recent, store, self.circuits, partial(accounts, self.shared), dict)
        reading = Reading(lambda: self.config, self.world, sources)
        sinks = Sinks({SINK: Secret(f"{self.told.url}/hook")})
        return Alerts(lambda: self.config, self.world, reading, store, sinks)

    async def watch(self, until_hours: float) -> None:
        alerts = self.process()
        while clock(self.world.wall_us()) < until_hours:
            alerts.evaluate()
            alerts.deliver()
            await self.world.sleep(120.0)

    async def spend(self) -> None:
        """What budgets count follows the ledger."""
        budget = Budget(self.config.budgets[0])
        while clock(self.world.wall_us()) < 32:
            now_us = self.world.wall_us()
            of = budget.span(now_us)
            query = "SELECT coalesce(sum(cost_nano), 0) FROM calls WHERE began_at_us >= ? AND began_at_us < ?"
            (spent_nano,) = self.ledger.execute(query, (of.from_us, now_us)).fetchone()
            with self.shared.changing() as connection:
                connection.execute(
                    "INSERT OR REPLACE INTO accounts VALUES (?, ?, 0, ?)",
                    (budget.account((), of), spent_nano, now_us + 40 * DAY_US),
                )
            await self.world.sleep(300.0)

    async def happen(self) -> None:
        """The circuit opens and closes, the key grows old and is revoked."""
        then = World(0)
        then._now_s = (20 - 90 * 24) * 3_600.0
        key, _ = KeyStore(self.config.data, then).create("ci", chance=SystemChance(), token=lambda _: "t" * 43)
        await self.world.sleep(18 * 3_600.0)
        for _ in range(3):
            await self.circuits.open("anthropic/claude", Circuit(self.world.wall_us() + 60_000_000, 1))
            await self.world.sleep(180.0)
        await self.circuits.close("anthropic/claude")
        await self.world.sleep(2.9 * 3_600.0)
        KeyStore(self.config.data, self.world).revoke(key.id)


#: Each alert of the day: the hours between which it is told, and that it is over.
SCRIPT = {
    "error rate": ((10.0, 10.1), (10.4, 10.6)),
    "slow calls": ((12.5, 12.8), (12.5, 12.8)),  # the sink does not answer until half past twelve
    "cost spike": ((14.1, 14.4), (15.5, 16.2)),
    "forecast all": ((14.2, 15.1), (15.0, 16.2)),
    "budget all": ((13.5, 15.0), (31.0, 31.1)),  # the period is over at midnight; quiet until seven
    "cache hit rate": ((16.9, 17.3), (17.7, 18.6)),
    "circuit anthropic/claude": ((18.0, 18.1), (18.15, 18.4)),
    "cost of the day": ((19.9, 20.4), (31.0, 31.1)),
    "age of key": ((20.0, 20.1), (21.0, 21.1)),
}


@pytest.mark.weighty
def test_each_alert_of_a_day_fires_and_clears_once(tmp_path: Path) -> None:
    world = World(3)
    with desk() as told:
        told.now = world.wall_us
        told.status = lambda: 500 if 12.0 <= clock(world.wall_us()) < 12.5 else 200
        day = Day(tmp_path / "data", world, told)
        for after_s in (0.0, 50.0):  # two processes, replaced by two others while a message waits
            world.spawn(day.watch(12.25), after_s=after_s)
            world.spawn(day.watch(31.5), after_s=12.3 * 3_600 + after_s)
        world.spawn(day.spend())
        world.spawn(day.happen())
        world.run()
        assert not [task.error for task in world.tasks if task.error is not None]
    events: dict[str, list[tuple[str, float]]] = {}
    for one in told.posted:
        title, _, head = one.body["title"].partition("): ")[2].rpartition(", ")
        name = "age of key" if title.startswith("age of key") else title
        events.setdefault(name, []).append((head, clock(one.at_us)))
    assert set(events) == set(SCRIPT)
    for name, ((first, last), (over_first, over_last)) in SCRIPT.items():
        heads = [head for head, _ in events[name]]
        assert Counter(heads)["warning"] == Counter(heads)["over"] == 1, (name, events[name])
        assert first <= events[name][0][1] <= last, (name, events[name])
        assert over_first <= events[name][-1][1] <= over_last, (name, events[name])
        assert (heads[0], heads[-1]) == ("warning", "over")
    assert [head for head, _ in events["error rate"]] == ["warning", "now critical", "over"]
    assert [head for head, _ in events["budget all"]] == ["warning", "now warning", "over"]
    assert AlertStore(tmp_path / "data").history(firing_only=True) == []


def test_what_is_undelivered_when_a_process_ends_is_delivered_by_the_next(tmp_path: Path) -> None:
    world = World(1)
    with desk() as told:
        told.status = lambda: 500
        day = Day(tmp_path / "data", world, told)
        world._now_s = 10.2 * 3_600
        before = day.process()
        before.evaluate()
        ((one, error),) = before.deliver()
        assert error is not None and "500" in error and "hook" not in error
        told.status = lambda: 200
        world._now_s += 16.0
        after = day.process()
        assert [error for _, error in after.deliver()] == [None]
        assert told.titles() == ["error rate, critical"]
        assert after.deliver() == []
        (alert,) = AlertStore(tmp_path / "data").history()
        (kept,) = alert.deliveries
        assert (kept.sink, kept.tries, kept.is_delivered, kept.id) == (SINK, 2, True, one.id)


def test_a_sink_that_is_gone_from_the_config_is_given_up(tmp_path: Path) -> None:
    world = World(1)
    with desk() as told:
        told.status = lambda: 500
        day = Day(tmp_path / "data", world, told)
        world._now_s = 10.2 * 3_600
        alerts = day.process()
        alerts.evaluate()
        alerts.deliver()
        day.config = replace(day.config, alerts=replace(CONFIG, sinks=()))
        world._now_s += 16.0
        bare = Alerts(lambda: day.config, world, alerts._reading, AlertStore(tmp_path / "data"), Sinks({}))
        ((_, error),) = bare.deliver()
        assert error == "it is no sink of the config any more"
        (alert,) = AlertStore(tmp_path / "data").history()
        assert alert.deliveries[0].ended_at_us is not None and not alert.deliveries[0].is_delivered
