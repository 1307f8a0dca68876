"""Requests and answers that were kept can be looked into, by both faces, and nothing secret is in them."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic

from gateways import ONCE, command, gateway
from penstock.simulator import Faults, running
from script import HELLO

CONFIG = """
[upstreams.sim]
kind = "compatible"
url = "{url}"
keys = ["env:SIM_KEY"]
[records.bodies]
percent = {percent}
"""
ASKED = {**HELLO, "messages": [{"role": "user", "content": "Write to ada@example.com"}]}


def explained(call_id: str, data: Path) -> dict[str, str]:
    told = command("explain", call_id, "--bodies", "--json", "--data", str(data))
    bodies: dict[str, str] = json.loads(told.stdout)["bodies"]
    return bodies


def test_a_stream_is_shown_as_its_message_without_the_address_in_the_request(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True) as sim:
        config = CONFIG.format(url=sim.url, percent=100)
        with gateway(data=tmp_path / "data", config=config, SIM_KEY=sim.key) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            with client.messages.stream(**ASKED) as stream:  # type: ignore[arg-type]
                said = stream.get_final_text()
            (record,) = process.records(1)
            process.stop()
        bodies = explained(record.call_id, process.data)
        shown = command("explain", record.call_id, "--bodies", "--data", str(process.data)).stdout
    assert json.loads(bodies["request"])["messages"][0]["content"] == "Write to [EMAIL]"
    assert json.loads(bodies["answer"])["content"][0]["text"] == said
    assert "ada@example.com" not in shown and "[EMAIL]" in shown
    for file in process.data.rglob("*"):
        assert not file.is_file() or sim.key.encode() not in file.read_bytes()


def test_what_failed_is_kept_and_what_went_well_is_not(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True, faults=Faults(overloaded=0.5)) as sim:
        config = CONFIG.format(url=sim.url, percent=0) + ONCE
        with gateway(data=tmp_path / "data", config=config, SIM_KEY=sim.key) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0)
            for _ in range(20):
                try:
                    client.messages.create(**ASKED)  # type: ignore[call-overload]
                except anthropic.APIStatusError as error:
                    assert error.status_code == 529
            records = process.records(20)
            process.stop()
        for record in records:
            bodies = explained(record.call_id, process.data)
            if record.status == 529:
                assert "overloaded_error" in bodies["answer"]
            else:
                assert bodies is None
    assert {record.status for record in records} == {200, 529}


def test_a_call_that_was_not_kept_says_so(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True) as sim:
        config = CONFIG.format(url=sim.url, percent=0)
        with gateway(data=tmp_path / "data", config=config, SIM_KEY=sim.key) as process:
            anthropic.Anthropic(base_url=process.url, api_key=process.key).messages.create(**ASKED)  # type: ignore[call-overload]
            (record,) = process.records(1)
        said = command("explain", record.call_id, "--bodies", "--data", str(process.data)).stdout
    assert "were not kept" in said
