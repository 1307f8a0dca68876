"""What the API says of its cache is read from whole answers and from streams, and anything odd in its place is not."""

from __future__ import annotations

import json

import pytest

from penstock.wire.messages import Answer, CacheMiss, endpoint
from penstock.wire.reading import reading

MESSAGES = endpoint("POST", "/v1/messages")


def answer_of(diagnostics: object, *, is_stream: bool) -> Answer:
    message = {
        "id": "msg_1",
        "type": "message",
        "content": [],
        "usage": {"input_tokens": 3},
        "diagnostics": diagnostics,
    }
    kind, raw = b"application/json", json.dumps(message).encode()
    if is_stream:
        kind = b"text/event-stream"
        raw = (
            b"event: message_start\ndata: "
            + json.dumps({"type": "message_start", "message": message}).encode()
            + b"\n\n"
        )
    made = reading(MESSAGES, 200, [(b"content-type", kind)])
    made.feed(raw)
    made.finish()
    return made.answer


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_miss_is_read_with_its_tokens(is_stream: bool) -> None:
    said = {"cache_miss_reason": {"type": "tools_changed", "cache_missed_input_tokens": 4321}}
    assert answer_of(said, is_stream=is_stream).cache_miss == CacheMiss("tools_changed", 4321)
    bare = {"cache_miss_reason": {"type": "unavailable"}}
    assert answer_of(bare, is_stream=is_stream).cache_miss == CacheMiss("unavailable")


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("odd", [None, {}, {"cache_miss_reason": None}, 5, {"cache_miss_reason": {"type": 5}}, []])
def test_where_nothing_was_missed_there_is_none_and_the_rest_is_read(odd: object, is_stream: bool) -> None:
    answer = answer_of(odd, is_stream=is_stream)
    assert answer.cache_miss is None and answer.id == "msg_1" and answer.usage is not None
