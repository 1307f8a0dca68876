"""Through the gateway, what can be cured by trying again is, and the caller's SDK does not start over."""

from __future__ import annotations

import time

import anthropic
import pytest

from gateways import gateway
from penstock.simulator import running
from script import HELLO

QUICK = "[resilience]\nwait_first_s = 0.01\n"


@pytest.mark.parametrize(("fault", "attempts"), [("overloaded", 3), ("error_504", 2), ("html_502", 2)])
def test_a_failure_that_passes_is_not_the_callers(fault: str, attempts: int) -> None:
    with (
        running(seed=1) as simulator,
        gateway(simulator.url, config=QUICK, ANTHROPIC_API_KEY=simulator.key) as process,
        anthropic.Anthropic(base_url=process.url, api_key=process.key) as client,
    ):
        simulator.trigger(fault, attempts - 1)
        for stream in (False, True):
            if stream:
                simulator.trigger(fault, attempts - 1)
                with client.messages.stream(**HELLO) as events:
                    assert events.get_final_message().stop_reason == "end_turn"
            else:
                assert client.messages.create(**HELLO).content
        records = process.records(2)
        seen = [request.headers["x-stainless-retry-count"] for request in simulator.requests]
    assert seen == ["0"] * 2 * attempts, "the SDK itself never had to try again"
    assert [(record.ending, record.attempts, record.status) for record in records] == [("complete", attempts, 200)] * 2
    assert all(record.wait_us > 0 for record in records)


def test_a_failure_that_stays_is_tried_as_often_as_is_worth_it_and_no_more() -> None:
    with (
        running(seed=1, schedule=["overloaded"]) as simulator,
        gateway(simulator.url, config=QUICK, ANTHROPIC_API_KEY=simulator.key) as process,
        anthropic.Anthropic(base_url=process.url, api_key=process.key) as client,
    ):
        with pytest.raises(anthropic.OverloadedError) as raised:
            client.messages.create(**HELLO)
        assert raised.value.response.headers["x-should-retry"] == "false"
        assert len(simulator.requests) == 5, "with the fifth its circuit has opened"
        (record,) = process.records(1)
    assert (record.attempts, record.status, record.error_type) == (5, 529, "overloaded_error")


def test_without_a_breaker_an_outage_costs_the_budget_and_then_one_attempt_for_each_call() -> None:
    calls = 60
    with (
        running(seed=1, schedule=["overloaded"]) as simulator,
        gateway(simulator.url, config=f"{QUICK}breaker_failures = 0\n", ANTHROPIC_API_KEY=simulator.key) as process,
        anthropic.Anthropic(base_url=process.url, api_key=process.key) as client,
    ):
        for _ in range(calls):
            with pytest.raises(anthropic.OverloadedError):
                client.messages.create(**HELLO)
        assert len(simulator.requests) == calls + 35


def test_in_an_outage_the_circuit_opens_one_call_probes_and_all_is_well_again() -> None:
    config = f"{QUICK}breaker_open_s = 1.0\n"
    with (
        running(seed=1) as simulator,
        gateway(simulator.url, config=config, ANTHROPIC_API_KEY=simulator.key) as process,
        anthropic.Anthropic(base_url=process.url, api_key=process.key) as client,
    ):
        simulator.trigger("overloaded", 5)
        with pytest.raises(anthropic.OverloadedError):
            client.messages.create(**HELLO)
        for _ in range(20):
            with pytest.raises(anthropic.ServiceUnavailableError) as raised:
                client.messages.create(**HELLO)
            assert raised.value.error_code == "circuit_open" and "retry-after" in raised.value.response.headers
        assert len(simulator.requests) == 5
        time.sleep(1.1)
        assert client.messages.create(**HELLO).content
        assert client.messages.create(**HELLO).content
    assert len(simulator.requests) == 7
