"""What is kept of bodies: the words, without what nobody may read in them."""

from __future__ import annotations

import json
from typing import Any

from penstock.observe.scrubbing import CHARACTERS_MAX, scrubbed
from script import STREAM

KEY = "sk-ant-api03-" + "canary" * 15 + "AA"


def told(body: Any, **more: bool) -> Any:
    return json.loads(scrubbed(json.dumps(body).encode(), **more))


def test_personal_data_and_credentials_go_wherever_they_stand() -> None:
    body = {
        "system": f"Key {KEY} there",
        "messages": [{"content": [{"type": "text", "text": "ada@example.com"}]}],
        "n": 1,
    }
    assert told(body) == {
        "system": "Key [SECRET] there",
        "messages": [{"content": [{"type": "text", "text": "[EMAIL]"}]}],
        "n": 1,
    }
    assert KEY not in scrubbed(json.dumps({KEY: 1}).encode())


def test_an_escape_hides_nothing() -> None:
    assert scrubbed(b'{"text":"ada\\u0040example.com"}') == '{"text":"[EMAIL]"}'


def test_what_is_no_words_is_told_by_its_length() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBOR" * 1000}}
    assert told(image)["source"]["data"] == "[5,000 characters]"
    assert told({"type": "thinking", "thinking": "So.", "signature": "E" * 300})["signature"] == "[300 characters]"


def test_a_stream_is_kept_as_the_message_it_told_and_what_was_cut_in_two_is_found() -> None:
    stream = b"".join(STREAM).replace(b"Hi there", b"Write to ada@exa")
    rest = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"mple.com."}}'
    cut = b"event: content_block_delta\ndata: %b\n\nevent: content_block_stop" % rest
    stream = stream.replace(b"event: content_block_stop", cut)
    message = json.loads(scrubbed(stream, is_stream=True))
    assert message["content"] == [{"type": "text", "text": "Write to [EMAIL]."}]
    assert message["stop_reason"] == "end_turn" and message["usage"]["output_tokens"] == 5


def test_what_is_no_json_is_kept_as_text_and_nothing_without_end() -> None:
    assert scrubbed(b"<html>ada@example.com \xff</html>") == "<html>[EMAIL] \ufffd</html>"
    assert len(scrubbed(json.dumps({"text": "word " * 100_000}).encode())) == CHARACTERS_MAX + 1
