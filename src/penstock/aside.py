"""What a layer asks a model for itself while it is at work on a call: a summary, a judgement, a mended answer.

It goes onward like the call: paced, held for by the call's budgets, and billed to it, with what it used on the trail.
It goes to the call's own upstream with the call's own credential, and what features want of answers is not wanted of
it: layers see `Call.aside` and let it pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from .call import Call, Plan, Spent
from .errors import Refused, UpstreamFailed
from .layer import Next
from .ports import Clock
from .wire.messages import Usage, endpoint, read_request

_ENDPOINT = endpoint("POST", "/v1/messages")
#: Of the caller's header fields, those that an aside has too.
_KEPT = frozenset({b"authorization", b"x-api-key", b"anthropic-version", b"user-agent", b"content-type"})


class Unanswered(Exception):
    """Nothing usable came. The message says why, in a few words."""


class _Block(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct, frozen=True):
    content: list[_Block] = []
    stop_reason: str | None = None


class Said(msgspec.Struct, frozen=True):
    """An answer's text, why it stopped, what it used, and how long it took in seconds."""

    text: str
    stop_reason: str | None
    usage: Usage
    took_s: float


_MESSAGE = msgspec.json.Decoder(_Message)


async def asked(call: Call, onward: Next, clock: Clock, *, aside: str, body: Mapping[str, Any]) -> Said:
    """Ask for something on behalf of `call`. `aside` says for what, as a noun; `body` is a Messages request.

    Raises Unanswered, where budgets, limits or the upstream refuse too.
    """
    began = clock.now()
    try:
        reply = await onward(_made(call, aside, body))
        raw = await reply.read()
    except (Refused, UpstreamFailed) as error:
        raise Unanswered(f"the {aside} could not be had: {error.message}") from error
    answer = reply.answer
    usage = answer.usage if reply.status < 400 else None
    if usage is None:
        raise Unanswered(f"the {aside} was answered with status {reply.status}")
    if not answer.is_early_refusal:
        call.trail.append(Spent(usage, answer.model or str(body["model"]), aside, is_exact=True))
    try:
        message = _MESSAGE.decode(raw)
    except msgspec.DecodeError as fault:
        raise Unanswered(f"the answer to the {aside} is no message") from fault
    text = "".join(block.text for block in message.content if block.type == "text")
    return Said(text, message.stop_reason, usage, clock.now() - began)


def _made(call: Call, aside: str, body: Mapping[str, Any]) -> Call:
    assert call.plan is not None, "routing stands above"
    raw = msgspec.json.encode(body)
    headers = tuple([field for field in call.headers if field[0] in _KEPT])
    return replace(
        call,
        method="POST",
        path="/v1/messages",
        query="",
        headers=headers,
        fields=dict(headers),
        body=raw,
        endpoint=_ENDPOINT,
        request=read_request(raw),
        plan=Plan((replace(call.plan.candidates[0], model=None),), call.plan.policy),
        aside=aside,
    )
