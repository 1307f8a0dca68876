"""Recorded traffic played back from files."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import anthropic
import pytest

from penstock.errors import ConfigError
from penstock.simulator import read_cassette, running

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Say one."}],
}
MESSAGE = {
    "model": "claude-sonnet-4-6",
    "id": "msg_01RecordedRecordedReco",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "One, as recorded."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 6},
}
STREAM = "".join(
    f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n"
    for kind, more in (
        ("message_start", {"message": {**MESSAGE, "content": [], "stop_reason": None}}),
        ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": "One, as recorded."}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 6}}),
        ("message_stop", {}),
    )
)


def har(tmp_path: Path, *, encoding: str | None = None) -> Path:
    content: dict[str, Any] = {"mimeType": "application/json", "text": json.dumps(MESSAGE)}
    if encoding:
        content = {"encoding": encoding, "text": base64.b64encode(json.dumps(MESSAGE).encode()).decode()}
    entry = {
        "request": {
            "method": "POST",
            "url": "https://api.anthropic.com/v1/messages?beta=true",
            "postData": {"text": json.dumps(ASK)},
        },
        "response": {
            "status": 200,
            "headers": [
                {"name": "Content-Type", "value": "application/json"},
                {"name": "Content-Encoding", "value": "gzip"},
                {"name": "x-kept", "value": "yes"},
            ],
            "content": content,
        },
    }
    other = {**entry, "request": {"method": "GET", "url": "https://api.anthropic.com/v1/models"}}
    place = tmp_path / "traffic.har"
    place.write_text(json.dumps({"log": {"version": "1.2", "entries": [other, entry]}}))
    return place


@pytest.mark.parametrize("encoding", [None, "base64"])
def test_a_har_file_answers_its_own_requests(tmp_path: Path, encoding: str | None) -> None:
    recorded = read_cassette(har(tmp_path, encoding=encoding))
    with running(replay=recorded) as sim, anthropic.Anthropic(base_url=sim.url, api_key=sim.key) as client:
        other = client.messages.create(**{**ASK, "max_tokens": 8})
        played = client.messages.with_raw_response.create(**ASK)
    assert played.headers["x-kept"] == "yes" and played.parse().id == MESSAGE["id"]
    assert other.id != MESSAGE["id"]


def test_lines_of_exchanges_play_streams_event_by_event(tmp_path: Path) -> None:
    line = {"request": {"body": {**ASK, "stream": True}}, "response": {"status": 200, "body": STREAM}}
    place = tmp_path / "traffic.jsonl"
    place.write_text(json.dumps(line) + "\n\n")
    (recorded,) = read_cassette(place)
    assert len(recorded.pieces()) == 6 and b"".join(recorded.pieces()) == STREAM.encode()
    with running(replay=[recorded]) as sim, anthropic.Anthropic(base_url=sim.url, api_key=sim.key) as client:
        events = [event.type for event in client.messages.create(**ASK, stream=True)]
    assert events[0] == "message_start" and events[-1] == "message_stop"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"log": {"entries": 3}}', "log.entries"),
        ('{"log": {"entries": [{"request": {}}]}}', "log.entries.0"),
        ('{"request": {}, "response": {"status": 200, "body": "x"}}\n{"request": {}}', "line 2"),
        ("not json", "line 1"),
    ],
)
def test_a_broken_file_is_named_with_the_place(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "broken"
    file.write_text(text)
    with pytest.raises(ConfigError, match=place) as caught:
        read_cassette(file)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        read_cassette(tmp_path / "nowhere")
