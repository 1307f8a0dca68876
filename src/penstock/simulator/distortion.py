"""Whole answers of unusual shape: all of it legal, and what parsers stumble over."""

from __future__ import annotations

from typing import Any

import msgspec

from .answer import Answer
from .dice import Dice
from .stream import PING, event


def altered(answer: Answer, name: str, dice: Dice) -> Answer:
    """The answer changed as the fault `name` says; a JSON answer is changed by `new_things` alone."""
    if not answer.is_stream:
        if name == "new_things" and answer.status == 200:
            answer.parts = [_new_field(b"".join(answer.parts))]
        return answer
    parts = list(answer.parts)
    if name == "pings":
        parts = [part for each in parts for part in (each, PING)]
    elif name == "crlf":
        parts = [part.replace(b"\n", b"\r\n") for part in parts]
    elif name == "torn":
        parts = _torn(b"".join(parts), dice)
        answer.is_verbatim = True
    elif name == "many_deltas":
        at = _delta_place(parts)
        parts[at:at] = [_counted(parts[at], share, dice) for share in (0.3, 0.7)]
    elif name == "bare_delta":
        at = _delta_place(parts)
        parts[at] = _bare(parts[at], dice)
    elif name == "new_things":
        parts = _with_news(parts, dice)
    answer.parts = parts
    return answer


def _delta_place(parts: list[bytes]) -> int:
    return next(at for at, part in enumerate(parts) if part.startswith(b"event: message_delta"))


def _data(part: bytes) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.json.decode(part.partition(b"data: ")[2])
    return data


def _counted(part: bytes, share: float, dice: Dice) -> bytes:
    """An earlier message_delta: the totals so far, and nothing of how it will end."""
    data = _data(part)
    data["delta"] = dict.fromkeys(data["delta"])
    data["usage"]["output_tokens"] = round(data["usage"]["output_tokens"] * share)
    return event("message_delta", msgspec.json.encode(data), dice)


def _bare(part: bytes, dice: Dice) -> bytes:
    data = _data(part)
    data["usage"] = {"output_tokens": data["usage"]["output_tokens"]}
    return event("message_delta", msgspec.json.encode(data), dice)


def _torn(whole: bytes, dice: Dice) -> list[bytes]:
    pieces, at = [], 0
    while at < len(whole):
        size = 1 + dice.random.randrange(40)
        pieces.append(whole[at : at + size])
        at += size
    return pieces


def _with_news(parts: list[bytes], dice: Dice) -> list[bytes]:
    """An unknown event, a block of an unknown type with its own delta, a usage field and a stop reason."""
    at = _delta_place(parts)
    index = sum(part.startswith(b"event: content_block_start") for part in parts)
    news = [
        event("weather_report", b'{"type":"weather_report","sky":"clear"}', dice),
        _json_event("content_block_start", dice, index=index, content_block={"type": "hologram", "light": ""}),
        _json_event("content_block_delta", dice, index=index, delta={"type": "light_delta", "light": "green"}),
        _json_event("content_block_stop", dice, index=index),
    ]
    data = _data(parts[at])
    data["delta"]["stop_reason"] = "enlightenment"
    data["usage"]["lumen_seconds"] = 7
    return [*parts[:at], *news, event("message_delta", msgspec.json.encode(data), dice), *parts[at + 1 :]]


def _json_event(name: str, dice: Dice, **fields: object) -> bytes:
    return event(name, msgspec.json.encode({"type": name, **fields}), dice)


def _new_field(body: bytes) -> bytes:
    message = msgspec.json.decode(body)
    if not isinstance(message, dict) or message.get("type") != "message":
        return body
    message["content"].append({"type": "hologram", "light": "green"})
    message["stop_reason"] = "enlightenment"
    message["usage"]["lumen_seconds"] = 7
    return msgspec.json.encode(message)
