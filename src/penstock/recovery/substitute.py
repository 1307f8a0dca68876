"""What a caller gets where no model answered: an earlier answer to the same request, or the operator's own words."""

from __future__ import annotations

import msgspec

from ..call import Call, Fact
from ..errors import StoreFailed
from ..naming import answer_name
from ..ports import Ports
from ..record import Record
from ..reply import Reply, Whole
from ..wire.reading import reading

_JSON = (b"content-type", b"application/json")
_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


class Substituted(Fact, frozen=True):
    """No candidate answered, and the caller got something else: `earlier` or `text`."""

    kind: str
    call_id: str | None = None

    def is_free(self) -> bool:
        return True

    def mark(self, record: Record) -> None:
        record.upstream = f"penstock:{self.kind}"

    def told(self) -> str:
        if self.kind == "earlier":
            return f"No model answered; the caller got the earlier answer of call {self.call_id}."
        return "No model answered; the caller got the text that the feature's fallback names."


async def substitute(call: Call, ports: Ports) -> Reply | None:
    """A reply without a model, as the call's policy wants it; None where it wants or has none."""
    policy = call.plan.policy if call.plan is not None else None
    if policy is None or call.endpoint.name != "messages" or call.request is None:
        return None
    if policy.earlier_s:
        reply = await _earlier(call, ports, policy.earlier_s)
        if reply is not None:
            return reply
    return None if policy.text is None else _text(call, policy.text)


async def _earlier(call: Call, ports: Ports, at_most_s: float) -> Reply | None:
    now_us = ports.clock.wall_us()
    try:
        answer = await ports.answers.find(answer_name(call), now_us)
    except StoreFailed:
        return None
    if answer is None or answer.made_at_us < now_us - at_most_s * 1e6:
        return None
    call.trail.append(Substituted("earlier", answer.call_id))
    return _reply(call, answer.status, (*answer.headers, (b"x-penstock-substitute", b"earlier")), answer.body)


def _text(call: Call, text: str) -> Reply:
    """The operator's words as a message, or as the stream of one. No tokens, no cost."""
    call.trail.append(Substituted("text"))
    request = call.request
    assert request is not None
    id, model = f"msg_{call.id}", request.model or ""
    usage: dict[str, object] = {
        "input_tokens": 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 0,
        "service_tier": "standard",
    }
    message: dict[str, object] = {"id": id, "type": "message", "role": "assistant", "model": model}
    message |= {"content": [], "stop_reason": None}
    message |= {"stop_sequence": None, "usage": usage}
    marked = (b"x-penstock-substitute", b"text")
    if not request.stream:
        message |= {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn"}
        return _reply(call, 200, (_JSON, marked), msgspec.json.encode(message))
    ended: dict[str, object] = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": usage,
    }
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        ended,
        {"type": "message_stop"},
    ]
    body = b"".join(
        b"event: %s\ndata: %s\n\n" % (str(event["type"]).encode(), msgspec.json.encode(event)) for event in events
    )
    return _reply(call, 200, (_STREAM, marked), body)


def _reply(call: Call, status: int, headers: tuple[tuple[bytes, bytes], ...], body: bytes) -> Reply:
    return Reply(status, headers, Whole([body]), reading=reading(call.endpoint, status, headers), request_id=call.id)
