"""In process: the same budgets, and the SDK's own exception when they say no."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anthropic
import pytest

import penstock
from penstock.simulator import running

ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Tell me of rivers in 100 words."}],
}
CONFIG = """
[[budgets]]
name = "chat"
where = { feature = "chat" }
limit_usd = "0.0025"
"""


def test_a_budget_stops_blocking_and_async_clients_alike_and_asks_nobody(tmp_path: Path) -> None:
    place = tmp_path / "penstock.toml"
    place.write_text(CONFIG)
    options: dict[str, Any] = {"config": place, "data": tmp_path / "data", "feature": "chat"}
    with running(seed=1) as sim:
        common: dict[str, Any] = {"base_url": sim.url, "api_key": sim.key}
        blocking = penstock.wrap(anthropic.Anthropic(**common), **options)
        answered = 0
        with pytest.raises(anthropic.APIStatusError) as caught:
            for _ in range(10):
                with blocking.messages.stream(**ASK) as events:
                    events.get_final_message()
                answered += 1
        assert 1 <= answered < 5 and len(sim.requests) == answered, "the SDK's retries ask nobody either"
        error = caught.value
        assert error.status_code == 402 and "'chat'" in str(error)
        assert error.body["error"]["details"]["error_code"] == "budget_exhausted"  # type: ignore[index]

        async def other() -> None:
            async with penstock.wrap(anthropic.AsyncAnthropic(**common), **options) as client:
                with pytest.raises(anthropic.APIStatusError, match="'chat'"):
                    await client.messages.create(**ASK)
                with penstock.tags(feature="other"):
                    assert (await client.messages.create(**ASK)).stop_reason

        asyncio.run(other())
        assert len(sim.requests) == answered + 1
        spent = sum(entry.cost_nano for entry in sim.books)
    assert spent <= 2 * 2_500_000
