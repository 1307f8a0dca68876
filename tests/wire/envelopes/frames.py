"""Answers of Bedrock as it sends them: an encoder of AWS's binary event stream."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any
from zlib import crc32


def frame(headers: dict[str, str | tuple[int, bytes]], payload: bytes) -> bytes:
    """One frame. A header is text, or a type and the bytes of its value."""
    parts = []
    for name, value in headers.items():
        kind, raw = (7, value.encode()) if isinstance(value, str) else value
        length = struct.pack(">H", len(raw)) if kind in (6, 7) else b""
        parts.append(bytes([len(name)]) + name.encode() + bytes([kind]) + length + raw)
    head = b"".join(parts)
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    whole = prelude + struct.pack(">I", crc32(prelude)) + head + payload
    return whole + struct.pack(">I", crc32(whole))


def chunk(data: bytes, **more: Any) -> bytes:
    """A frame that holds an event, with the padding that Bedrock puts beside it."""
    payload = json.dumps({"bytes": base64.b64encode(data).decode(), "p": "abcdefgh", **more}, separators=(",", ":"))
    return frame(
        {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, payload.encode()
    )


def exception(kind: str, message: str | None = None) -> bytes:
    payload = b"" if message is None else json.dumps({"message": message}).encode()
    return frame({":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}, payload)


START = (
    '{"type":"message_start","message":{"model":"claude-opus-4-7","id":"msg_bdrk_01A","type":"message",'
    '"role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,'
    '"usage":{"input_tokens":31,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":7}}}'
)
#: A whole answer's events, as Bedrock's frames hold them.
EVENTS = tuple(
    event.encode()
    for event in (
        START,
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße, 世界 🌍\\n\\nevent: x"}}',
        '{"type":"content_block_delta", "index":0, "delta":{"type":"text_delta","text":"\\u00fc"},"new":[1, 2.50]}',
        '{"type":"content_block_stop","index":0}',
        '{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":12}}',
        '{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":31,"outputTokenCount":12,'
        '"invocationLatency":847,"firstByteLatency":402}}',
    )
)
WHOLE = b"".join(map(chunk, EVENTS))
