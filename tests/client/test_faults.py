"""What breaks reaches the caller as the SDK's own exceptions, and the ledger as a row."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import anthropic
import pytest
from sdk_session import ASK

import penstock
from penstock.config.schema import AdmissionConfig, Config
from penstock.simulator import Running


def test_a_reset_before_the_answer_is_a_connection_error(client: Any, sim: Running, rows: Any) -> None:
    sim.trigger("reset")
    with pytest.raises(anthropic.APIConnectionError) as raised:
        client.messages.create(**ASK)
    assert not isinstance(raised.value, anthropic.APITimeoutError)
    assert [(row["ending"], row["error_code"]) for row in rows()] == [("failed", "reset")]


def test_nobody_listening_is_a_connection_error_and_costs_nothing(config: Config, rows: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    client = penstock.wrap(anthropic.Anthropic(base_url=url, api_key="k"), config=config)
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(**ASK)
    assert [(row["error_code"], row["cost_nano"]) for row in rows()] == [("connect_failed", 0)]


def test_an_answer_that_does_not_come_is_a_timeout_error(client: Any, sim: Running, rows: Any) -> None:
    sim.trigger("hang")
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(**ASK)
    assert [(row["error_code"], row["cost_basis"]) for row in rows()] == [("first_byte_timeout", "unknown")]


def test_the_async_client_times_out_alike(loop_client: Any, sim: Running, rows: Any) -> None:
    sim.trigger("hang")
    with pytest.raises(anthropic.APITimeoutError):
        asyncio.run(loop_client.with_options(timeout=0.2).messages.create(**ASK))
    assert rows()[0]["error_code"] == "first_byte_timeout"


@pytest.mark.parametrize("fault", ["truncate:4", "truncate_half:4", "cut:4", "reset_mid:4"])
def test_a_stream_that_breaks_is_an_api_error_never_a_clean_end(
    client: Any, sim: Running, rows: Any, fault: str
) -> None:
    from penstock.simulator.faults import read_fault

    sim.trigger(read_fault(fault))
    seen = []
    with pytest.raises(anthropic.APIStatusError) as raised:
        for event in client.messages.create(**ASK, stream=True):
            seen.append(event.type)
    assert seen[0] == "message_start" and "message_stop" not in seen
    assert raised.value.type == "api_error"
    assert rows()[0]["ending"] in ("truncated", "failed")
    assert rows()[0]["cost_basis"] == "estimated"


def test_the_async_stream_breaks_alike(loop_client: Any, sim: Running) -> None:
    sim.trigger("truncate")

    async def main() -> None:
        async with loop_client.messages.stream(**ASK) as stream:
            await stream.get_final_message()

    with pytest.raises(anthropic.APIStatusError):
        asyncio.run(main())


def test_an_empty_whole_answer_is_a_connection_error(client: Any, sim: Running) -> None:
    sim.trigger("empty_200")
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(**ASK)


def test_sdk_retries_are_off_underneath(client: Any, sim: Running) -> None:
    sim.trigger("overloaded", 3)
    with pytest.raises(anthropic.OverloadedError):
        client.messages.create(**ASK)
    assert len(sim.requests) == 1


def test_a_refusal_of_ours_is_the_sdks_exception_with_code_and_fix(bare: Any, config: Config, rows: Any) -> None:
    strict = Config(data=config.data, admission=AdmissionConfig(body_bytes_max=10))
    client = penstock.wrap(bare, config=strict)
    with pytest.raises(anthropic.APIStatusError) as raised:
        client.messages.create(**ASK)
    error: Any = raised.value
    assert type(error) is anthropic.ContentTooLargeError
    assert error.body["error"]["details"]["layer"] == "admission"
    assert "body_bytes_max" in error.body["error"]["details"]["fix"]
    assert error.response.headers["x-should-retry"] == "false"
    assert rows()[0]["ending"] == "refused"


def test_a_bad_tag_in_a_header_is_a_bad_request(client: Any) -> None:
    with pytest.raises(anthropic.BadRequestError, match="x-penstock-feature"):
        client.messages.create(**ASK, extra_headers={"x-penstock-feature": "f" * 300})


def test_a_bug_in_the_core_is_a_connection_error_that_shows_its_cause(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from penstock.faces.client.intake import Intake

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Intake, "call_from", broken)
    with pytest.raises(anthropic.APIConnectionError) as raised:
        client.messages.create(**ASK)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
