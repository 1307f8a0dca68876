"""Through a real gateway: a batch is held for when it is made, and billed by its results to whoever made it."""

from __future__ import annotations

import time
from typing import Any

import anthropic
import pytest

from gateways import Process, gateway
from penstock.ports.blocking import BlockingClock
from penstock.ports.money import Balance
from penstock.simulator import Running, running
from penstock.stores.budgets import SqliteBudgets
from penstock.stores.shared import SharedDatabase

CONFIG = '[[budgets]]\nname = "nightly"\nwhere = { feature = "nightly" }\nperiod = "total"\nlimit_usd = 5\n'


def requests(*max_tokens: int, model: str = "claude-haiku-4-5") -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "Tell me of rivers."}]}
    return [
        {"custom_id": f"r{number}", "params": {**body, "max_tokens": most}} for number, most in enumerate(max_tokens)
    ]


def balance(process: Process) -> Balance:
    shared = SharedDatabase(process.data)
    try:
        return SqliteBudgets(shared, BlockingClock()).balances()["nightly\x1ftotal"]
    finally:
        shared.close()


def ended(client: anthropic.Anthropic, batch_id: str) -> None:
    ends = time.monotonic() + 20
    while client.messages.batches.retrieve(batch_id).processing_status != "ended":
        assert time.monotonic() < ends
        time.sleep(0.05)


def a_client(process: Process) -> anthropic.Anthropic:
    headers = {"x-penstock-feature": "nightly", "x-penstock-user": "cron"}
    return anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0, default_headers=headers)


def charged(sim: Running) -> int:
    return sum(entry.cost_nano for entry in sim.books)


def test_a_batch_is_in_doubt_until_its_results_are_had_and_then_exact() -> None:
    with running(seed=1, accept_any=True) as sim, gateway(sim.url, config=CONFIG) as process:
        client = a_client(process)
        batch = client.messages.batches.create(requests=requests(50, 200, 0))
        made = process.record_of(endpoint="batches")
        assert made.batch_id == batch.id and (made.cost_nano, made.cost_basis) == (None, "deferred")
        assert made.held_nano is not None and made.held_nano > 250 * 5_000 // 2
        assert balance(process) == Balance(made.held_nano, 0)
        ended(client, batch.id)
        first = {entry.custom_id: entry.result.type for entry in client.messages.batches.results(batch.id)}
        assert first == {"r0": "succeeded", "r1": "succeeded", "r2": "errored"}
        record = awaited(process, batch.id)
        assert record.cost_nano == charged(sim) > 0 and record.user == "cron" and record.input_tokens > 0
        assert balance(process) == Balance(record.cost_nano, 0)
        list(client.messages.batches.results(batch.id))
        assert balance(process) == Balance(record.cost_nano, 0), "once"


def awaited(process: Process, batch_id: str) -> Any:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        record = next(one for one in process.records() if one.batch_id == batch_id)
        if record.cost_basis == "exact":
            return record
        time.sleep(0.05)
    raise AssertionError("the batch was not billed")


@pytest.mark.parametrize("model", ["claude-new-1", "claude-opus-5"])
def test_a_batch_that_no_budget_can_hold_is_refused_whole(model: str) -> None:
    with running(seed=1, accept_any=True) as sim, gateway(sim.url, config=CONFIG) as process:
        with pytest.raises(anthropic.APIStatusError) as caught:
            a_client(process).messages.batches.create(requests=requests(*[100_000] * 10, model=model))
        assert caught.value.status_code == (403 if model == "claude-new-1" else 402)
        assert not list(sim.books)
