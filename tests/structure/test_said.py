"""What answers say: the same whether they came whole or as a stream, however that was cut."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from penstock.simulator import Cue, running
from penstock.structure.said import read

BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "Let me look: \r\n\r\n data: é☃"},
    {"type": "tool_use", "name": "look", "input": {"of": ["a", 1]}},
]


@pytest.mark.parametrize("fault", [None, "crlf", "pings", "torn", "many_deltas", "redacted"])
@pytest.mark.parametrize("blocks", [BLOCKS, [{"type": "text", "text": '{"a": "…"}\n\n'}]])
def test_a_stream_adds_up_to_what_the_sdk_makes_of_it(fault: str | None, blocks: list[dict[str, Any]]) -> None:
    ask: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 3000,
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "messages": [{"role": "user", "content": "Go."}],
    }
    with running(seed=5, answers=[Cue(blocks=blocks, fault=fault)]) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        with client.messages.with_streaming_response.create(**ask, stream=True) as response:
            body = b"".join(response.iter_bytes())
        with client.messages.stream(**ask) as events:
            message = events.get_final_message()
    content = json.loads(read(body, is_stream=True).content)
    expected = [block.model_dump(exclude_none=True) for block in message.content]
    known = [{name: value for name, value in block.items() if value is not None} for block in content]
    ids = [block.pop("id", None) for block in (*expected, *known)]
    assert known == expected and len(ids) == 2 * len(expected)
    assert read(body, is_stream=True).text == (blocks[-1].get("text", ""))


def test_data_may_stand_in_several_lines() -> None:
    start = b'data: {"type":"content_block_start","index":0,\ndata: "content_block":{"type":"text","text":"a"}}\n\n'
    said = read(b"event: x\n" + start, is_stream=True)
    assert said.text == "a" and json.loads(said.content) == [{"type": "text", "text": "a"}]


def test_what_is_new_is_not_repeated_by_guessing() -> None:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "hologram_delta", "rays": 3}}
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "hologram"}}
    body = b"".join(b"event: x\ndata: " + json.dumps(event).encode() + b"\n\n" for event in (start, delta))
    with pytest.raises(ValueError, match="hologram_delta"):
        read(body, is_stream=True)


def test_an_answer_with_empty_text_is_not_repeated_for_the_api_would_not_take_it() -> None:
    def content(*texts: str) -> bytes:
        blocks = [{"type": "text", "text": text} for text in texts]
        return read(json.dumps({"content": blocks}).encode(), is_stream=False).content

    assert content() == content("") == content("a", " ") == b"" and content("a") != b""
