"""Readings: what is read how often, of which budgets and keys."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from posted import row

from penstock.call import Target
from penstock.config.money import BudgetConfig
from penstock.config.schema import Config, UpstreamConfig
from penstock.faces.gateway.alerting import digests
from penstock.layers.per_call.routing import Routes
from penstock.observe.alerts.measures import measured
from penstock.observe.alerts.reading import Reading, Sources
from penstock.ports.blocking import SystemChance
from penstock.ports.simulated import EPOCH_US, World
from penstock.secret import Secret
from penstock.spending.budget import Budget, of_key
from penstock.stores.alerts import AlertStore
from penstock.stores.folding import insert
from penstock.stores.keys import KeyStore
from penstock.stores.recent import Recent, accounts
from penstock.stores.schema import connect
from penstock.stores.shared import SharedDatabase, SqliteCircuits

USD = 1_000_000_000
KEYS = {"env:A": ("upstream anthropic", b"digest")}


class Place:
    """A data folder, and readings of it."""

    def __init__(self, data: Path, config: Config) -> None:
        self.world, self.config, self.data = World(1), config, data
        self.shared = SharedDatabase(data)
        sources = Sources(
            Recent(data),
            AlertStore(data),
            SqliteCircuits(self.shared, self.world),
            partial(accounts, self.shared),
            lambda: KEYS,
        )
        self.reading = Reading(lambda: self.config, self.world, sources)

    def spend(self, budget: Budget, nano: int, *values: str) -> None:
        now_us = self.world.wall_us()
        name = budget.account(values, budget.span(now_us))
        with self.shared.changing() as connection:
            connection.execute("INSERT OR REPLACE INTO accounts VALUES (?, ?, 0, ?)", (name, nano, 1 << 62))

    def call(self, *at_s: float, **fields: object) -> None:
        connection = connect(self.data)
        rows = [row(round(at * 1e6), EPOCH_US + round(at * 1e6), **fields) for at in at_s]
        insert(connection, rows)
        connection.close()


def key(place: Place, name: str, **fields: object) -> str:
    store = KeyStore(place.data, place.world)
    made, _ = store.create(name, chance=SystemChance(), token=lambda size: name * size, **fields)  # type: ignore[arg-type]
    return made.id


def test_money_is_read_once_a_minute_and_failures_each_time(tmp_path: Path) -> None:
    place = Place(tmp_path, Config(data=tmp_path))
    place.world._now_s = 10.0
    assert place.reading.take().hour.nano == 0
    place.call(5.0)
    place.world._now_s = 69.0
    again = place.reading.take()
    assert (again.hour.nano, again.ended.calls) == (0, 1)
    place.world._now_s = 70.0
    assert place.reading.take().hour.nano == 10_000_000


def test_of_budgets_only_accounts_that_spent_enough_are_read(tmp_path: Path) -> None:
    config = BudgetConfig(name="each", per=("user",), period="day", plan_usd=10, limit_usd=20)
    place = Place(tmp_path, Config(data=tmp_path, budgets=(config,)))
    place.world._now_s = 3_600.0
    place.call(1800.0, 1900.0, user="u1")
    budget = Budget(config)
    place.spend(budget, 3 * USD, "u0")
    place.spend(budget, 4 * USD, "u1")
    (one,) = place.reading.take().standings
    assert (one.values, one.spent_nano, one.hour_nano, one.limit_nano) == (("u1",), 4 * USD, 20_000_000, 20 * USD)
    place.spend(budget, 5 * USD, "u0")
    told = measured(place.config.alerts, place.reading.take())
    assert [made.identity for made in told if made.level] == ["budget each / u0"]
    place.world._now_s += 86_400.0
    assert place.reading.take().standings == (), "another day, other accounts"


def test_keys_that_are_no_more_have_no_age_and_limits_of_keys_are_budgets(tmp_path: Path) -> None:
    place = Place(tmp_path, Config(data=tmp_path))
    kept = key(place, "kept", limit_nano=USD, period="day")
    revoked = key(place, "revoked")
    key(place, "expired", expires_at_us=place.world.wall_us() + 1)
    KeyStore(tmp_path, place.world).revoke(revoked)
    place.world._now_s = 3_600.0
    place.spend(of_key(USD, "day"), USD, kept)
    now = place.reading.take()
    assert [(held.identity, held.is_upstream) for held in now.keys] == [(kept, False), ("env:A", True)]
    assert [(one.values, one.spent_nano) for one in now.standings] == [((kept,), USD)]


def test_a_key_of_an_upstream_is_known_by_its_digest_alone() -> None:
    config = Config(upstreams={"x": UpstreamConfig(keys=("env:A", "env:B"), admin_key="env:C")})
    one, two, admin = (Target(name, "https://h", Secret(name * 20)) for name in "abc")
    found = digests(config, Routes({"x": (one, two)}, {}, {"x": admin}))
    assert list(found) == ["env:A", "env:B", "env:C"]
    assert {of for of, _ in found.values()} == {"upstream x"} and len({digest for _, digest in found.values()}) == 3
    bare = replace(config, upstreams={"x": UpstreamConfig()})
    assert digests(bare, Routes({"x": (Target("x", "https://h", None),)}, {}, {})) == {}
