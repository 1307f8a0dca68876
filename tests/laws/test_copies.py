"""Laws of copies, in simulated worlds: exact rows of their own, budgets of callers untouched, nobody waits for them."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace as with_config
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from laws.worlds import KEY, PRICES, Ledger, Money, Visit, a_visit, script_for, visit
from penstock.call import Target
from penstock.choosing.copies import Copied, CopyOf, Uncopied
from penstock.config.features import FeatureConfig
from penstock.config.money import BudgetConfig
from penstock.config.routes import ShadowConfig
from penstock.config.schema import Config
from penstock.errors import PenstockError
from penstock.layer import Next
from penstock.pipeline import build
from penstock.ports import Outgoing, Ports
from penstock.ports.simulated import Scripted, SimulatedUpstream, World
from penstock.record import Record
from penstock.secret import Secret
from penstock.spending.budget import parts
from penstock.stores.memory import MemoryRetryBudget
from script import JSON_ANSWER, STREAM_ANSWER, KeyRing, routes, shared

SEEDS = int(os.environ.get("PENSTOCK_SEEDS", "1000")) // 5
SHARDS = 4
SHADOW = "claude-opus-5"
_COPY = msgspec.json.Decoder(list[dict[str, Any]])


class Scene:
    """A world of a dozen callers, with copies or without, and what came of it."""

    def __init__(self, seed: int, *, share_percent: float, is_calm: bool = False) -> None:
        self.world = World(seed)
        random = self.world.random
        script = (lambda request: _calm(request)) if is_calm else script_for(Random(seed))
        self.upstream = SimulatedUpstream(self.world, script)
        self.ledger = Ledger(self.world, 0.0)
        self.money = Money(self.world, 0.0)
        shadow = ShadowConfig(model=SHADOW, share_percent=share_percent, concurrency_max=random.choice([1, 4, 100]))
        config = Config(
            features={"default": FeatureConfig(shadow=shadow)},
            budgets=(
                BudgetConfig(name="users", per=("user",), limit_usd="0.01"),
                BudgetConfig(name="key", where={"key": KEY.id}, limit_usd="0.01"),
                BudgetConfig(name="model", where={"model": SHADOW}, limit_usd="1"),
                BudgetConfig(name="all", where={"environment": "dev"}, limit_usd="1"),
            ),
        )
        ring = KeyRing({KEY.digest: KEY})
        kept = {**shared(self.world), "budgets": self.money}
        ports = Ports(self.world, self.world, self.upstream, self.ledger, ring, MemoryRetryBudget(35, 0.5), **kept)
        target = Target("anthropic", "https://api.example", Secret("sk-world-1234567890"))
        core = build(with_config(config), ports, routes(target), PRICES)
        self.visits: list[Visit] = []
        for number in range(12):
            made = a_visit(self.world, number)
            made = Visit(replace(made.call, id=f"call_{number}"), made.hangs_up and not is_calm)
            self.visits.append(made)
            come = _read(core, made) if is_calm else visit(core, self.world, made)
            made.task = self.world.spawn(come, after_s=number / 10)
        self.world.run()

    @property
    def copies(self) -> list[Record]:
        return [row for row in self.ledger.records if row.arm is not None]

    def spent(self, title: str) -> int:
        return sum(one.spent_nano for name, one in self.money.balances.items() if parts(name)[0] == title)


async def _read(core: Next, made: Visit) -> None:
    """A caller who reads as fast as it can, and draws no lots."""
    with contextlib.suppress(PenstockError):
        async for chunk in await core(made.call):
            made.got.append(chunk)


def _calm(request: Outgoing) -> Scripted:
    return STREAM_ANSWER if b'"stream": true' in request.body or b'"stream":true' in request.body else JSON_ANSWER


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_copy_has_a_row_of_its_own_and_counts_to_nobody(shard: int) -> None:
    met = 0
    for seed in range(shard, SEEDS, SHARDS):
        scene = Scene(seed, share_percent=100)
        note = f"seed {seed}"
        begun = {fact.call_id: made for made in scene.visits for fact in made.call.trail if isinstance(fact, Copied)}
        met += len(begun)
        assert {row.call_id for row in scene.copies} == set(begun), note
        for row in scene.copies:
            assert row.arm == f"shadow:{SHADOW}" and row.model_asked == SHADOW, note
            assert (row.key_id, row.user, row.session, row.segment, row.tier) == (None,) * 5, note
            assert row.environment == "dev" and row.attempts <= 1, note
            first = _COPY.decode(row.trail)[0]
            assert first["type"] == CopyOf.__name__ and first["call_id"] == begun[row.call_id].call.id, note
        users = {parts(name)[2] for name in scene.money.balances if parts(name)[0] == "users"}
        assert users <= {("ada",), ("bob",), ("",)}, note
        assert all(one.held_nano == 0 for one in scene.money.balances.values()), note
        assert all(served.is_released for served in scene.upstream.served), note
        assert all(task.is_done and not isinstance(task.error, Exception) for task in scene.world.tasks), note
    assert met > SEEDS // SHARDS, "copies were made"


def test_in_a_calm_world_every_caller_gets_the_same_bytes_at_the_same_time_and_each_budget_its_own() -> None:
    for seed in range(SEEDS // 2):
        bare, copied = (Scene(seed, share_percent=share, is_calm=True) for share in (0, 100))
        for one, other in zip(bare.visits, copied.visits, strict=True):
            assert b"".join(one.got) == b"".join(other.got), f"seed {seed}"
        took = [
            {row.call_id: row.total_us for row in scene.ledger.records if row.arm is None} for scene in (bare, copied)
        ]
        assert took[0] == took[1], f"seed {seed}"
        assert copied.copies, f"seed {seed}"
        rows = copied.ledger.records
        assert all(row.cost_basis in ("exact", "free") for row in rows), f"seed {seed}"
        assert copied.spent("key") == bare.spent("key") == sum(row.cost_nano or 0 for row in rows if row.key_id), seed
        assert copied.spent("model") == sum(row.cost_nano or 0 for row in copied.copies), f"seed {seed}"
        assert copied.spent("all") == sum(row.cost_nano or 0 for row in rows), f"seed {seed}"


def test_so_many_at_once_and_no_more() -> None:
    left_out = 0
    for seed in range(SEEDS // 4):
        scene = Scene(seed, share_percent=100)
        left_out += sum(isinstance(fact, Uncopied) for made in scene.visits for fact in made.call.trail)
    assert left_out
