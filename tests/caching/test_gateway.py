"""Through a real gateway, to the simulator: what repeated calls cost with nothing said in the config."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic

import penstock
from caching.callers import body, talk
from gateways import gateway
from penstock.layers.per_attempt.caching import Marked
from penstock.simulator import running

BUDGET = '[[budgets]]\nname = "all"\nlimit_usd = "1"\n[features.off]\ncache = { marks = "off" }\n'


def test_a_system_prompt_is_written_once_and_read_from_then_on(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True) as sim, gateway(sim.url, config=BUDGET, data=tmp_path / "data") as process:
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
        for feature in ("support", "off"):
            for number in range(10):
                client.messages.create(**body(f"Question {number}"), extra_headers={"x-penstock-feature": feature})
        records = process.records(20)
        trail = json.loads(process.record(records[1].call_id).trail)
    support = [record for record in records if record.feature == "support"]
    assert [record.cache_write_5m_tokens for record in support] == [0, 3000] + [0] * 8
    assert [record.cache_read_tokens for record in support] == [0, 0] + [3000] * 8
    spent = {name: sum(one.cost_nano or 0 for one in records if one.feature == name) for name in ("support", "off")}
    assert spent["support"] < 0.4 * spent["off"]
    assert [fact["type"] for fact in trail].count(Marked.__name__) == 1
    held = next(fact for fact in trail if fact["type"] == "Reserved")
    assert held["nano"] >= (support[1].cost_nano or 0), "what is written to the cache is held for"


def test_a_conversation_in_process_reads_what_its_last_turn_wrote(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True) as sim:
        client = penstock.wrap(anthropic.Anthropic(base_url=sim.url, api_key=sim.key), data=tmp_path / "data")
        usages = [client.messages.create(**asked).usage for _, asked in talk(5, 1)]
    written = [usage.cache_creation_input_tokens or 0 for usage in usages]
    read = [usage.cache_read_input_tokens or 0 for usage in usages]
    assert written[0] == read[1] == 0 and written[1] > 3000
    assert all(later == first + more for later, first, more in zip(read[2:], read[1:], written[1:], strict=False))
