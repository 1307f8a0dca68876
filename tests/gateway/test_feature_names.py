"""Callers may name a feature instead of a model, through both faces; which model that is, the config says."""

from __future__ import annotations

import json
from pathlib import Path

import anthropic
import pytest

import penstock
from gateways import command, gateway
from penstock.simulator import running
from script import HELLO

CONFIG = """
[features.chat]
model = "claude-haiku-4-5"
[features.silent]
timeout_s = 30
[[budgets]]
name = "haiku"
where = { model = "claude-haiku-4-5" }
plan_usd = 5
"""
NAMED = {**HELLO, "model": "feature:chat"}


def test_a_feature_is_named_instead_of_a_model(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(CONFIG)
    data = tmp_path / "data"
    with running(seed=1, accept_any=True) as sim:
        with gateway(sim.url, data=data, config=CONFIG) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            assert client.messages.create(**NAMED).model.startswith("claude-haiku-4-5")
            counted = client.messages.count_tokens(model="feature:chat", messages=HELLO["messages"])  # type: ignore[arg-type]
            assert counted.input_tokens == 8
            assert {record.model_asked for record in process.records(2)} == {"claude-haiku-4-5"}
        wrapped = penstock.wrap(
            anthropic.Anthropic(base_url=sim.url, api_key=sim.key), config=tmp_path / "penstock.toml", data=data
        )
        with wrapped.messages.stream(**NAMED) as events:
            assert events.get_final_message().stop_reason
        assert all(b'"claude-haiku-4-5"' in request.body for request in sim.requests)
    (row,) = json.loads(command("report", "--by", "feature", "--json", "--data", str(data)).stdout)["groups"]
    assert (row["feature"], row["calls"]) == ("chat", 3)
    words = ("budgets", "rebuild", "--config", str(tmp_path / "penstock.toml"), "--data", str(data))
    assert command(*words).returncode == 0, "budgets on a model count what the ledger does"


@pytest.mark.parametrize(
    ("model", "headers", "status", "said"),
    [
        ("feature:silent", {}, 404, "There are: feature:chat."),
        ("feature:nothing", {}, 404, "There are: feature:chat."),
        ("feature:chat", {"x-penstock-feature": "other"}, 400, "Name one feature."),
    ],
)
def test_what_names_no_model_is_refused(model: str, headers: dict[str, str], status: int, said: str) -> None:
    with running(seed=1) as sim, gateway(sim.url, config=CONFIG, ANTHROPIC_API_KEY=sim.key) as process:
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0)
        with pytest.raises(anthropic.APIStatusError, match=said) as caught:
            client.messages.create(**{**HELLO, "model": model}, extra_headers=headers)
        assert caught.value.status_code == status and not sim.requests


def test_a_key_for_some_models_reaches_no_other_by_a_features_name() -> None:
    with running(seed=1) as sim, gateway(sim.url, config=CONFIG, ANTHROPIC_API_KEY=sim.key) as process:
        for models, status in (("claude-haiku-4-5", 200), ("claude-opus-5", 403)):
            made = command("keys", "create", "some", "--models", models, "--data", str(process.data))
            client = anthropic.Anthropic(base_url=process.url, api_key=made.stdout.strip(), max_retries=0)
            if status == 200:
                assert client.messages.create(**NAMED).stop_reason
                continue
            with pytest.raises(anthropic.PermissionDeniedError, match="which is that of feature 'chat'"):
                client.messages.create(**NAMED)
