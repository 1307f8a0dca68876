"""What tests of forms are made of: a layer with a schema, answers of every kind, and what became of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from penstock.call import Call
from penstock.config.features import FeatureConfig
from penstock.config.form import FormConfig
from penstock.config.schema import Config
from penstock.layers.per_attempt.structure import Structure
from penstock.record import Record
from penstock.reply import Reply
from script import JSON, Played, a_reply, ports

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
}
GOOD, BAD = '{"name": "Ada", "age": 36}', '{"name": "Ada", "age": "old"}'


def layer(schema: object = SCHEMA, own: Any = None, **form: Any) -> Structure:
    feature = FeatureConfig(form=FormConfig(schema="answer.json", **form))
    raw = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    return Structure(Config(features={"default": feature}), {"answer.json": raw}, (own or ports()).clock)


def message(text: str = GOOD, stop: str | None = "end_turn", blocks: list[Any] | None = None, tokens: int = 5) -> bytes:
    content = [{"type": "text", "text": text}] if blocks is None else blocks
    usage = {"input_tokens": 8, "output_tokens": tokens}
    return json.dumps(
        {"type": "message", "model": "claude-haiku-4-5", "content": content, "stop_reason": stop, "usage": usage}
    ).encode()


def stream(text: str = GOOD, stop: str = "end_turn") -> bytes:
    half = len(text) // 2
    started = {"model": "claude-haiku-4-5", "content": [], "usage": {"input_tokens": 8, "output_tokens": 1}}
    thought = {"type": "thinking", "thinking": "", "signature": ""}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": started},
        {"type": "content_block_start", "index": 0, "content_block": thought},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text[:half]}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text[half:]}},
        {"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def said(*bodies: bytes, headers: Any = JSON) -> Callable[[Call], Reply]:
    left: Iterator[bytes] = iter(bodies)
    return lambda call: a_reply(call, 200, next(left), headers)


def asked(call: Call) -> Any:
    return json.loads(call.body)


def outcome(played: Played) -> str | None:
    """What the record says; the header says the same where there is one."""
    record = Record(call_id="c", began_at_us=0, face="f", method="POST", path="/", endpoint="messages")
    for fact in played.trail:
        fact.mark(record)
    assert played.reply is not None
    header = dict(played.reply.headers).get(b"x-penstock-outcome")
    assert header is None or header.decode() == record.outcome
    return record.outcome
