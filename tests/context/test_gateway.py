"""A conversation of thirty exchanges through a gateway, as an application holds it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from context.talk import BOUND
from gateways import command, gateway
from penstock.simulator import running
from penstock.stores.reading import LedgerReader
from penstock.tools.explain import facts
from penstock.wire.messages import Usage
from penstock.wire.prices import PriceBook

COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
CONFIG = """
[features.chat]
context = { turns = 10, beyond = "summarise" }
[features.tight]
context = { turns = 2, beyond = "refuse" }
[[budgets]]
limit_usd = "5"
"""


@pytest.mark.weighty
def test_thirty_exchanges_through_a_gateway() -> None:
    with running(seed=3) as sim, gateway(sim.url, config=CONFIG, ANTHROPIC_API_KEY=sim.key) as process:
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0)
        messages: list[dict[str, Any]] = []
        for at in range(30):
            messages.append({"role": "user", "content": f"{at}: tell me of the river."})
            headers = {"x-penstock-feature": "chat"}
            more: dict[str, Any] = {"model": BOUND, "max_tokens": 2_000, "extra_headers": headers}
            if at % 2:
                with client.messages.stream(messages=messages, **more) as stream:  # type: ignore[arg-type]
                    answer = stream.get_final_message()
            else:
                answer = client.messages.create(messages=messages, **more)  # type: ignore[arg-type]
            content = [block.model_dump(exclude_none=True) for block in answer.content]
            messages.append({"role": "assistant", "content": content})
        with pytest.raises(anthropic.BadRequestError, match="longer than feature 'tight'"):
            client.messages.create(
                model="claude-haiku-4-5",
                max_tokens=9,
                messages=messages[:9],  # type: ignore[arg-type]
                extra_headers={"x-penstock-feature": "tight"},
            )
        records = process.records(31)[:30]
        with LedgerReader(process.data) as ledger:
            trails = [facts(found) for one in records if (found := ledger.call(one.call_id)) is not None]
        told = command("explain", records[29].call_id, "--data", str(process.data)).stdout
    sent = [json.loads(request.body)["messages"] for request in sim.requests]
    assert max(len(turns) for turns in sent) <= 1 + 2 * 11
    pruned = [[fact for fact in trail if fact["type"] == "Pruned"] for trail in trails]
    assert [len(found) for found in pruned] == [0] * 11 + [1] * 19
    assert {found[0]["summary"] for found in pruned[11:]} == {"made", "known"}
    assert all(record.status == 200 for record in records) and len(sim.requests) == 30 + len(paid(trails))
    book = PriceBook()
    for record, trail in zip(records, trails, strict=True):
        own = Usage(**{name: getattr(record, name) for name in COUNTS})
        asides = [(fact["usage"], fact["model"]) for fact in trail if fact["type"] == "Spent"]
        usages = [(own, BOUND), *[(Usage(**used), model) for used, model in asides]]
        assert record.cost_nano == sum(
            book.price(usage, model, record.began_at_us).nano or 0 for usage, model in usages
        ), "summaries are on the call's bill"
    assert "Left out of the conversation: 20 exchanges" in told


def paid(trails: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [fact for trail in trails for fact in trail if fact["type"] == "Spent"]
