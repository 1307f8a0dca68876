"""What the wire looks like, against what was recorded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from penstock.simulator import Running, running
from penstock.simulator.catalogue import find_model
from penstock.simulator.problems import Problem
from penstock.simulator.tokens import OLD, answer_tokens, estimate

Got = tuple[int, dict[str, str], bytes]
Read = Callable[[bytes], list[tuple[str, dict[str, Any]]]]
RECORDINGS = Path(__file__).parents[2].parent / "shared" / "recordings"
EVENT = re.compile(rb'event: \w+\ndata: \{"type":"[^\n]*?( *)\}\n\n')


def recorded(*fidelities: str) -> Iterator[dict[str, Any]]:
    if not RECORDINGS.is_dir():
        pytest.skip("the folder of recordings is not beside the repository")
    for path in sorted(RECORDINGS.glob("[!_]*/*.json")):
        exchange: dict[str, Any] = json.loads(path.read_text())
        if exchange["fidelity"] in fidelities and exchange["response"]["status"] == 200:
            yield exchange


def test_a_stream_has_the_recorded_order(sim: Running, send: Callable[..., Got], events: Read, ask: Any) -> None:
    _, headers, body = send(sim, body={**ask, "stream": True})
    assert headers["content-type"] == "text/event-stream; charset=utf-8" and headers["cache-control"] == "no-cache"
    names = [name for name, _ in events(body)]
    assert names[:3] == ["message_start", "content_block_start", "ping"] and names.count("ping") == 1
    assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(names[3:-3]) == {"content_block_delta"}
    assert all(name == data["type"] for name, data in events(body))


def test_every_event_but_ping_is_padded_by_0_to_15_blanks(sim: Running, send: Callable[..., Got], ask: Any) -> None:
    asked = {**ask, "max_tokens": 4000, "stream": True, "messages": [{"role": "user", "content": "Write 900 words."}]}
    _, _, body = send(sim, body=asked)
    pads = [len(found.group(1)) for found in EVENT.finditer(body)]
    assert len(pads) == body.count(b"\n\n") - 1 > 150
    assert set(pads) == set(range(16))
    assert body.count(b'event: ping\ndata: {"type": "ping"}\n\n') == 1


def test_fields_stand_in_the_recorded_order(sim: Running, send: Callable[..., Got], events: Read, ask: Any) -> None:
    _, _, body = send(sim, body={**ask, "stream": True})
    start, *_, delta, _ = [data for _, data in events(body)]
    stream = next(
        one["response"]["body"]
        for one in recorded("verbatim")
        if one["response"]["streamed"]
        and one["stop_reason"] == "end_turn"
        and str(one["recorded_at"])[:7] in ("2026-07", "2026-08")
        and "output_tokens_details" not in one["response"]["body"]
        and "iterations" not in one["response"]["body"]
        and "container" not in one["response"]["body"]
    )
    real_start, *_, real_delta, _ = [data for _, data in events(stream.encode())]
    assert keys(start) == keys(real_start)
    assert keys(delta) == keys(real_delta)


def keys(value: Any) -> Any:
    return [(name, keys(inner)) for name, inner in value.items()] if isinstance(value, dict) else None


def test_a_tool_input_is_streamed_from_an_empty_piece(
    sim: Running, send: Callable[..., Got], events: Read, ask: Any
) -> None:
    tool = {"name": "find", "input_schema": {"type": "object", "properties": {"what": {"type": "string"}}}}
    asked = {**ask, "stream": True, "tools": [tool], "tool_choice": {"type": "any"}}
    read = [data for _, data in events(send(sim, body=asked)[2])]
    assert read[1]["content_block"]["input"] == {} and read[1]["content_block"]["id"].startswith("toolu_01")
    pieces = [one["delta"]["partial_json"] for one in read if one["type"] == "content_block_delta"]
    assert pieces[0] == "" and all(pieces[1:]) and list(json.loads("".join(pieces))) == ["what"]


def test_hidden_thinking_is_a_signature_alone(sim: Running, send: Callable[..., Got], events: Read, ask: Any) -> None:
    asked = {**ask, "model": "claude-opus-5-5", "stream": True, "thinking": {"type": "adaptive"}}
    read = [data for _, data in events(send(sim, body=asked)[2])]
    kinds = [one["delta"]["type"] for one in read if one["type"] == "content_block_delta" and one["index"] == 0]
    assert kinds == ["signature_delta"]
    assert read[-2]["usage"]["output_tokens_details"]["thinking_tokens"] > 0


def test_answers_carry_the_headers_of_the_api(sim: Running, send: Callable[..., Got], ask: Any) -> None:
    _, headers, body = send(sim, body=ask)
    real = {"date", "content-type", "server", "cf-ray", "cf-cache-status", "x-robots-tag", "request-id", "vary"}
    real |= {"anthropic-organization-id", "strict-transport-security", "content-security-policy", "traceresponse"}
    assert real <= set(headers) and headers["transfer-encoding"] == "chunked" and "content-length" not in headers
    limits = {name: value for name, value in headers.items() if name.startswith("anthropic-ratelimit-")}
    assert len(limits) == 12
    parts = [int(limits[f"anthropic-ratelimit-{kind}-tokens-limit"]) for kind in ("input", "output")]
    assert int(limits["anthropic-ratelimit-tokens-limit"]) == sum(parts)
    assert re.fullmatch(r"req_01[1-9A-HJ-NP-Za-km-z]{22}", headers["request-id"])
    assert json.loads(body)["id"] != headers["request-id"] and not body.endswith(b"\n")
    _, counted, _ = send(sim, "/v1/messages/count_tokens", {"model": ask["model"], "messages": ask["messages"]})
    assert not [name for name in counted if "ratelimit" in name]


def test_hello_is_answered(sim: Running, send: Callable[..., Got]) -> None:
    status, headers, body = send(sim, "/api/hello", method="HEAD", x_api_key="", anthropic_version="")
    assert (status, headers["content-length"], body) == (200, "20", b"")


def test_the_same_seed_and_requests_give_the_same_bytes(send: Callable[..., Got], ask: Any) -> None:
    def all_of(seed: int) -> list[Any]:
        with running(seed=seed, clock=lambda: 1_790_000_000.0) as sim:
            return [sim.key, *(send(sim, body={**ask, "stream": is_stream}) for is_stream in (True, False, True))]

    first = all_of(3)
    assert first == all_of(3)
    assert first[0] != all_of(4)[0] and first[1][2] != all_of(4)[1][2]
    assert first[1][2] != first[3][2]


def test_output_estimates_agree_with_recorded_answers() -> None:
    errors = []
    for exchange in recorded("verbatim", "reserialized"):
        if exchange["model"] not in ("claude-haiku-4-5-20251001", "claude-sonnet-4-5-20250929"):
            continue
        if exchange["response"]["streamed"] or not exchange["endpoint"].endswith("/messages"):
            continue
        message = json.loads(exchange["response"]["body"])
        if [one["type"] for one in message.get("content", ())] != ["text"]:
            continue
        if len(text := message["content"][0]["text"]) >= 200:
            real = message["usage"]["output_tokens"]
            errors.append(abs(answer_tokens(text, OLD) - real) / real)
    assert len(errors) > 10 and median(errors) < 0.08


def test_the_estimate_counts_each_shape_as_fitted() -> None:
    assert estimate("word", OLD) == pytest.approx(1.0)
    assert estimate("words words", OLD) == pytest.approx(2.0)
    assert estimate("reservoir", OLD) == pytest.approx(1.0 + 4 * 0.09)
    assert estimate("12, 3.", OLD) == pytest.approx(3 * 1.03 + 2 * 0.67)
    assert estimate("a  b   c\n", OLD) == pytest.approx(3.0 + 2 * 1.7 + 0.85)
    assert estimate("é", OLD) == pytest.approx(1.1)


def test_recorded_prompts_count_as_they_did(sim: Running, send: Callable[..., Got]) -> None:
    for text, tokens in (("Hello", 8), ("What is the capital of France?", 14)):
        asked = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": text}]}
        assert json.loads(send(sim, "/v1/messages/count_tokens", asked)[2]) == {"input_tokens": tokens}


def test_retired_and_unknown_models_are_not_served() -> None:
    for name in ("claude-3-opus-20240229", "claude-nonesuch"):
        with pytest.raises(Problem, match=f"model: {name}"):
            find_model(name)
    assert find_model("claude-sonnet-4-5").id == "claude-sonnet-4-5-20250929"
