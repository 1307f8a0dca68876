"""What prompt a call was made of is on its record, through both faces, and reports compare versions by it."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic

import penstock
from gateways import command, gateway
from penstock.simulator import running
from script import HELLO


def test_calls_are_told_apart_by_the_prompt_they_were_made_of(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(seed=1, accept_any=True) as sim:
        with gateway(sim.url, data=data) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            client.messages.create(**HELLO, extra_headers={"x-penstock-prompt": "support@3:6ed2f3e0c1a7"})
            assert "x-penstock-prompt" not in sim.requests[-1].headers
            process.records(1)
        wrapped = penstock.wrap(anthropic.Anthropic(base_url=sim.url, api_key=sim.key), data=data, feature="chat")
        with penstock.tags(prompt="support@4:0c1a76ed2f3e"):
            wrapped.messages.create(**HELLO)
        wrapped.messages.create(**HELLO)
    penstock_report = command("report", "--by", "prompt,feature", "--json", "--data", str(data))
    groups = {(row["prompt"], row["feature"]): row["calls"] for row in json.loads(penstock_report.stdout)["groups"]}
    assert groups == {
        ("support@3:6ed2f3e0c1a7", None): 1,
        ("support@4:0c1a76ed2f3e", "chat"): 1,
        (None, "chat"): 1,
    }
