"""What the ledger says a call cost is what the API's own books say, in every simulated world."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.call import Target
from penstock.config.schema import Config
from penstock.pipeline import build
from penstock.ports import Ports
from penstock.ports.simulated import World
from penstock.secret import Secret
from penstock.simulator import Faults, Pace, Simulator
from penstock.simulator.upstream import SimulatorUpstream
from penstock.stores.memory import MemoryKeys, MemoryLedger, MemoryRetryBudget
from penstock.wire.prices import PriceBook
from script import a_call, routes, shared

MODELS = ("claude-haiku-5-5", "claude-sonnet-4-6", "claude-opus-5-5", "claude-haiku-4-5")
PRICES = PriceBook()


def a_body(random: Random) -> dict[str, Any]:
    words = " ".join(["water"] * random.choice([3, 40, 1_500, 6_000]))
    body: dict[str, Any] = {
        "model": random.choice(MODELS),
        "max_tokens": random.choice([5, 60, 400]),
        "messages": [{"role": "user", "content": f"Of {words}, tell me more in {random.randrange(5, 90)} words."}],
        "stream": random.random() < 0.5,
    }
    if random.random() < 0.4:
        mark = {"type": "ephemeral", "ttl": random.choice(["5m", "1h"])}
        body["system"] = [{"type": "text", "text": "mill " * 5_000, "cache_control": mark}]
    if random.random() < 0.2 and body["model"] in ("claude-opus-5-5",):
        body["speed"] = "fast"
    if random.random() < 0.2 and body["model"] != "claude-haiku-4-5":
        body["inference_geo"] = "us"
    if random.random() < 0.2:
        body["tools"] = [{"type": "web_search_20250305", "name": "web_search"}]
        body["messages"][0]["content"] = "Search the web for mills."
    return body


@pytest.mark.parametrize("shard", range(4))
def test_the_ledger_and_the_invoice_agree_to_the_nano_dollar(shard: int) -> None:
    compared = broken = 0
    for seed in range(shard, 60, 4):
        world = World(seed)
        simulator = Simulator(
            seed=seed,
            clock=lambda: world.wall_us() / 1e6,  # noqa: B023  (each world is run before the next is made)
            pace=Pace(first_token_ms=200, tokens_per_s=200),
            faults=Faults(overloaded=0.1, cut=0.05, reset=0.05, refusal=0.05, refusal_mid=0.05, error_mid=0.05),
        )
        ledger = MemoryLedger()
        upstream = SimulatorUpstream(simulator, world)
        ports = Ports(world, world, upstream, ledger, MemoryKeys(), MemoryRetryBudget(35, 0.5), **shared(world))
        core = build(Config(), ports, routes(Target("sim", "http://sim", Secret(simulator.key))), PRICES)

        async def visit(number: int) -> None:
            headers = ((b"anthropic-version", b"2026-10-21"),)
            call = a_call(a_body(world.random), face="client", headers=headers)  # noqa: B023
            reply = await core(replace(call, id=f"call_{number}", began=world.now()))  # noqa: B023
            try:
                async for _ in reply:
                    pass
            finally:
                await reply.aclose()

        for number in range(14):
            world.spawn(visit(number), after_s=world.uniform(0, 400))
        world.run()
        entries = {entry.request_id: entry for entry in simulator.books}
        assert len(ledger.records) == 14
        for record in ledger.records.values():
            entry = entries.get(record.upstream_request_id or "")
            if record.ending != "complete" or entry is None or entry.ending not in ("whole", "refusal", "refusal_mid"):
                broken += 1
                continue
            assert record.cost_basis in ("exact", "free") and record.cost_nano == entry.cost_nano, (
                seed,
                record.call_id,
            )
            assert (record.input_tokens, record.output_tokens) == (entry.input_tokens, entry.output_tokens)
            assert record.cache_read_tokens == entry.cache_read_tokens
            compared += 1
    assert compared > 120 and broken > 2
