"""Answers of unusual shape: all of it legal, so the official SDK must get through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from penstock.simulator import Running
from penstock.simulator.faults import KINDS

Got = tuple[int, dict[str, str], bytes]
ALTERED = [kind.name for kind in KINDS if kind.when == "altered"]


def streamed(client: anthropic.Anthropic, ask: dict[str, Any]) -> tuple[list[str], Any]:
    with client.messages.stream(**ask) as stream:
        kinds = [event.type for event in stream]
        return kinds, stream.get_final_message()


@pytest.mark.parametrize("fault", ALTERED)
def test_the_sdk_reads_the_same_words_from_it(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str
) -> None:
    _, plain = streamed(client, ask)
    sim.trigger(fault)
    kinds, odd = streamed(client, ask)
    assert odd.content[0].text == plain.content[0].text
    assert odd.usage.output_tokens == plain.usage.output_tokens
    assert "message_stop" in kinds and sim.requests[-1].ending == fault


def test_each_leaves_its_own_marks(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    def body(fault: str | None) -> bytes:
        if fault is not None:
            sim.trigger(fault)
        return send(sim, body={**ask, "stream": True})[2]

    assert b"\r\n" not in body(None)
    assert b"\n" not in body("crlf").replace(b"\r\n", b"")
    pings = body("pings")
    assert pings.count(b"event: ping") == pings.count(b"event: ") // 2 + 1
    assert body("many_deltas").count(b"event: message_delta") == 3
    bare = body("bare_delta").partition(b"event: message_delta")[2]
    assert b'"usage":{"output_tokens":' in bare and b"input_tokens" not in bare.partition(b"event: message_stop")[0]
    news = body("new_things")
    assert all(word in news for word in (b"weather_report", b"hologram", b"light_delta", b"lumen_seconds"))
    assert b"message_stop" in body("torn")


def test_a_whole_answer_can_hold_news_too(sim: Running, client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    sim.trigger("new_things")
    message = client.messages.create(**ask)
    assert message.stop_reason == "enlightenment" and message.content[-1].type == "hologram"  # type: ignore[comparison-overlap]
