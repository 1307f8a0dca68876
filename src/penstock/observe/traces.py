"""Traces for OpenTelemetry, made from the ledger's records once they are rows: nothing of it is on a call's path.

A call is one span, below the caller's own where it sent a `traceparent`; its attempts and waits are spans below it,
what guards found are events. Names and values follow the semantic conventions for generative AI (still "Development",
as of November 2026: open-telemetry/semantic-conventions-genai), with `input_tokens` all of the input, cached or not.

The SDK makes a span of each call too. In process that one has the usage, and ours below it has not: a backend that sums
spans counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)
from opentelemetry.util.types import AttributeValue

from ..record import Record
from ..version import VERSION
from ..wire.prices import usd
from .parts import Part, parts

SCOPE = "penstock"

_OPERATIONS = {"messages": "chat"}
_TRAIL = msgspec.json.Decoder(list[dict[str, Any]])
_FAILED = frozenset({"refused", "failed", "truncated", "killed"})
_GUARDS = frozenset({"Screened", "Inspected"})


class Span(NamedTuple):
    """One span to be: times in Unix microseconds, attributes by their names in the conventions."""

    name: str
    kind: SpanKind
    began_us: int
    ended_us: int
    attributes: dict[str, AttributeValue]
    error: str | None = None


class Traces:
    """Hands spans to a provider of the OpenTelemetry SDK."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer: Tracer = provider.get_tracer(SCOPE, VERSION)

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            facts = _TRAIL.decode(record.trail)
            parent = _parent(facts)
            self._write(record, facts, parent)

    def _write(self, record: Record, facts: list[dict[str, Any]], parent: SpanContext | None) -> None:
        context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
        whole = _call(record, has_usage=parent is None or record.face == "gateway")
        span = self._tracer.start_span(
            whole.name, context, whole.kind, whole.attributes, start_time=whole.began_us * 1000
        )
        below = set_span_in_context(span)
        for part in map(_part, parts(record, facts)):
            child = self._tracer.start_span(
                part.name, below, part.kind, part.attributes, start_time=part.began_us * 1000
            )
            if part.error is not None:
                child.set_status(Status(StatusCode.ERROR, part.error))
            child.end(part.ended_us * 1000)
        for fact in facts:
            if fact["type"] in _GUARDS:
                span.add_event(f"penstock.{fact['type'].lower()}", _found(fact), whole.began_us * 1000)
        if whole.error is not None:
            span.set_status(Status(StatusCode.ERROR, whole.error))
        span.end(whole.ended_us * 1000)


def _call(record: Record, *, has_usage: bool) -> Span:
    operation = _OPERATIONS.get(record.endpoint, record.endpoint)
    model = record.model_asked or ""
    attributes: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": record.model_asked,
        "gen_ai.request.stream": record.is_stream or None,
        "gen_ai.conversation.id": record.session,
        "http.request.method": record.method,
        "http.response.status_code": record.status,
        "error.type": _error(record),
        "penstock.call.id": record.call_id,
        "penstock.environment": record.environment,
        "penstock.feature": record.feature,
        "penstock.ending": record.ending,
        "penstock.outcome": record.outcome,
        "penstock.arm": record.arm,
        "penstock.prompt": record.prompt,
        "penstock.attempts": record.attempts,
        "penstock.cost.basis": record.cost_basis,
        "penstock.cost.usd": None if record.cost_nano is None else usd(record.cost_nano),
        "anthropic.request.id": record.upstream_request_id,
        "anthropic.message.stop_reason": record.stop_reason,
    }
    if record.first_token_us is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = record.first_token_us / 1e6
    if has_usage and record.endpoint == "messages":
        attributes |= _usage(record)
    return Span(
        f"{operation} {model}".strip(),
        SpanKind.SERVER if record.face == "gateway" else SpanKind.INTERNAL,
        record.began_at_us,
        record.began_at_us + record.total_us,
        {name: value for name, value in attributes.items() if value is not None},
        _error(record),
    )


def _usage(record: Record) -> dict[str, AttributeValue | None]:
    written = record.cache_write_5m_tokens + record.cache_write_1h_tokens
    return {
        "gen_ai.response.model": record.model_served,
        "gen_ai.response.finish_reasons": None if record.stop_reason is None else (record.stop_reason,),
        "gen_ai.usage.input_tokens": record.input_tokens + record.cache_read_tokens + written,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": record.cache_read_tokens,
        "gen_ai.usage.cache_write.input_tokens": written,
        "gen_ai.usage.reasoning.output_tokens": record.thinking_tokens,
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": record.cache_write_5m_tokens,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": record.cache_write_1h_tokens,
    }


def _part(part: Part) -> Span:
    fact = part.attempt or {}
    status, code = fact.get("status"), fact.get("code")
    attributes: dict[str, AttributeValue | None] = {
        "penstock.upstream": fact.get("upstream"),
        "penstock.aside": fact.get("aside"),
        "http.request.resend_count": part.tries or None,
        "http.response.status_code": status,
        "anthropic.request.id": fact.get("request_id"),
        "error.type": code or (str(status) if isinstance(status, int) and status >= 400 else None),
    }
    kept: dict[str, AttributeValue] = {name: value for name, value in attributes.items() if value is not None}
    error = kept.get("error.type")
    kind = SpanKind.INTERNAL if part.attempt is None else SpanKind.CLIENT
    return Span(part.name, kind, part.began_us, part.ended_us, kept, None if error is None else str(error))


def _error(record: Record) -> str | None:
    """What the conventions want as `error.type`: few values, none for a call that ended well."""
    if record.ending not in _FAILED:
        return None
    return record.error_code or record.error_type or record.ending


def _found(fact: dict[str, Any]) -> dict[str, AttributeValue]:
    """What guards ran and how often they found what; what they found is no one's business here."""
    told: dict[str, AttributeValue] = {"penstock.guards": tuple(map(str, fact.get("guards", ())))}
    for name, value in fact.items():
        if isinstance(value, dict):
            told |= {f"penstock.found.{name}.{kind}": int(count) for kind, count in value.items()}
    return told


def _parent(facts: Sequence[dict[str, Any]]) -> SpanContext | None:
    """The caller's span, where it told one."""
    traced = next((fact for fact in facts if fact["type"] == "Traced"), None)
    if traced is None:
        return None
    flags = TraceFlags(int(traced["flags"], 16))
    return SpanContext(int(traced["trace_id"], 16), int(traced["span_id"], 16), is_remote=True, trace_flags=flags)
