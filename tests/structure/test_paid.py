"""In every simulated world what was asked again is held and billed: to the nano-dollar, and within the budgets."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from penstock.call import Target
from penstock.config.features import FeatureConfig
from penstock.config.form import FormConfig
from penstock.config.money import BudgetConfig
from penstock.config.schema import Config
from penstock.errors import PenstockError
from penstock.layers.per_call.routing import Routes
from penstock.pipeline import build
from penstock.ports import Ports
from penstock.ports.simulated import World
from penstock.secret import Secret
from penstock.simulator import Faults, Pace, Simulator
from penstock.simulator.upstream import SimulatorUpstream
from penstock.stores.memory import MemoryKeys, MemoryLedger, MemoryRetryBudget
from penstock.wire.prices import PriceBook
from script import a_call, shared

SCHEMA = b'{"type":"object","properties":{"level":{"type":"integer","minimum":0}},"required":["level"]}'
LIMIT_NANO = 12_000_000
WHOLE = ("whole", "refusal", "refusal_mid")
VERSION = ((b"anthropic-version", b"2026-10-21"),)
SAID = ['{"level": 3}', '{"level": -3}', '{"level": "high"}', "It is high.", "", '```json\n{"level": 3}\n```']


def a_body(random: Random, number: int) -> dict[str, Any]:
    return {
        "model": random.choice(["claude-haiku-5-5", "claude-sonnet-4-6", "claude-opus-5-5", "claude-haiku-4-5"]),
        "max_tokens": random.choice([12, 200]),
        "messages": [{"role": "user", "content": f"How high is river {number}?" + " Well?" * random.randrange(300)}],
        "stream": random.random() < 0.5,
    }


@pytest.mark.parametrize("shard", range(4))
def test_what_is_asked_again_is_held_and_billed(shard: int) -> None:
    outcomes: Counter[str | None] = Counter()
    refused: Counter[str | None] = Counter()
    compared = 0
    for seed in range(shard, 40, 4):
        world = World(seed)
        said = Random(seed)
        simulator = Simulator(
            seed=seed,
            clock=lambda: world.wall_us() / 1e6,  # noqa: B023  (each world is run before the next is made)
            pace=Pace(first_token_ms=200, tokens_per_s=200),
            faults=Faults(overloaded=0.05, cut=0.05, refusal=0.05, refusal_mid=0.05),
            answers=[lambda request: said.choice(SAID) or None],  # noqa: B023
        )
        form = FormConfig(
            schema="level.json",
            native=said.choice(["auto", "off"]),
            repairs=said.randrange(4),
            invalid=said.choice(["return", "refuse"]),
            streams=said.choice(["hold", "hold", "pass"]),
        )
        config = Config(
            features={"default": FeatureConfig(form=form)},
            budgets=(BudgetConfig(name="all", limit_usd=str(LIMIT_NANO / 1e9)),),
        )
        ledger, key = MemoryLedger(), Secret(simulator.key)
        upstream = SimulatorUpstream(simulator, world)
        ports = Ports(world, world, upstream, ledger, MemoryKeys(), MemoryRetryBudget(35, 0.5), **shared(world))
        routes = Routes({"sim": (Target("sim", "http://sim", key),)}, {}, schemas={"level.json": SCHEMA})
        core = build(config, ports, routes, PriceBook())

        async def visit(number: int) -> None:
            call = a_call(a_body(world.random, number), face="client", headers=VERSION)  # noqa: B023
            try:
                reply = await core(replace(call, id=f"call_{number}", plan=None, began=world.now()))  # noqa: B023
                async for _ in reply:
                    pass
            except PenstockError:
                pass

        for number in range(12):
            world.spawn(visit(number), after_s=world.uniform(0, 60))
        world.run()
        entries = {entry.request_id: entry for entry in simulator.books}
        assert sum(entry.cost_nano for entry in entries.values()) <= LIMIT_NANO, seed
        assert len(ledger.records) == 12
        for record in ledger.records.values():
            outcomes[record.outcome] += 1
            refused[record.error_code] += 1
            facts: list[dict[str, Any]] = msgspec.json.decode(record.trail)
            asked = [entries[fact["request_id"]] for fact in facts if fact["type"] == "Answered"]
            assert len(asked) <= (form.repairs + 1) * 7 and record.attempts >= len(asked)
            # What broke has told nobody what it used.
            if record.ending == "complete" and all(one.ending in WHOLE or one.status >= 400 for one in asked):
                assert record.cost_basis in ("exact", "free")
                assert record.cost_nano == sum(one.cost_nano for one in asked), (seed, record.call_id)
                compared += len(asked) > 1
    assert compared > 10 and refused["budget_exhausted"] and refused["answer_invalid"], refused
    assert {"valid", "repaired", "invalid", "truncated", "refused"} <= set(outcomes), outcomes
