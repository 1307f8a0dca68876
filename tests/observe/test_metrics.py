"""Metrics: counted from records, in labels with few values, in the format that Prometheus' own parser reads."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from prometheus_client.parser import text_string_to_metric_families

from penstock.observe.metrics import VALUES_MAX, Metrics, Standing
from penstock.record import Record


def a_record(**more: Any) -> Record:
    fields: dict[str, Any] = {
        "call_id": "call_1",
        "began_at_us": 1,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "environment": "prod",
        "feature": "chat",
        "user": "u-canary",
        "session": "s-canary",
        "key_id": "key-canary",
        "model_served": "claude-haiku-4-5",
        "upstream": "anthropic",
        "attempts": 1,
        "cost_nano": 33_000,
        "input_tokens": 8,
        "output_tokens": 5,
        "total_us": 1_500_000,
        "upstream_us": 1_400_000,
        "first_token_us": 300_000,
        "stop_reason": "end_turn",
    }
    return Record(**(fields | more))


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Every sample by its name and the values of its labels, in the order of their names."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found[(sample.name, *(value for _, value in sorted(sample.labels.items())))] = sample.value
    return found


def test_a_call_is_counted_with_its_tokens_its_cost_and_its_time() -> None:
    metrics = Metrics()
    metrics.count([a_record(), a_record(cost_nano=None, cost_basis="unpriced", wait_us=2_000_000)])
    seen = values(metrics)
    what = ("chat", "claude-haiku-4-5")
    assert seen["penstock_calls_total", "complete", "messages", "prod", *what] == 2
    assert seen["penstock_cost_dollars_total", *what] == 33e-6
    assert seen["penstock_calls_without_price_total", *what] == 1
    assert seen["penstock_tokens_total", "chat", "input", "claude-haiku-4-5"] == 16
    assert seen["penstock_tokens_total", "chat", "output", "claude-haiku-4-5"] == 10
    assert seen["penstock_attempts_total", "claude-haiku-4-5", "anthropic"] == 2
    assert seen["penstock_call_duration_seconds_count", *what] == 2
    assert seen["penstock_call_duration_seconds_sum", *what] == 3
    assert seen["penstock_first_token_seconds_sum", *what] == pytest.approx(0.6)
    assert seen["penstock_wait_seconds_sum", "chat"] == 2
    assert seen["penstock_answers_total", *what, "end_turn"] == 2


def test_an_error_says_whose_it_was_and_a_refusal_is_no_duration() -> None:
    metrics = Metrics()
    refused = {"ending": "refused", "status": 402, "cost_nano": 0, "attempts": 0, "input_tokens": 0, "output_tokens": 0}
    metrics.count(
        [a_record(**refused, error_code="budget_exhausted", error_type="billing_error", error_layer="budgets")]
    )
    metrics.count([a_record(ending="failed", error_type="overloaded_error", cost_nano=0)])
    seen = values(metrics)
    assert seen["penstock_errors_total", "budget_exhausted", "chat", "budgets", "claude-haiku-4-5"] == 1
    assert seen["penstock_errors_total", "overloaded_error", "chat", "upstream", "claude-haiku-4-5"] == 1
    assert seen["penstock_call_duration_seconds_count", "chat", "claude-haiku-4-5"] == 1


def test_labels_have_few_values_whoever_calls_and_name_nobody() -> None:
    metrics = Metrics()
    metrics.count([a_record(feature=f"f{n}", model_served=f"m{n}", user=f"canary-{n}") for n in range(5 * VALUES_MAX)])
    text = metrics.text().decode()
    for label in ("feature", "model"):
        found = {part for line in text.splitlines() for part in line.split(f'{label}="')[1:]}
        assert len({part.partition('"')[0] for part in found}) <= VALUES_MAX + 1
    assert 'feature="other"' in text and "canary" not in text


def test_how_things_stand_is_asked_for_when_a_scraper_comes() -> None:
    now = [3.0]
    metrics = Metrics(lambda: [Standing("penstock_calls_in_flight", "Calls under way.", {}, now[0])])
    assert values(metrics)["penstock_calls_in_flight",] == 3
    now[0] = 4
    assert values(metrics)["penstock_calls_in_flight",] == 4


def test_prometheus_own_linter_finds_nothing() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; Debian has it in the package prometheus")
    metrics = Metrics(lambda: [Standing("penstock_calls_in_flight", "Calls under way.", {}, 1.0)])
    metrics.count([a_record(wait_us=1, error_type="api_error", ending="failed"), a_record(cost_nano=None)])
    checked = subprocess.run([promtool, "check", "metrics"], input=metrics.text(), capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
