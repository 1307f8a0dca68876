"""The lean mode: the same answers, made once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import pytest

from penstock.simulator import Running, running

Got = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def lean() -> Iterator[Running]:
    with running(seed=5, is_lean=True) as simulator:
        yield simulator


def test_the_sdk_reads_lean_answers_whole(lean: Running, ask: dict[str, Any]) -> None:
    client = anthropic.Anthropic(base_url=lean.url, api_key="any", max_retries=0)
    plain = client.messages.create(**ask)
    with client.messages.stream(**ask) as stream:
        deltas = [event for event in stream if event.type == "content_block_delta"]
        streamed = stream.get_final_message()
    assert plain.stop_reason == streamed.stop_reason == "end_turn"
    assert plain.model == ask["model"] and plain.usage.output_tokens > 10
    assert len(deltas) == 100


def test_the_models_of_requests_are_told_apart(lean: Running, ask: dict[str, Any], send: Callable[..., Got]) -> None:
    client = anthropic.Anthropic(base_url=lean.url, api_key="any", max_retries=0)
    for model in ("claude-haiku-5-5", "claude-opus-4-8", "claude-haiku-5-5"):
        assert client.messages.create(**{**ask, "model": model}).model == model
    with pytest.raises(anthropic.NotFoundError, match="claude-none"):
        client.messages.create(**{**ask, "model": "claude-none"})


def test_answers_repeat_byte_for_byte(lean: Running, ask: dict[str, Any], send: Callable[..., Got]) -> None:
    assert send(lean, body=ask) == send(lean, body={**ask, "max_tokens": 7})


def test_large_bodies_arrive_in_pieces_and_are_answered_once(
    lean: Running, ask: dict[str, Any], send: Callable[..., Got]
) -> None:
    large = {**ask, "messages": [{"role": "user", "content": "word " * 200_000}]}
    assert send(lean, body=large)[0] == 200
    assert send(lean, body=ask)[0] == 200


def test_other_endpoints_are_answered_in_full(lean: Running, send: Callable[..., Got]) -> None:
    status, _, body = send(lean, path="/v1/models")
    assert status == 200 and b"claude-sonnet-4-6" in body
