"""Through the gateway, the official SDK gives the results it gives without: the same session as in process."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

from gateways import ONCE, gateway
from penstock.simulator import running

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))

import sdk_session as session


def clients(url: str, key: str) -> tuple[Any, Any]:
    options: dict[str, Any] = {"base_url": url, "api_key": key, "max_retries": 0, "timeout": 20}
    return anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)


def a_simulator() -> Any:
    return running(seed=7, allow_fault_headers=True, key="sk-ant-" + "sim", batch_s=0.0)


def unnumbered(seen: Any) -> Any:
    """Without request ids, which after the refused key are those of one request later."""
    return re.sub(r"\breq_01\w+", "req", json.dumps(seen))


def test_every_form_of_call_gives_what_it_gives_without_the_gateway() -> None:
    with a_simulator() as simulator:
        bare = session.both(lambda: clients(simulator.url, simulator.key))
    with a_simulator() as simulator, gateway(simulator.url, config=ONCE, ANTHROPIC_API_KEY=simulator.key) as process:
        client, loop_client = clients(process.url, process.key)
        with client:
            through = session.blocking(client)
        # What the simulator draws goes by the number of the request, and the wrong key never got to it.
        httpx2.get(simulator.url + "/v1/models")
        through += session.in_loop(loop_client)
        served = len(simulator.requests)
        records = process.records(served)
    for (name, without), (_, within) in zip(bare, through, strict=True):
        if name == "wrong key":  # refused by the gateway itself, in its own words
            assert within[:2] == without[:2]
        else:
            assert unnumbered(within) == unnumbered(without), name
    assert len(bare) > 30
    refused = [record for record in records if record.ending == "refused"]
    assert (len(records), len(refused)) == (served, 1), "one row per call"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_tool_runner_runs_its_loop_to_the_end(is_streamed: bool) -> None:
    with a_simulator() as simulator, gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as process:
        client, _ = clients(process.url, process.key)
        calls: list[str] = []

        @anthropic.beta_tool
        def get_weather(city: str) -> str:
            """The weather in a city.

            Args:
                city: Which city.
            """
            calls.append(city)
            return f"Rain in {city}."

        runner = client.beta.messages.tool_runner(
            model="claude-sonnet-4-6",
            max_tokens=300,
            tools=[get_weather],
            messages=[{"role": "user", "content": "What is the weather in Paris?"}],
            stream=is_streamed,
        )
        last = runner.until_done()
        assert last.stop_reason == "end_turn"
        assert len(calls) == 1
        assert [record.stop_reason for record in process.records(2)] == ["tool_use", "end_turn"]
