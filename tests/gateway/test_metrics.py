"""`/metrics` of a real gateway: what was called, and how budgets stand; not for everybody."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic
import httpx2
import pytest

from gateways import command, gateway
from penstock.simulator import running
from script import HELLO

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client.parser import text_string_to_metric_families

CONFIG = """
[upstreams.sim]
kind = "compatible"
url = "{url}"
keys = ["env:SIM_KEY"]
[metrics]
enabled = true
[[budgets]]
name = "all"
period = "total"
limit_usd = 10
"""


def scraped(text: str) -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels} | {
        f"{sample.name} {' '.join(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels
    }


def test_calls_and_budgets_are_there_for_a_key_that_may_see_them(tmp_path: Path) -> None:
    with (
        running(seed=1, accept_any=True) as sim,
        gateway(data=tmp_path / "data", config=CONFIG.format(url=sim.url), SIM_KEY=sim.key) as process,
    ):
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
        client.messages.create(**HELLO, extra_headers={"x-penstock-feature": "chat", "x-penstock-user": "canary"})
        with pytest.raises(anthropic.BadRequestError):
            client.messages.create(**{**HELLO, "max_tokens": -1})
        rows = process.records(2)
        made = command("keys", "create", "prometheus", "--scopes", "admin", "--json", "--data", str(process.data))
        key = json.loads(made.stdout)["key"]
        assert httpx2.get(f"{process.url}/metrics").status_code == 401
        assert httpx2.get(f"{process.url}/metrics", headers={"x-api-key": process.key}).status_code == 403
        answer = httpx2.get(f"{process.url}/metrics", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    seen = scraped(answer.text)
    cost = sum(row.cost_nano or 0 for row in rows) / 1e9
    spent = next(value for name, value in seen.items() if name == "penstock_budget_spent_dollars all")
    assert cost > 0 and spent == pytest.approx(cost) and seen["penstock_budget_limit_dollars all"] == 10
    counted = sum(value for name, value in seen.items() if name.startswith("penstock_calls_total "))
    assert counted == 2 and seen["penstock_calls_in_flight"] == 0
    assert "canary" not in answer.text


def test_without_the_config_there_are_none(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True) as sim, gateway(sim.url, data=tmp_path / "data") as process:
        assert httpx2.get(f"{process.url}/metrics", headers={"x-api-key": process.key}).status_code == 404
