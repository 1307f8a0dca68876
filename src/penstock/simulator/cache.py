"""The prompt cache: exact prefixes, at most 20 blocks of look-back, 5 minutes or an hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec

from .catalogue import Model
from .stream import Prompted
from .tokens import block_tokens, content_tokens, frame_tokens, tools_tokens

LOOKBACK = 20
_UNCACHEABLE = ("thinking", "redacted_thinking")


@dataclass(slots=True)
class _Place:
    """A block of the prompt: the hash and the tokens of all up to it, and the lifetime asked for, 0 for none."""

    digest: bytes
    tokens: float
    lifetime_s: int
    may_mark: bool


class PromptCache:
    """What one simulated workspace has cached: (model, prefix) to the time it expires and its lifetime."""

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[float, int]] = {}

    def count(self, request: dict[str, Any], model: Model, now_s: float) -> Prompted:
        """Input tokens of a request by kind; reads renew and writes are made at once."""
        if "cache_control" not in request and not _has_marks(request):
            return Prompted(count_prompt(request, model))
        places = list(_places(request, model))
        marks = [at for at, place in enumerate(places) if place.lifetime_s]
        total = round(places[-1].tokens)
        if not marks or places[marks[-1]].tokens < model.cacheable_tokens:
            return Prompted(total)
        hit = self._hit(places, marks, now_s)
        for at in marks:
            place = places[at]
            if at > hit and place.tokens >= model.cacheable_tokens:
                self._entries[place.digest] = (now_s + place.lifetime_s, place.lifetime_s)
        read = round(places[hit].tokens) if hit >= 0 else 0
        last = round(places[marks[-1]].tokens)
        hours = [round(places[at].tokens) for at in marks if at > hit and places[at].lifetime_s > 300]
        hour = max(hours[-1], read) if hours else read
        return Prompted(total - last, read, last - hour, hour - read)

    def _hit(self, places: list[_Place], marks: list[int], now_s: float) -> int:
        """The furthest place that was written before and lives, or -1. Renews it."""
        for mark in reversed(marks):
            for at in range(mark, max(-1, mark - LOOKBACK), -1):
                ends_at, lifetime_s = self._entries.get(places[at].digest, (0.0, 0))
                if ends_at > now_s:
                    self._entries[places[at].digest] = (now_s + lifetime_s, lifetime_s)
                    return at
        return -1


def count_prompt(request: dict[str, Any], model: Model) -> int:
    """Input tokens of a request, cached or not: what count_tokens answers."""
    weights = model.weights
    total = frame_tokens(request, weights) + weights.message * (len(request["messages"]) - 1)
    total += tools_tokens(request.get("tools") or [], request.get("tool_choice"), weights)
    total += content_tokens(request.get("system") or "", weights)
    total += sum(content_tokens(turn["content"], weights) for turn in request["messages"])
    return max(1, round(total))


def _has_marks(request: dict[str, Any]) -> bool:
    parts = [request.get("tools"), request.get("system"), *(turn["content"] for turn in request["messages"])]
    return any(
        isinstance(block, dict) and block.get("cache_control")
        for part in parts
        if isinstance(part, list)
        for block in part
    )


def _blocks(request: dict[str, Any], model: Model) -> Iterator[tuple[str, Any, float]]:
    """Every block in prompt order with its tokens: tools, system, messages."""
    weights, tools = model.weights, request.get("tools") or []
    before = 0.0
    for at in range(len(tools)):
        upto = tools_tokens(tools[: at + 1], request.get("tool_choice"), weights)
        yield "tool", tools[at], upto - before
        before = upto
    system = request.get("system") or []
    for block in [{"type": "text", "text": system}] if isinstance(system, str) else system:
        yield "system", block, block_tokens(block, weights)
    frame = frame_tokens(request, weights)
    for turn in request["messages"]:
        content = turn["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        for block in blocks:
            yield turn["role"], block, frame + block_tokens(block, weights)
            frame = 0.0
        frame += weights.message


def _places(request: dict[str, Any], model: Model) -> Iterator[_Place]:
    digest = blake2b(f"{model.id} {request.get('speed')}".encode(), digest_size=16)
    tokens, places = 0.0, []
    for role, block, cost in _blocks(request, model):
        bare = {name: value for name, value in block.items() if name != "cache_control"}
        digest.update(role.encode() + b"\0" + msgspec.json.encode(bare))
        tokens += cost
        may_mark = block.get("type") not in _UNCACHEABLE and block.get("text") != ""
        mark = _lifetime_s(block.get("cache_control")) if may_mark else 0
        places.append(_Place(digest.digest(), tokens, mark, may_mark))
    if automatic := _lifetime_s(request.get("cache_control")):
        last = next((place for place in reversed(places) if place.may_mark), None)
        if last is not None and not last.lifetime_s:
            last.lifetime_s = automatic
    return iter(places)


def _lifetime_s(control: Any) -> int:
    if not isinstance(control, dict):
        return 0
    return 3600 if control.get("ttl") == "1h" else 300
