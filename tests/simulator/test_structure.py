"""The simulator's wire has the structure of recorded traffic: the checker that learns it passes both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.simulator import Running, running

from .structure import ID, Learned, frames, padding_of, sequence_faults

Got = tuple[int, dict[str, str], bytes]
#: Fields of the wire that `claude-api.md` (§3, §4, §8) documents and no recording of this era has.
DOCUMENTED = {
    "message.usage.output_tokens_details",
    "message.diagnostics",
    "message_start.message.diagnostics",
}
TOOLS = [
    {
        "name": "get_weather",
        "description": "The weather in a city",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]
#: Fields that every answer of its kind had in July and August 2026 (`recordings.md` §2).
ALWAYS = {
    "date",
    "content-type",
    "connection",
    "server",
    "cf-ray",
    "cf-cache-status",
    "x-robots-tag",
    "request-id",
    "anthropic-organization-id",
    "strict-transport-security",
    "content-security-policy",
    "vary",
    "traceresponse",
    *(
        f"anthropic-ratelimit-{kind}-{what}"
        for kind in ("requests", "tokens", "input-tokens", "output-tokens")
        for what in ("limit", "remaining", "reset")
    ),
}


@pytest.fixture(scope="module")
def learned(recordings: Path) -> tuple[Learned, list[tuple[str, bytes]]]:
    """What is learned from all byte-for-byte recordings since February 2026, and their streams."""
    taken, streams = Learned(), []
    for place in sorted(recordings.rglob("*.json")):
        exchange = json.loads(place.read_text())
        is_old = not str(exchange.get("recorded_at")) >= "2026-02" or not str(exchange.get("recorded_at")).startswith(
            "20"
        )
        if exchange.get("fidelity") != "verbatim" or exchange.get("authenticity") != "recorded" or is_old:
            continue
        response, body = exchange["response"], exchange["response"].get("body")
        if exchange["endpoint"] != "POST /v1/messages" or response["status"] != 200 or not isinstance(body, str):
            continue
        taken.headers.append({name.lower() for name in response.get("headers") or {}})
        if response["streamed"]:
            taken.take_stream(body.encode())
            streams.append((exchange["source"], body.encode()))
        else:
            taken.take(json.loads(body), "message")
    return taken, streams


@pytest.fixture(scope="module")
def sim() -> Iterator[Running]:
    with running(seed=21) as simulator:
        yield simulator


def asks() -> dict[str, dict[str, Any]]:
    plain = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 400,
        "messages": [{"role": "user", "content": "Tell me more."}],
    }
    return {
        "plain": plain,
        "long": {**plain, "messages": [{"role": "user", "content": "Write 120 words."}]},
        "tool": {**plain, "messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": TOOLS},
        "thinking": {**plain, "max_tokens": 3_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}},
        "stopped": {**plain, "stop_sequences": ["the"]},
        "cut": {**plain, "max_tokens": 5},
    }


def test_the_recordings_pass_their_own_checker(learned: tuple[Learned, list[tuple[str, bytes]]]) -> None:
    taken, streams = learned
    assert taken.bodies > 900 and len(streams) > 50
    odd = {source: faults for source, raw in streams if (faults := sequence_faults(raw))}
    assert odd == {}
    assert set(taken.padding) == set(range(16)) and 6.5 < sum(taken.padding) / len(taken.padding) < 8.5


@pytest.mark.parametrize("name", asks())
def test_the_simulators_streams_pass(
    sim: Running, send: Callable[..., Got], learned: tuple[Learned, list[tuple[str, bytes]]], name: str
) -> None:
    status, headers, raw = send(sim, body={**asks()[name], "stream": True})
    assert status == 200 and headers["content-type"] == "text/event-stream; charset=utf-8"
    assert sequence_faults(raw) == []
    faults = [fault for kind, data in frames(raw) for fault in learned[0].faults(json.loads(data), kind)]
    assert [fault for fault in faults if fault.partition(":")[0] not in DOCUMENTED] == []


@pytest.mark.parametrize("name", asks())
def test_the_simulators_bodies_pass(
    sim: Running, send: Callable[..., Got], learned: tuple[Learned, list[tuple[str, bytes]]], name: str
) -> None:
    status, _, body = send(sim, body=asks()[name])
    faults = learned[0].faults(json.loads(body), "message")
    assert status == 200
    assert [fault for fault in faults if fault.partition(":")[0] not in DOCUMENTED] == []


def test_padding_is_as_uniform_as_recorded(sim: Running, send: Callable[..., Got]) -> None:
    counts = [0] * 16
    for _ in range(6):
        for name, data in frames(send(sim, body={**asks()["long"], "stream": True})[2]):
            if name != "ping":
                counts[padding_of(data)] += 1
    expected = sum(counts) / 16
    chi_square = sum((count - expected) ** 2 / expected for count in counts)
    assert sum(counts) > 200 and chi_square < 37.7, "0.1 % of fair draws are further off"


@pytest.mark.parametrize("stream", [False, True])
def test_header_sets_are_those_of_the_newest_era(sim: Running, send: Callable[..., Got], stream: bool) -> None:
    headers = send(sim, body={**asks()["plain"], "stream": stream})[1]
    own = set(headers) - {"transfer-encoding", "content-length", "connection", "cache-control"}
    assert own == ALWAYS - {"connection"}
    assert ("cache-control" in headers) == stream


def test_recorded_headers_hold_what_the_simulator_sends(
    sim: Running, send: Callable[..., Got], learned: tuple[Learned, list[tuple[str, bytes]]]
) -> None:
    sent = set(send(sim, body=asks()["plain"])[1])
    seen = set().union(*learned[0].headers)
    assert sent <= seen | {"content-length"}


def test_ids_are_of_the_recorded_form(sim: Running, send: Callable[..., Got]) -> None:
    _, headers, body = send(sim, body=asks()["tool"])
    message = json.loads(body)
    assert ID.fullmatch(message["id"]) and ID.fullmatch(headers["request-id"])
    assert ID.fullmatch(next(block["id"] for block in message["content"] if block["type"] == "tool_use"))


def test_messages_and_requests_are_numbered_by_time(send: Callable[..., Got]) -> None:
    """Since July 2026: later ids sort later, and those of one time begin alike, as the recorded ones do."""
    with running() as sim:
        seen = []
        for _ in range(8):
            _, headers, body = send(sim, body=asks()["plain"])
            seen.append((headers["request-id"], json.loads(body)["id"]))
    for ids in zip(*seen, strict=True):
        assert list(ids) == sorted(ids) and len({one.partition("_")[2][:5] for one in ids}) == 1
        assert all(one.partition("_")[2].startswith("011C") for one in ids)


def test_pieces_hold_whole_events(sim: Running) -> None:
    """Recorded: every piece ended at an event's end, most held one event, the first holds the head of the stream."""
    import httpx2

    ask, key = {**asks()["long"], "stream": True}, {"x-api-key": sim.key, "anthropic-version": "2023-06-01"}
    from penstock.simulator.dice import Dice
    from penstock.simulator.stream import grouped

    raw = httpx2.post(f"{sim.url}/v1/messages", json=ask, headers=key).content
    events = [frame + b"\n\n" for frame in raw.split(b"\n\n")[:-1]]
    pieces = grouped(events, Dice(3))
    assert b"".join(pieces) == raw and all(piece.endswith(b"\n\n") for piece in pieces)
    single = sum(piece.count(b"event: ") == 1 for piece in pieces) / len(pieces)
    assert 0.6 < single < 0.95 and pieces[0].startswith(b"event: message_start") and b"content_block_start" in pieces[0]
    assert pieces[-1].startswith(b"event: message_delta")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda raw: raw.replace(b'event: ping\ndata: {"type": "ping"}\n\n', b""), "pings at []"),
        (
            lambda raw: raw.replace(
                b'event: message_stop\ndata: {"type":"message_stop"', b'event: end\ndata: {"type":"end"'
            ),
            "ends with",
        ),
        (lambda raw: raw.replace(b'"index":0', b'"index":1'), "says it is 1"),
        (lambda raw: raw.replace(b'"text":"', b'"text":"","was":"'), "empty text_delta"),
    ],
    ids=["no ping", "no end", "index", "empty"],
)
def test_the_checker_can_fail(sim: Running, send: Callable[..., Got], change: Any, fault: str) -> None:
    raw = change(send(sim, body={**asks()["plain"], "stream": True})[2])
    assert any(fault in one for one in sequence_faults(raw))


def test_the_checker_knows_an_unknown_field_and_another_order() -> None:
    taken = Learned()
    taken.take({"a": 1, "b": {"type": "x", "c": 2}}, "message")
    assert taken.faults({"a": 1, "b": {"type": "x", "c": 2}}, "message") == []
    assert taken.faults({"b": {"type": "x", "c": 2}, "a": 1}, "message") == ["message: b stands before a"]
    assert taken.faults({"a": 1, "z": 1}, "message") == ["message.z: never seen"]
    assert taken.faults({"id": "msg_1"}, "message")[-1] == "message.id: 'msg_1' has not the form of an id"
