"""A message as the API writes it: one JSON body, or the events of a stream.

Field order, padding before the last brace of every event but `ping`, and the place of the ping are those of
recorded traffic of August 2026.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .dice import Dice
from .model import Spoken
from .prose import json_pieces, pieces_of

PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_DELTA = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":%b}%b}\n\n'
)
_encode = msgspec.json.encode


@dataclass(frozen=True, slots=True)
class Prompted:
    """Input tokens of one request, in the four disjoint kinds."""

    input_tokens: int
    cache_read: int = 0
    write_5m: int = 0
    write_1h: int = 0

    @property
    def counts(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "cache_creation_input_tokens": self.write_5m + self.write_1h,
            "cache_read_input_tokens": self.cache_read,
        }

    @property
    def creation(self) -> dict[str, int]:
        return {"ephemeral_5m_input_tokens": self.write_5m, "ephemeral_1h_input_tokens": self.write_1h}

    def iteration(self, output_tokens: int) -> dict[str, Any]:
        """The counts of one entry of `usage.iterations`."""
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": output_tokens,
            "cache_read_input_tokens": self.cache_read,
            "cache_creation_input_tokens": self.write_5m + self.write_1h,
            "cache_creation": self.creation,
        }


@dataclass(frozen=True, slots=True)
class Written:
    """Everything a message's bytes are made from. `has_edits` is set where the request manages its context.

    `declined` is the entry of the attempt that was declined, where another model (`model`) went on; `asked` the first.
    `diagnostics`, of the prompt cache, is shown where the request asked for it (`is_diagnosed`), None as null.
    """

    id: str
    model: str
    spoken: Spoken
    prompted: Prompted
    service_tier: str = "standard"
    inference_geo: str = "global"
    speed: str | None = None
    shows_thinking_tokens: bool = False
    has_edits: bool = False
    is_diagnosed: bool = False
    diagnostics: dict[str, Any] | None = None
    input_transformations: list[dict[str, Any]] = field(default_factory=list)
    declined: dict[str, Any] | None = None
    asked: str | None = None

    def usage(self, output_tokens: int) -> dict[str, Any]:
        usage = {**self.prompted.counts, "cache_creation": self.prompted.creation, "output_tokens": output_tokens}
        usage |= {"service_tier": self.service_tier, "inference_geo": self.inference_geo}
        return usage if self.speed is None else {**usage, "speed": self.speed}

    def details(self) -> dict[str, Any]:
        return {"thinking_tokens": self.spoken.thinking_tokens}

    @property
    def has_server_tools(self) -> bool:
        return any(block["type"] == "server_tool_use" for block in self.spoken.blocks)

    def server_tools(self) -> dict[str, int]:
        return {"web_search_requests": self.spoken.web_searches, "web_fetch_requests": self.spoken.web_fetches}

    @property
    def has_iterations(self) -> bool:
        return self.has_edits or self.declined is not None

    def iterations(self) -> list[dict[str, Any]]:
        own = self.prompted.iteration(self.spoken.output_tokens)
        if self.declined is None:
            return [{**own, "type": "message"}]
        return [self.declined, {**own, "model": self.model, "type": "fallback_message"}]


def message(written: Written) -> dict[str, Any]:
    """The whole message, in the field order of the wire."""
    spoken = written.spoken
    usage = written.usage(spoken.output_tokens)
    if written.shows_thinking_tokens:
        usage["output_tokens_details"] = written.details()
    if written.has_server_tools:
        usage["server_tool_use"] = written.server_tools()
    if written.has_iterations:
        usage["iterations"] = written.iterations()
    body = {
        "model": written.model,
        "id": written.id,
        "type": "message",
        "role": "assistant",
        "content": spoken.blocks,
        "stop_reason": spoken.stop_reason,
        "stop_sequence": spoken.stop_sequence,
        "stop_details": spoken.stop_details,
        "usage": usage,
    }
    if written.is_diagnosed:
        body["diagnostics"] = written.diagnostics
    if written.input_transformations:
        body["input_transformations"] = written.input_transformations
    return {**body, "context_management": {"applied_edits": []}} if written.has_edits else body


def event(name: str, data: bytes, dice: Dice) -> bytes:
    """One event; `data` is a JSON object, which gets its padding here."""
    return b"event: %b\ndata: %b%b}\n\n" % (name.encode(), data[:-1], dice.padding())


def events(written: Written, dice: Dice) -> list[bytes]:
    """The whole stream, one entry per event."""
    spoken = written.spoken
    start: dict[str, Any] = {
        "model": written.asked or written.model,
        "id": written.id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": written.usage(min(_held_back(spoken, dice), spoken.output_tokens)),
    }
    if written.is_diagnosed:
        start["diagnostics"] = written.diagnostics
    if written.input_transformations:
        start["input_transformations"] = written.input_transformations
    made = [event("message_start", _encode({"type": "message_start", "message": start}), dice)]
    for index, block in enumerate(spoken.blocks):
        begun = _block(index, block, dice)
        made += [begun[0], PING, *begun[1:]] if index == 0 else begun
    usage = {**written.prompted.counts, "output_tokens": spoken.output_tokens}
    if written.shows_thinking_tokens:
        usage["output_tokens_details"] = written.details()
    if written.has_server_tools:
        usage["server_tool_use"] = written.server_tools()
    if written.has_iterations:
        usage["iterations"] = written.iterations()
    delta = {
        "stop_reason": spoken.stop_reason,
        "stop_sequence": spoken.stop_sequence,
        "stop_details": spoken.stop_details,
    }
    last: dict[str, Any] = {"type": "message_delta", "delta": delta, "usage": usage}
    if written.has_edits:
        last["context_management"] = {"applied_edits": []}
    made.append(event("message_delta", _encode(last), dice))
    made.append(event("message_stop", b'{"type":"message_stop"}', dice))
    return made


def _held_back(spoken: Spoken, dice: Dice) -> int:
    """`output_tokens` of message_start: what was made before the first block was known. Never 0 with content."""
    first = spoken.blocks[0]["type"] if spoken.blocks else "text"
    if first == "tool_use":
        return 1 + dice.random.randrange(20)
    if first == "thinking":
        return 1 + dice.random.randrange(8)
    return 1 if dice.random.random() < 0.63 else 2 + dice.random.randrange(5)


def _block(index: int, block: dict[str, Any], dice: Dice) -> list[bytes]:
    begun: dict[str, Any] = block
    deltas: list[bytes] = []
    kind = block["type"]
    if kind == "text":
        begun = {"type": "text", "text": ""}
        if "citations" in block:
            begun = {"citations": [], **begun}
            deltas = [_cited(index, citation, dice) for citation in block["citations"]]
        deltas += [_delta(index, "text_delta", "text", piece, dice) for piece in pieces_of(block["text"], dice.random)]
    elif kind == "thinking":
        begun = {"type": "thinking", "thinking": "", "signature": ""}
        pieces = pieces_of(block["thinking"], dice.random)
        deltas = [_delta(index, "thinking_delta", "thinking", piece, dice) for piece in pieces]
        deltas.append(_delta(index, "signature_delta", "signature", block["signature"], dice))
    elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
        begun = {**block, "input": {}}
        given = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
        pieces = ["", *json_pieces(given, dice.random)]
        deltas = [_delta(index, "input_json_delta", "partial_json", piece, dice) for piece in pieces]
    opening = {"type": "content_block_start", "index": index, "content_block": begun}
    closing = b'{"type":"content_block_stop","index":%d}' % index
    return [
        event("content_block_start", _encode(opening), dice),
        *deltas,
        event("content_block_stop", closing, dice),
    ]


def _cited(index: int, citation: dict[str, Any], dice: Dice) -> bytes:
    delta = {"type": "citations_delta", "citation": citation}
    return event("content_block_delta", _encode({"type": "content_block_delta", "index": index, "delta": delta}), dice)


def _delta(index: int, kind: str, name: str, piece: str, dice: Dice) -> bytes:
    return _DELTA % (index, kind.encode(), name.encode(), _encode(piece), dice.padding())


def grouped(parts: list[bytes], dice: Dice) -> list[bytes]:
    """Events as the pieces a client receives: the head together, mostly one each, the last two together."""
    if len(parts) < 7:
        return parts
    pieces = [b"".join(parts[:4])]
    at, end = 4, len(parts) - 2
    while at < end:
        size = 1 if dice.random.random() < 0.86 else 2
        pieces.append(b"".join(parts[at : min(at + size, end)]))
        at += size
    pieces.append(b"".join(parts[end:]))
    return pieces
