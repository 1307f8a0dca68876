"""The structure of the API's wire, learned from recorded traffic by code, and what of some bytes departs from it.

`Learned` takes in bodies and streams that were recorded byte for byte; `faults_of_body` and `faults_of_stream` say what
in others was never seen: an unknown field, fields in another order, an event out of place, an id of another form.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

ID = re.compile(r"(msg|req|toolu|srvtoolu|msgbatch|file|container)_01[1-9A-HJ-NP-Za-km-z]{22}")
_IDS = ("id", "tool_use_id", "request_id", "file_id", "first_id", "last_id")
_FRAME = re.compile(rb"event: ([a-z_]+)\ndata: (.*)")
_PADDED = re.compile(rb"[^ ]( *)\}$")
#: What is under these is a caller's own: its fields may be any.
_OPEN = ("input", "input_schema")


@dataclass
class Learned:
    """For each place in a body: the fields seen there, and which stood before which."""

    fields: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    before: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    padding: list[int] = field(default_factory=list)
    headers: list[set[str]] = field(default_factory=list)
    bodies: int = 0

    def take(self, body: Any, place: str) -> None:
        self.bodies += 1
        for where, names in orders(body, place):
            self.fields[where].update(names)
            self.before[where].update((a, b) for at, a in enumerate(names) for b in names[at + 1 :])

    def take_stream(self, raw: bytes) -> None:
        for name, data in frames(raw):
            self.take(json.loads(data), name)
            if name != "ping":
                self.padding.append(padding_of(data))

    def faults(self, body: Any, place: str) -> list[str]:
        found = []
        for where, names in orders(body, place):
            if where not in self.fields:
                found.append(f"{where}: never seen")
                continue
            found += [f"{where}.{name}: never seen" for name in names if name not in self.fields[where]]
            for at, a in enumerate(names):
                for b in names[at + 1 :]:
                    if (b, a) in self.before[where] and (a, b) not in self.before[where]:
                        found.append(f"{where}: {a} stands before {b}")
        return found + id_faults(body, place)


def orders(body: Any, place: str) -> list[tuple[str, list[str]]]:
    """Every object in a body with its place; objects that have a `type` are told apart by it."""
    found: list[tuple[str, list[str]]] = []
    if isinstance(body, dict):
        kind = body.get("type")
        if isinstance(kind, str) and "." in place:
            place = f"{place}<{kind}>"
        found.append((place, list(body)))
        for name, value in body.items():
            if name not in _OPEN:
                found += orders(value, f"{place}.{name}")
    elif isinstance(body, list):
        for value in body:
            found += orders(value, place + "[]")
    return found


def id_faults(body: Any, place: str) -> list[str]:
    found = []
    if isinstance(body, dict):
        for name, value in body.items():
            if name in _IDS and isinstance(value, str) and not ID.fullmatch(value) and not value.startswith("claude-"):
                found.append(f"{place}.{name}: {value!r} has not the form of an id")
            elif name not in _OPEN:
                found += id_faults(value, f"{place}.{name}")
    elif isinstance(body, list):
        for value in body:
            found += id_faults(value, place + "[]")
    return found


def frames(raw: bytes) -> list[tuple[str, bytes]]:
    """Name and data of each event. Raises AssertionError where the framing is another."""
    assert raw.endswith(b"\n\n"), "the body ends with a blank line"
    found = []
    for frame in raw[:-2].split(b"\n\n"):
        match = _FRAME.fullmatch(frame)
        assert match is not None, f"a frame of another form: {frame[:80]!r}"
        found.append((match[1].decode(), match[2]))
    return found


def padding_of(data: bytes) -> int:
    """How many blanks stand before the last brace."""
    match = _PADDED.search(data)
    return len(match[1]) if match else 0


def sequence_faults(raw: bytes) -> list[str]:
    """What in the order of events is not as it always was since February 2026."""
    found: list[str] = []
    names = [name for name, _ in frames(raw)]
    if names[:2] != ["message_start", "content_block_start"] and names[:2] != ["message_start", "message_delta"]:
        found.append(f"it begins with {names[:3]}")
    if names[-2:] != ["message_delta", "message_stop"]:
        found.append(f"it ends with {names[-2:]}")
    if names.count("ping") != (1 if "content_block_start" in names else 0) or ("ping" in names and names[2] != "ping"):
        found.append(f"pings at {[at for at, name in enumerate(names) if name == 'ping']}")
    opened = -1
    block: dict[str, Any] = {}
    deltas: list[str] = []
    for name, data in frames(raw):
        body = json.loads(data)
        if name == "ping":
            if data != b'{"type": "ping"}':
                found.append(f"a ping of another form: {data!r}")
        elif name == "content_block_start":
            opened += 1
            block, deltas = body["content_block"], []
            if body["index"] != opened:
                found.append(f"block {opened} says it is {body['index']}")
        elif name == "content_block_delta":
            deltas.append(body["delta"]["type"])
            found += delta_faults(block, body["delta"], is_first=len(deltas) == 1)
        elif name == "content_block_stop":
            found += block_faults(block, deltas)
    return found


def delta_faults(block: dict[str, Any], delta: dict[str, Any], *, is_first: bool) -> list[str]:
    kind = delta["type"]
    if kind == "text_delta" and delta["text"] == "":
        return ["an empty text_delta"]
    if kind == "input_json_delta" and is_first and delta["partial_json"] != "":
        return ["the first input_json_delta is not empty"]
    if kind == "signature_delta" and block["type"] != "thinking":
        return [f"a signature in a {block['type']} block"]
    return []


def block_faults(block: dict[str, Any], deltas: list[str]) -> list[str]:
    kind = block["type"]
    if kind == "thinking" and (deltas[-1:] != ["signature_delta"] or deltas.count("signature_delta") != 1):
        return [f"a thinking block of {deltas}"]
    if kind == "thinking" and (block["thinking"], block["signature"]) != ("", ""):
        return ["a thinking block that starts with words"]
    if kind in ("tool_use", "server_tool_use", "mcp_tool_use") and block["input"] != {}:
        return ["a tool call that starts with its input"]
    if (kind.endswith("_tool_result") or kind == "redacted_thinking") and deltas:
        return [f"a {kind} block with deltas"]
    return []
