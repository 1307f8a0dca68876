"""Answers as they stand on the wire, and how they become an `Answer`."""

from __future__ import annotations

import msgspec

from . import lenient
from .messages import Answer, CacheMiss, Iteration, Usage


class CacheCreation(msgspec.Struct, frozen=True):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class ServerTools(msgspec.Struct, frozen=True):
    web_search_requests: int = 0
    web_fetch_requests: int = 0


class OutputDetails(msgspec.Struct, frozen=True):
    thinking_tokens: int = 0


class WireIteration(msgspec.Struct, frozen=True):
    type: str = "message"
    model: str | None = None
    input_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0
    cache_creation: CacheCreation | None = None
    output_tokens: int = 0


class WireUsage(msgspec.Struct, frozen=True):
    """`usage` of a message, of `message_start` and of `message_delta`; None where the API left a field out."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens: int | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    server_tool_use: ServerTools | None = None
    output_tokens_details: OutputDetails | None = None
    iterations: list[WireIteration] | None = None


class Block(msgspec.Struct, frozen=True):
    type: str = ""


class Details(msgspec.Struct, frozen=True):
    error_code: str | None = None


class WireError(msgspec.Struct, frozen=True):
    type: str | None = None
    message: str | None = None
    details: Details | None = None


class WireReason(msgspec.Struct, frozen=True):
    type: str | None = None
    cache_missed_input_tokens: int | None = None


class Diagnostics(msgspec.Struct, frozen=True):
    cache_miss_reason: WireReason | None = None


class WireMessage(msgspec.Struct, frozen=True):
    """A message, or an error in its place."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    content: list[Block] | None = None
    error: WireError | None = None
    diagnostics: Diagnostics | None = None


_MESSAGE = msgspec.json.Decoder(WireMessage)


def take_message(answer: Answer, body: bytes) -> None:
    """Note a whole message, or an error body. Raises msgspec.DecodeError where it is not a JSON object."""
    message = lenient.decode(_MESSAGE, body)
    note_message(answer, message)
    if message.error is not None:
        note_error(answer, message.error)


def note_message(answer: Answer, message: WireMessage) -> None:
    answer.id, answer.model, answer.stop_reason = message.id, message.model, message.stop_reason
    if message.content:
        answer.has_content = any(block.type != "fallback" for block in message.content)
    if message.usage is not None:
        answer.usage = merged(None, message.usage)
    reason = message.diagnostics.cache_miss_reason if message.diagnostics is not None else None
    if reason is not None and reason.type is not None:
        answer.cache_miss = CacheMiss(reason.type, reason.cache_missed_input_tokens)


def note_error(answer: Answer, error: WireError) -> None:
    answer.error_type, answer.error_message = error.type, error.message
    if error.details is not None:
        answer.error_code = error.details.error_code


def merged(seen: Usage | None, wire: WireUsage) -> Usage:
    """`seen` with the fields that `wire` has put over it: counts are cumulative totals, so they replace.

    The split of cache writes by lifetime comes only with the first usage. Where a later total is larger, the rest was
    written by server tools, whose own marks live five minutes.
    """
    usage = Usage() if seen is None else seen
    if wire.input_tokens is not None:
        usage.input_tokens = wire.input_tokens
    if wire.cache_read_input_tokens is not None:
        usage.cache_read_tokens = wire.cache_read_input_tokens
    if wire.output_tokens is not None:
        usage.output_tokens = wire.output_tokens
    if wire.cache_creation is not None:
        usage.cache_write_5m_tokens = wire.cache_creation.ephemeral_5m_input_tokens
        usage.cache_write_1h_tokens = wire.cache_creation.ephemeral_1h_input_tokens
    if wire.cache_creation_input_tokens is not None:
        _split(usage, wire.cache_creation_input_tokens)
    if wire.service_tier is not None:
        usage.service_tier = wire.service_tier
    if wire.inference_geo is not None:
        usage.inference_geo = wire.inference_geo
    if wire.speed is not None:
        usage.speed = wire.speed
    if wire.server_tool_use is not None:
        usage.web_searches = wire.server_tool_use.web_search_requests
        usage.web_fetches = wire.server_tool_use.web_fetch_requests
    if wire.output_tokens_details is not None:
        usage.thinking_tokens = wire.output_tokens_details.thinking_tokens
    if wire.iterations is not None:
        usage.iterations = tuple([_iteration(entry, usage, len(wire.iterations)) for entry in wire.iterations])
    return usage


def _split(usage: Usage, written: int) -> None:
    usage.cache_write_1h_tokens = min(usage.cache_write_1h_tokens, written)
    usage.cache_write_5m_tokens = written - usage.cache_write_1h_tokens


def _iteration(wire: WireIteration, whole: Usage, count: int) -> Iteration:
    """One entry; the only entry of an answer, where it lacks the split by lifetime, has the answer's own."""
    long = 0
    if wire.cache_creation is not None:
        long = wire.cache_creation.ephemeral_1h_input_tokens
    elif count == 1 and wire.cache_creation_input_tokens == whole.cache_write_5m_tokens + whole.cache_write_1h_tokens:
        long = whole.cache_write_1h_tokens
    return Iteration(
        type=wire.type,
        model=wire.model,
        input_tokens=wire.input_tokens,
        cache_read_tokens=wire.cache_read_input_tokens,
        cache_write_5m_tokens=max(0, wire.cache_creation_input_tokens - long),
        cache_write_1h_tokens=long,
        output_tokens=wire.output_tokens,
    )
