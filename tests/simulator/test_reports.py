"""The admin API's reports, against the books."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest

from penstock.simulator import ApiKey, Drift, Running, running

Got = tuple[int, dict[str, str], bytes]
NOON = 1_795_176_000.0  # 2026-11-20T12:00:00Z
DAY = quote("2026-11-20T00:00:00Z")
OTHER = "sk-ant-" + "api03-other"


class Clock:
    def __init__(self) -> None:
        self.now_s = NOON

    def __call__(self) -> float:
        return self.now_s


def report(send: Callable[..., Got], sim: Running, kind: str, query: str) -> Any:
    status, _, body = send(sim, f"/v1/organizations/{kind}?starting_at={DAY}&{query}", x_api_key=sim.admin_key)
    assert status == 200, body
    return json.loads(body)


def rows(told: Any) -> list[dict[str, Any]]:
    return [row for bucket in told["data"] for row in bucket["results"]]


def busy(send: Callable[..., Got], sim: Running, ask: dict[str, Any], clock: Clock) -> None:
    marked = [{"type": "text", "text": "word " * 3_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    for number in range(12):
        model = ("claude-sonnet-4-6", "claude-haiku-5-5")[number % 2]
        key = OTHER if number % 3 == 0 else sim.key
        send(sim, body={**ask, "model": model, "system": marked, "stream": number % 2 == 0}, x_api_key=key)
        clock.now_s += 400
    send(sim, body={**ask, "model": "none"})


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_usage_is_what_the_books_hold_by_each_dimension(
    send: Callable[..., Got], ask: dict[str, Any], clock: Clock
) -> None:
    with running(seed=1, clock=clock, keys=[ApiKey(OTHER, workspace="two")]) as sim:
        busy(send, sim, ask, clock)
        groups = "&".join(f"group_by[]={name}" for name in ("api_key_id", "workspace_id", "model"))
        told = rows(report(send, sim, "usage_report/messages", groups))
        entries = [entry for entry in sim.books if entry.model]
    want: Counter[tuple[Any, ...]] = Counter()
    for entry in entries:
        want[entry.key_id, entry.workspace_id, entry.model] += entry.output_tokens
    assert {(r["api_key_id"], r["workspace_id"], r["model"]): r["output_tokens"] for r in told} == dict(want)
    assert len(told) == 4
    sums = {
        "uncached_input_tokens": sum(entry.input_tokens for entry in entries),
        "cache_read_input_tokens": sum(entry.cache_read_tokens for entry in entries),
    }
    assert {name: sum(row[name] for row in told) for name in sums} == sums
    written = sum(row["cache_creation"]["ephemeral_1h_input_tokens"] for row in told)
    assert written == sum(entry.cache_write_1h_tokens for entry in entries) > 0


def test_buckets_pages_and_filters(send: Callable[..., Got], ask: dict[str, Any], clock: Clock) -> None:
    with running(seed=1, clock=clock, keys=[ApiKey(OTHER, workspace="two")]) as sim:
        busy(send, sim, ask, clock)
        hours = report(send, sim, "usage_report/messages", "bucket_width=1h&limit=5")
        assert len(hours["data"]) == 5 and hours["has_more"] and rows(hours) == []
        found, page = 0, hours["next_page"]
        while page:
            hours = report(send, sim, "usage_report/messages", f"bucket_width=1h&limit=5&page={page}")
            found, page = found + sum(row["output_tokens"] for row in rows(hours)), hours["next_page"]
        whole = rows(report(send, sim, "usage_report/messages", ""))
        haiku = rows(report(send, sim, "usage_report/messages", "models[]=claude-haiku-5-5&group_by[]=model"))
    assert len(whole) == 1 and found == whole[0]["output_tokens"] and whole[0]["model"] is None
    assert [row["model"] for row in haiku] == ["claude-haiku-5-5"]


def test_cost_in_cents_is_the_sum_of_the_books(send: Callable[..., Got], ask: dict[str, Any], clock: Clock) -> None:
    with running(seed=1, clock=clock, keys=[ApiKey(OTHER, workspace="two")]) as sim:
        busy(send, sim, ask, clock)
        described = rows(report(send, sim, "cost_report", "group_by[]=description&group_by[]=workspace_id"))
        plain = rows(report(send, sim, "cost_report", ""))
        books = sum(entry.cost_nano for entry in sim.books)
    cents = sum(Decimal(row["amount"]) for row in described)
    assert abs(cents * 10_000_000 - books) < 12, "each call's own rounding aside"
    assert [Decimal(row["amount"]) for row in plain] == [cents] and plain[0]["currency"] == "USD"
    kinds = {row["token_type"] for row in described}
    assert kinds == {
        "uncached_input_tokens",
        "cache_read_input_tokens",
        "cache_creation.ephemeral_1h_input_tokens",
        "output_tokens",
    }


def test_early_faults_and_empty_days_are_in_no_sum(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    with running(clock=Clock()) as sim:
        sim.trigger("overloaded")
        send(sim, body=ask)
        told = report(send, sim, "cost_report", "")
    assert told["data"][0]["results"] == [] and told["data"][0]["starting_at"] == "2026-11-20T00:00:00Z"


@pytest.mark.parametrize(
    ("drift", "factor"),
    [(Drift(missing=1.0), 0), (Drift(doubled=1.0), 2), (Drift(price_factor=1.1), 1.1), (Drift(late_s=86_400), 0)],
)
def test_planted_drift_shows(send: Callable[..., Got], ask: dict[str, Any], drift: Drift, factor: float) -> None:
    with running(clock=Clock(), drift=drift) as sim:
        send(sim, body=ask)
        cents = sum(Decimal(row["amount"]) for row in rows(report(send, sim, "cost_report", "")))
        (entry,) = [one for one in sim.books if one.model]
    assert float(cents) == pytest.approx(entry.cost_nano / 10_000_000 * factor, rel=1e-6)


def test_rate_limits_name_every_served_model_once(sim: Running, send: Callable[..., Got]) -> None:
    told = json.loads(send(sim, "/v1/organizations/rate_limits", x_api_key=sim.admin_key)[2])
    names = [name for group in told["data"] for name in group["models"]]
    assert len(names) == len(set(names)) and {"claude-haiku-4-5", "claude-fable-5-2"} <= set(names)
    kinds = [limit["type"] for limit in told["data"][0]["limits"]]
    assert kinds == ["requests_per_minute", "input_tokens_per_minute_cache_aware", "output_tokens_per_minute"]


@pytest.mark.parametrize(
    ("path", "is_admin", "status", "part"),
    [
        ("/v1/organizations/cost_report?starting_at=2026-11-20T00:00:00Z", False, 401, "invalid x-api-key"),
        ("/v1/models", True, 401, "invalid x-api-key"),
        ("/v1/organizations/nothing", True, 404, "Not found"),
        ("/v1/organizations/usage_report/messages", True, 400, "starting_at: Field required"),
        ("/v1/organizations/usage_report/messages?starting_at=soon", True, 400, "starting_at"),
        (f"/v1/organizations/usage_report/messages?starting_at={DAY}&bucket_width=1w", True, 400, "bucket_width"),
        (f"/v1/organizations/usage_report/messages?starting_at={DAY}&limit=99", True, 400, "limit"),
        (f"/v1/organizations/usage_report/messages?starting_at={DAY}&group_by[]=mood", True, 400, "group_by"),
        (f"/v1/organizations/cost_report?starting_at={DAY}&bucket_width=1h", True, 400, "bucket_width"),
    ],
)
def test_each_key_opens_its_own_doors_and_bad_questions_are_named(
    sim: Running, send: Callable[..., Got], path: str, is_admin: bool, status: int, part: str
) -> None:
    key = sim.admin_key if is_admin else sim.key
    got, _, body = send(sim, path, x_api_key=key)
    assert got == status and part in json.loads(body)["error"]["message"]
