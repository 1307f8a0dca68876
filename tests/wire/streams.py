"""Streams to read, and the official SDK's decoder to hold our reading against."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from penstock.wire.sse import StreamReading


def frame(name: str, data: Any, padding: int = 0) -> bytes:
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return f"event: {name}\ndata: {text[:-1]}{' ' * padding}}}\n\n".encode()


def start(**usage: Any) -> bytes:
    counts = {"input_tokens": 31, "output_tokens": 7, **usage}
    message = {"model": "claude-sonnet-5", "id": "msg_01A", "content": [], "stop_reason": None, "usage": counts}
    return frame("message_start", {"type": "message_start", "message": message}, 9)


def block(kind: str = "text", index: int = 0, **fields: Any) -> bytes:
    content = {"type": kind, **({"text": ""} if kind == "text" else {}), **fields}
    return frame("content_block_start", {"type": "content_block_start", "index": index, "content_block": content}, 4)


def text(words: str, index: int = 0) -> bytes:
    delta = {"type": "text_delta", "text": words}
    return frame("content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}, 7)


PING = b'event: ping\ndata: {"type": "ping"}\n\n'
BLOCK_STOP = frame("content_block_stop", {"type": "content_block_stop", "index": 0}, 1)
STOP = frame("message_stop", {"type": "message_stop"}, 4)
OVERLOADED = frame(
    "error", {"type": "error", "error": {"details": None, "type": "overloaded_error", "message": "Overloaded"}}, 12
)


def delta(stop_reason: str | None = "end_turn", **usage: Any) -> bytes:
    counts = {"output_tokens": 547, **usage}
    change = {"type": "message_delta", "delta": {"stop_reason": stop_reason, "stop_sequence": None}, "usage": counts}
    return frame("message_delta", change, 2)


WHOLE = b"".join(
    [
        start(),
        block(),
        PING,
        text("Grüße, "),
        text("世界 🌍"),
        text(" and event: message_stop"),
        BLOCK_STOP,
        delta(),
        STOP,
    ]
)


def read(chunks: Iterable[bytes]) -> StreamReading:
    ours = StreamReading()
    for chunk in chunks:
        ours.feed(chunk)
    ours.finish()
    return ours


def pieces(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    places = [0, *sorted(cuts), len(body)]
    return [body[low:high] for low, high in pairwise(places)]
