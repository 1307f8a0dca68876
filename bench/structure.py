"""What a form costs a call: asking for it, and judging what came; beside the same call without one."""

from __future__ import annotations

import json
import time
from typing import Any

from penstock.call import Call
from penstock.config.features import FeatureConfig
from penstock.config.form import FormConfig
from penstock.config.schema import Config
from penstock.drive import run
from penstock.layers.per_attempt.structure import Structure
from penstock.ports.blocking import BlockingClock
from penstock.reply import Reply, Whole
from penstock.wire.messages import endpoint
from penstock.wire.reading import reading

from .calls import a_call
from .report import Plan, Row, Section, Spread

_ABOUT = (
    "The layer alone, around an upstream that answers at once: a request with so many bytes of prompt, and an answer "
    "of so many bytes of JSON that fits the feature's schema, whole or as a stream of 60-byte deltas, which is held. "
    "Beside it, the same call of a feature without a form."
)
_SCHEMA = {
    "type": "object",
    "properties": {
        "people": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "age": {"type": "integer", "minimum": 0},
                    "mail": {"type": "string", "pattern": "^[^@]+@[^@]+$"},
                    "tags": {"type": "array", "items": {"enum": ["a", "b", "c"]}},
                },
                "required": ["name", "age"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["people"],
}
_PERSON = {"name": "Jane Doe", "age": 30, "mail": "jane@example.org", "tags": ["a", "b"]}
_SMALL, _LARGE = 2_000, 500_000
_WHERE = endpoint("POST", "/v1/messages")


def measure(plan: Plan) -> Section:
    section = Section("structure", "Structured output: what a form costs", _ABOUT, ("with a form", "without"))
    config = Config(features={"default": FeatureConfig(form=FormConfig(schema="people.json"))})
    clock = BlockingClock()
    layers = (Structure(config, {"people.json": json.dumps(_SCHEMA).encode()}, clock), Structure(Config(), {}, clock))
    for what, prompt, size, is_stream in (
        ("2 KB prompt, 2 KB answer", _SMALL, _SMALL, False),
        ("2 KB prompt, 2 KB stream", _SMALL, _SMALL, True),
        ("500 KB prompt, 2 KB answer", _LARGE, _SMALL, False),
        ("2 KB prompt, 500 KB answer", _SMALL, _LARGE, False),
        ("2 KB prompt, 500 KB stream", _SMALL, _LARGE, True),
    ):
        traffic = Traffic(prompt, size, is_stream=is_stream)
        count = max(3, (20 if plan.is_quick else 2_000) * _SMALL // max(prompt, size))
        found = [Spread.of([traffic.call_us(layer, count) for _ in range(plan.rounds)]) for layer in layers]
        section.rows.append(Row(f"{what}, CPU", "µs/call", tuple(found)))
    return section


class Traffic:
    """Calls with a prompt of so many bytes, each answered with JSON of so many, whole or as a stream."""

    def __init__(self, prompt: int, size: int, *, is_stream: bool) -> None:
        content = "The mill grinds on. " * (prompt // 20)
        ask = {"model": "claude-sonnet-4-6", "max_tokens": 1024, "messages": [{"role": "user", "content": content}]}
        self._body = json.dumps({**ask, "stream": is_stream}).encode()
        people = json.dumps({"people": [_PERSON] * (size // len(json.dumps(_PERSON)))})
        self._chunks = _stream(people) if is_stream else [_message(people)]
        self._headers = ((b"content-type", b"text/event-stream" if is_stream else b"application/json"),)

    def call_us(self, layer: Structure, count: int) -> float:
        """CPU for each call, read to its end; making call and answer is not counted."""
        used = 0.0
        for _ in range(count):
            call, reply = a_call(self._body), self._reply()

            async def onward(passed: Call, made: Reply = reply) -> Reply:
                return made

            async def through(given: Call = call) -> None:
                async for _ in await layer(given, onward):
                    pass

            began = time.process_time()
            run(through())
            used += time.process_time() - began
        return used * 1e6 / count

    def _reply(self) -> Reply:
        follow = reading(_WHERE, 200, self._headers)
        return Reply(200, self._headers, Whole(self._chunks), reading=follow, request_id="req_1")


def _message(text: str) -> bytes:
    usage = {"input_tokens": 8, "output_tokens": 900}
    content = [{"type": "text", "text": text}]
    message = {"type": "message", "model": "claude-sonnet-4-6", "content": content, "stop_reason": "end_turn"}
    return json.dumps({**message, "usage": usage}).encode()


def _stream(text: str) -> list[bytes]:
    usage = {"input_tokens": 8, "output_tokens": 1}
    deltas = [{"type": "text_delta", "text": text[at : at + 60]} for at in range(0, len(text), 60)]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "claude-sonnet-4-6", "content": [], "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[{"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas],
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 900}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
