"""A stream put together again is the message that the SDK makes of it."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from penstock.simulator import running
from penstock.wire.assembling import assembled
from script import HELLO

WEATHER = {"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}


def event(**more: Any) -> bytes:
    return b"event: %b\r\ndata: %b\r\n\r\n" % (more["type"].encode(), json.dumps(more).encode())


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "weather"}},
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048},
    ],
)
def test_it_is_what_the_sdk_makes_of_the_same_events(more: dict[str, Any]) -> None:
    with running(seed=3, accept_any=True) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key)
        with client.messages.with_streaming_response.create(**{**HELLO, **more}, stream=True) as raw:
            stream = raw.read()
        with client.messages.stream(**{**HELLO, **more}) as again:
            final = again.get_final_message()
    made, wanted = assembled(stream), final.to_dict(mode="json")
    assert [block["type"] for block in made["content"]] == [block["type"] for block in wanted["content"]]  # type: ignore[attr-defined, index]
    assert made["usage"].keys() == wanted["usage"].keys() and made["stop_reason"] == wanted["stop_reason"]  # type: ignore[attr-defined]


def test_tool_inputs_are_decoded_and_one_that_broke_off_is_kept_as_written() -> None:
    start = event(type="content_block_start", index=0, content_block={"type": "tool_use", "name": "f", "input": {}})
    parts = [
        event(type="content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": one})
        for one in ('{"a"', ": 1", "}")
    ]
    assert assembled(start + b"".join(parts))["content"][0]["input"] == {"a": 1}
    assert assembled(start + b"".join(parts[:2]))["content"][0]["input"] == '{"a": 1'


def test_an_error_and_a_broken_end_are_no_reason_to_tell_nothing() -> None:
    start = event(type="message_start", message={"id": "msg_1", "usage": {"input_tokens": 3}})
    failed = event(type="error", error={"type": "overloaded_error"})
    assert assembled(start + failed + b'event: x\ndata: {"type":') == {
        "id": "msg_1",
        "usage": {"input_tokens": 3},
        "error": {"type": "overloaded_error"},
    }
