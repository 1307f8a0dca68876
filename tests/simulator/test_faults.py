"""Every fault, as the official SDK and a raw socket see it."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx2
import pytest

from penstock.simulator import FAULT_NAMES, Faults, Running, running

Got = tuple[int, dict[str, str], bytes]


def test_overloaded_is_the_recorded_answer(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    sim.trigger("overloaded")
    status, headers, body = send(sim, body=ask)
    assert status == 529 and headers["content-length"] == "75" and headers["x-should-retry"] == "true"
    assert body == b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    assert "retry-after" not in headers and not [name for name in headers if "ratelimit" in name]
    assert send(sim, body=ask)[0] == 200


@pytest.mark.parametrize(
    ("fault", "expected", "status"),
    [
        ("overloaded", anthropic.APIStatusError, 529),
        ("rate_limited", anthropic.RateLimitError, 429),
        ("spend_cap", anthropic.RateLimitError, 429),
        ("error_500", anthropic.InternalServerError, 500),
        ("html_502", anthropic.InternalServerError, 502),
        ("unavailable_503", anthropic.InternalServerError, 503),
    ],
)
def test_answered_faults_are_the_sdks_own_errors(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str, expected: type[Exception], status: int
) -> None:
    sim.trigger(fault)
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**ask)
    assert caught.value.status_code == status
    assert isinstance(caught.value, expected) or status == 503


def test_a_rate_limit_says_how_long_and_a_spend_cap_does_not(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any]
) -> None:
    sim.trigger("rate_limited:7")
    sim.trigger("spend_cap")
    _, limited, _ = send(sim, body=ask)
    _, capped, body = send(sim, body=ask)
    assert limited["retry-after"] == "7" and limited["anthropic-ratelimit-input-tokens-remaining"] == "0"
    assert len([name for name in limited if name.startswith("anthropic-ratelimit-")]) == 12
    assert "retry-after" not in capped and b'"error_code":"enforced_spend_limit_reached"' in body


def test_edge_errors_have_no_request_id(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    sim.trigger("html_502")
    sim.trigger("unavailable_503")
    _, html, page = send(sim, body=ask)
    _, text, line = send(sim, body=ask)
    assert html["content-type"] == "text/html" and b"502 Bad Gateway" in page and "request-id" not in html
    assert text["content-type"] == "text/plain" and line.endswith(b"connection termination")


def test_a_reset_before_the_answer_is_a_connection_error(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any]
) -> None:
    sim.trigger("reset")
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(**ask)
    served = sim.requests[-1]
    while not served.ending:
        time.sleep(0.005)
    assert served.ending == "reset" and served.status == 0


def test_a_hang_lasts_until_the_caller_goes(sim: Running, client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    sim.trigger("hang")
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(**ask)
    assert client.messages.create(**ask).content


@pytest.mark.parametrize("fault", ["truncate", "truncate_half"])
def test_a_truncated_stream_looks_whole_to_the_sdk(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str
) -> None:
    sim.trigger(fault)
    with client.messages.stream(**ask) as stream:
        final = stream.get_final_message()
    assert final.stop_reason is None and final.content


@pytest.mark.parametrize("fault", ["reset_mid:6", "cut:6"])
def test_a_broken_stream_is_a_transport_error_after_its_first_events(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str
) -> None:
    sim.trigger(fault)
    seen = []
    with pytest.raises(httpx2.TransportError) as caught:
        for event in client.messages.create(**ask, stream=True):
            seen.append(event.type)
    assert seen[:2] == ["message_start", "content_block_start"] and "message_stop" not in seen
    expected = httpx2.ReadError if fault.startswith("reset") else httpx2.RemoteProtocolError
    assert isinstance(caught.value, expected)


def test_an_error_in_mid_stream_keeps_status_200(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any]
) -> None:
    sim.trigger("error_mid:8")
    seen = []
    with pytest.raises(anthropic.APIStatusError) as caught:
        for event in client.messages.create(**ask, stream=True):
            seen.append(event.type)
    assert caught.value.status_code == 200 and caught.value.type == "overloaded_error"
    assert seen and seen[0] == "message_start"


def test_an_error_first_is_the_only_event(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    sim.trigger("error_first")
    status, headers, body = send(sim, body={**ask, "stream": True})
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    start = b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error"'
    assert body.startswith(start) and body.count(b"\n\n") == 1


def test_an_empty_200_breaks_the_helper(sim: Running, client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    sim.trigger("empty_200")
    with pytest.raises(AssertionError), client.messages.stream(**ask) as stream:
        stream.get_final_message()


def test_pings_alone_never_become_an_answer(sim: Running, ask: dict[str, Any]) -> None:
    async def listen() -> bytes:
        sim.trigger("ping_only:0.01")
        heard = b""
        async with httpx2.AsyncClient(timeout=10) as link:
            headers = {"x-api-key": sim.key, "anthropic-version": "2023-06-01"}
            async with link.stream(
                "POST", f"{sim.url}/v1/messages", json={**ask, "stream": True}, headers=headers
            ) as got:
                async for piece in got.aiter_raw():
                    heard += piece
                    if heard.count(b"ping\n") >= 3:
                        break
        return heard

    heard = asyncio.run(listen())
    assert heard == b'event: ping\ndata: {"type": "ping"}\n\n' * heard.count(b"ping\n")


def test_a_slow_answer_is_whole_in_the_end(sim: Running, client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    sim.trigger("slow:0.05")
    with client.messages.stream(**ask) as stream:
        assert stream.get_final_message().stop_reason == "end_turn"
    sim.trigger("slow:0.05")
    assert client.messages.create(**ask).stop_reason == "end_turn"


@pytest.mark.parametrize("fault", ["reset_mid", "cut"])
def test_a_json_answer_breaks_too(sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str) -> None:
    sim.trigger(fault)
    with pytest.raises(anthropic.APIConnectionError):
        client.messages.create(**ask)


def test_shares_are_seeded(ask: dict[str, Any], send: Callable[..., Got]) -> None:
    def outcomes(seed: int) -> list[int]:
        with running(seed=seed, faults=Faults(overloaded=0.3, error_500=0.2)) as sim:
            return [send(sim, body=ask)[0] for _ in range(40)]

    first = outcomes(1)
    assert first == outcomes(1) != outcomes(2)
    assert {200, 500, 529} == set(first)


def test_a_header_asks_for_a_fault_only_where_that_is_allowed(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any]
) -> None:
    assert send(sim, body=ask, x_simulator_fault="overloaded")[0] == 529
    status, _, body = send(sim, body=ask, x_simulator_fault="nonsense")
    assert status == 400 and b"one of: overloaded" in body
    with running() as other:
        assert send(other, body=ask, x_simulator_fault="overloaded")[0] == 200


def test_unknown_faults_and_shares_above_one_are_named() -> None:
    with running() as sim, pytest.raises(ValueError, match="unknown fault 'flood'; one of: overloaded"):
        sim.trigger("flood")
    with pytest.raises(ValueError, match="at most 1"):
        Faults(overloaded=0.7, hang=0.7)
    assert len(set(FAULT_NAMES)) == len(FAULT_NAMES)


def test_the_end_of_the_block_frees_hung_callers(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    with running() as sim:
        sim.trigger("hang")
        body = json.dumps(ask).encode()
        caller = socket.create_connection(urlsplit(sim.url).netloc.split(":"), timeout=10)  # type: ignore[arg-type]
        caller.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        while not any(one.method == "POST" for one in sim.requests):
            send(sim, "/api/hello")
        assert sim.requests[0].ending == ""
    with caller:
        try:
            heard = caller.recv(100)
        except ConnectionResetError:
            heard = b""
    assert heard == b""
