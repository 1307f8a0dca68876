"""What the arms of a feature came to, and the mix of models, summed from a ledger that is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateways import command
from penstock.config.features import FeatureConfig
from penstock.config.routes import QualityConfig
from penstock.drive import run
from penstock.record import Record
from penstock.stores.sqlite import SqliteLedger
from penstock.tools.compare import compare
from penstock.tools.mix import mix, quality_of

BEGAN_US = 1_795_132_800_000_000


class Clock:
    def now(self) -> float:
        return 0.0

    def wall_us(self) -> int:
        return BEGAN_US

    async def sleep(self, seconds: float) -> None: ...


def a_record(number: int, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "call_id": f"call_{number:0>26}",
        "began_at_us": BEGAN_US + number,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "feature": "chat",
        "model_served": "claude-sonnet-5-5",
        "status": 200,
        "cost_nano": 1_000_000,
        "cost_basis": "exact",
        "input_tokens": 100,
        "output_tokens": 10,
        "total_us": 2_000_000,
        "first_token_us": 500_000,
    }
    return Record(**{**given, **fields})


def kept(data: Path, *records: Record) -> Path:
    ledger = SqliteLedger(data, Clock())
    for record in records:
        run(ledger.close(record))
    ledger.close_store()
    return data


def test_arms_are_compared_with_their_control_and_what_was_refused_is_left_out(tmp_path: Path) -> None:
    control = [a_record(n, arm="chat/control", cost_nano=1_000_000 + n * 1000) for n in range(50)]
    arm = [
        a_record(
            100 + n,
            arm="chat/b",
            model_served="claude-haiku-5-5",
            cost_nano=200_000 + n * 1000,
            ending="truncated" if n < 20 else "complete",
            stop_reason="refusal" if n == 49 else "max_tokens" if n == 48 else "end_turn",
            outcome="valid" if n >= 25 else "invalid",
        )
        for n in range(50)
    ]
    refused = [a_record(200 + n, arm="chat/b", ending="refused", status=402, cost_nano=0) for n in range(9)]
    other = [a_record(300, feature="other", arm="chat/b"), a_record(301)]
    made = compare(kept(tmp_path, *control, *arm, *refused, *other), "chat")
    none, b, reference = made.arms
    assert (none.label, none.calls) == (None, 1)
    assert (b.label, b.calls, b.refused, b.failures, b.declined, b.capped) == ("chat/b", 50, 9, 20, 1, 1)
    assert dict(b.outcomes) == {"valid": 25, "invalid": 25} and dict(b.models) == {"claude-haiku-5-5": 50}
    assert b.told()["cost_per_call_usd"] == "0.0002245" and reference.calls == 50
    assert b.told()["latency_ms"] == {"p50": 2000.0, "p95": 2000.0}
    (found,) = made.differences
    assert (found.arm, found.against, found.pairs) == ("chat/b", "chat/control", None)
    assert found.cost.difference == pytest.approx(-800_000) and found.cost.is_sure
    assert found.failures.difference == 0.4 and found.failures.is_sure
    assert compare(tmp_path, "chat", since_us=BEGAN_US + 100).differences == (), "the control was before that"


def test_copies_are_compared_with_the_very_calls_they_are_of(tmp_path: Path) -> None:
    rows = []
    for n in range(30):
        own = a_record(n, cost_nano=1_000_000 * n)
        fact = {"type": "CopyOf", "call_id": own.call_id, "model": "m"}
        copy = a_record(
            100 + n, arm="shadow:m", cost_nano=1_000_000 * n + 5000 + n % 3, trail=json.dumps([fact]).encode()
        )
        rows += [own, copy]
    lost = {"type": "CopyOf", "call_id": "call_gone", "model": "m"}
    rows.append(a_record(500, arm="shadow:m", trail=json.dumps([lost]).encode()))
    (found,) = compare(kept(tmp_path, *rows), "chat").differences
    assert (found.arm, found.against, found.pairs) == ("shadow:m", None, 30)
    assert found.cost.difference == pytest.approx(5001) and found.cost.is_sure


def test_the_mix_is_of_calls_and_dollars_and_names_who_gave_no_reason(tmp_path: Path) -> None:
    rows = [a_record(n, feature="sort", model_served="claude-haiku-4-5-20251001", cost_nano=1000) for n in range(80)]
    rows += [a_record(100 + n, cost_nano=2000) for n in range(15)]
    rows += [a_record(200 + n, feature="law", model_served="claude-opus-5", cost_nano=10_000) for n in range(4)]
    rows += [a_record(300, feature="odd", model_served="claude-fable-5", cost_nano=10_000)]
    rows += [a_record(400, arm="shadow:m"), a_record(401, ending="refused"), a_record(402, endpoint="batches")]
    features = {
        "law": FeatureConfig(model="claude-opus-5", reason="a wrong word is dear"),
        "plan": FeatureConfig(quality="top"),
    }
    told = mix(kept(tmp_path, *rows), features, QualityConfig()).told()
    assert [(row["quality"], row["calls_percent"], row["thumb_percent"]) for row in told["tiers"]] == [
        ("top", 5.0, 5),
        ("balanced", 15.0, 15),
        ("fast", 80.0, 80),
        ("other", 0.0, None),
    ]
    assert [row["cost_usd"] for row in told["tiers"]] == ["0.00005", "0.00003", "0.00008", "0.00"]
    assert told["unreasoned"] == ["odd", "plan"], "one by its calls, one by its config"
    assert {row["feature"]: row["reason"] for row in told["features"]}["law"] == "a wrong word is dear"


def test_a_model_is_of_the_tier_that_names_it_or_of_its_family() -> None:
    own = QualityConfig(top="claude-sonnet-5-5", balanced="my-model", fast="claude-haiku-4-5")
    tiers = [quality_of(name, own) for name in ("claude-sonnet-5-5", "my-model", "claude-haiku-4-5-20251001")]
    assert tiers == ["top", "balanced", "fast"]
    assert [quality_of(name, own) for name in ("claude-opus-5", "claude-sonnet-5", "?")] == ["top", "balanced", "other"]


def test_the_verbs_print_it_and_say_no_where_there_is_no_reason(tmp_path: Path) -> None:
    data = kept(
        tmp_path / "data",
        *[a_record(n, arm="chat/control" if n % 2 else "chat/b", cost_nano=1000 * n) for n in range(20)],
        a_record(50, model_served="claude-opus-5"),
    )
    done = command("compare", "chat", "--data", str(data))
    assert done.returncode == 0 and "chat/b against chat/control:" in done.stdout, done.stderr
    assert "cost per call: -0.000001 dollars, with 95 % confidence from" in done.stdout and "chance" in done.stdout
    told = json.loads(command("compare", "chat", "--json", "--data", str(data)).stdout)
    assert [arm["arm"] for arm in told["arms"]] == [None, "chat/b", "chat/control"]
    assert "Nothing to compare" in command("compare", "--data", str(data)).stdout
    done = command("mix", "--data", str(data))
    assert done.returncode == 1 and "chat uses the top tier and has no reason" in done.stdout
    config = tmp_path / "penstock.toml"
    config.write_text('[features.chat]\nreason = "tone"\n')
    done = command("mix", "--json", "--data", str(data), "--config", str(config))
    assert done.returncode == 0 and json.loads(done.stdout)["unreasoned"] == []


def test_check_says_what_is_chosen_and_what_would_not_work(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(
        """
[[routes]]
when = { tasks = ["chat"], hours = "22:00-06:00", weekdays = ["sat"], tiers = ["free"] }
lane = "background"
[[budgets]]
name = "all"
limit_usd = 5
[features.chat]
quality = "balanced"
reason = "tone"
task = "chat"
[[features.chat.routes]]
when = { budget = "all", left_below_percent = 20, tokens_over = 1000 }
quality = "fast"
[features.chat.split]
arms = [{ name = "b", share_percent = 5, quality = "fast" }]
[features.chat.shadow]
quality = "fast"
share_percent = 1
[features.old]
model = "claude-3-opus-20240229"
[features.silent]
timeout_s = 3
[features.odd]
routes = [{ model = "my-model" }]
"""
    )
    done = command("check", "routes", "--config", str(config))
    assert done.returncode == 1
    for said in (
        "Calls that name feature:chat go to claude-sonnet-5-5: tone.",
        "Rule 1: over 1,000 tokens, less than 20 % left of budget 'all': goes to claude-haiku-5-5.",
        "Rule 2: task is chat, tier is free, on sat, from 22:00 to 06:00, in UTC: in the background lane.",
        "Split 'chat' by user: b 5 % (claude-haiku-5-5), control 95 %.",
        "1 % are copied to claude-haiku-5-5. Copies are paid; they count to budgets on the environment",
        "FAULT: claude-3-opus-20240229 is retired",
        "FAULT: no price is known for my-model",
        "FAULT: it has neither `model` nor `quality`",
        "FAULT: it is in the top tier of quality, and has no `reason`",
    ):
        assert said in done.stdout, said
    assert "silent" not in done.stdout
    done = command("check", "routes", "--config", str(config), "--feature", "chat", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["ok"] is True
