"""The prompt cache as section 8 of the API facts tells it, written from that text and not from the code.

Slow and plain: whole prefixes instead of hashes, every copy ever written kept, exact fractions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from penstock.simulator.catalogue import Model
from penstock.simulator.tokens import block_tokens, frame_tokens, tool_tokens

TAIL = 3  # tokens that follow the last block


@dataclass
class Block:
    layer: int  # 0 tools, 1 system, 2 messages
    words: str
    cost: Fraction
    ttl: int = 0


@dataclass
class Copy:
    """One entry as one request wrote it; readable once that request's answer began."""

    prefix: str
    ttl: int
    start: float
    is_readable: bool = False


@dataclass
class Request:
    counts: tuple[int, int, int, int]  # read, 5m, 1h, neither
    writes: list[Copy]


class Oracle:
    def __init__(self) -> None:
        self.copies: list[Copy] = []

    def start(self, body: dict[str, Any], model: Model, workspace: str, now: float) -> Request:
        blocks = the_prompt(body, model)
        upto = [whole(sum(block.cost for block in blocks[: at + 1])) for at in range(len(blocks))]
        total = whole(sum((block.cost for block in blocks), Fraction(TAIL)))
        points = [at for at, block in enumerate(blocks) if block.ttl and upto[at] >= model.cacheable_tokens]
        prefixes = [the_prefix(body, model, workspace, blocks[: at + 1]) for at in range(len(blocks))]
        if not points:
            return Request((0, 0, 0, total), [])
        hits = set()
        for point in points:
            for back in range(20):
                at = point - back
                if at >= 0 and self.alive(prefixes[at], now):
                    hits.add(at)
                    break
        for at in hits:
            for copy in self.alive(prefixes[at], now):
                copy.start = now
        best = max(hits, default=-1)
        a = upto[best] if hits else 0
        b = max([a] + [upto[at] for at in points if at > best and blocks[at].ttl == 3600])
        c = upto[points[-1]]
        writes = [Copy(prefixes[at], blocks[at].ttl, now) for at in points if at > best]
        return Request((a, c - b, b - a, total - c), writes)

    def begin(self, request: Request) -> None:
        for copy in request.writes:
            copy.is_readable = True
            self.copies.append(copy)

    def alive(self, prefix: str, now: float) -> list[Copy]:
        return [c for c in self.copies if c.prefix == prefix and c.is_readable and now - c.start < c.ttl]


def whole(tokens: Fraction) -> int:
    return int(tokens + Fraction(1, 2))


def exact(tokens: float) -> Fraction:
    return Fraction(round(tokens * 10**6), 10**6)


def ttl_of(thing: dict[str, Any]) -> int:
    mark = thing.get("cache_control")
    return 0 if mark is None else 3600 if mark.get("ttl") == "1h" else 300


def is_thought(block: dict[str, Any]) -> bool:
    return block["type"] in ("thinking", "redacted_thinking")


def the_prompt(body: dict[str, Any], model: Model) -> list[Block]:
    """Tools, then system, then messages, with the tokens that come before a block counted as its own."""
    weights = model.weights
    blocks: list[Block] = []

    def add(layer: int, thing: dict[str, Any], cost: float) -> None:
        bare = {name: value for name, value in thing.items() if name != "cache_control"}
        ttl = 0 if thing.get("type") in ("thinking", "redacted_thinking") or thing.get("text") == "" else ttl_of(thing)
        blocks.append(Block(layer, json.dumps(bare, sort_keys=True), exact(cost), ttl))

    tools = body.get("tools", [])
    is_search = [str(tool.get("type")).startswith("web_search") for tool in tools]
    for layer in (0, 1):
        for tool, searches in zip(tools, is_search, strict=True):
            if searches == (layer == 1):
                add(layer, tool, tool_tokens(tool, weights))
    for block in body.get("system", []):
        add(1, block, block_tokens(block, weights))
    if tools:
        blocks[0].cost += weights.tools_auto
    first = len(blocks)
    messages = body["messages"]
    spoken = [
        at
        for at, turn in enumerate(messages)
        if turn["role"] == "user" and any(block["type"] != "tool_result" for block in turn["content"])
    ]
    keeps = model.family in ("fable", "mythos")
    keeps |= model.family == "opus" and model.version >= (4, 5)
    keeps |= model.family == "sonnet" and model.version >= (4, 6)
    before = ""
    lead = exact(frame_tokens(body, weights)) - TAIL
    if tools and body.get("tool_choice", {}).get("type") in ("any", "tool"):
        lead += weights.tools_forced - weights.tools_auto
    for at, turn in enumerate(messages):
        if before and turn["role"] != before:
            lead += exact(weights.message)
        before = turn["role"]
        for block in turn["content"]:
            if is_thought(block) and not keeps and spoken and at < spoken[-1]:
                continue
            add(2, {"said by": turn["role"], **block}, block_tokens(block, weights))
            blocks[-1].cost += lead
            lead = Fraction(0)
    assert lead == 0 and len(blocks) > first
    mark_by_itself(body, blocks)
    return blocks


def mark_by_itself(body: dict[str, Any], blocks: list[Block]) -> None:
    """Automatic caching, and the breakpoint of server tools' results."""
    if not ttl_of(body) and not any(block.ttl for block in blocks):
        return
    for block in reversed(blocks):
        if "web_search_tool_result" in json.loads(block.words).get("type", ""):
            block.ttl = block.ttl or 300
            break
    if ttl_of(body):
        for block in reversed(blocks):
            shown = json.loads(block.words)
            if not is_thought({"type": "", **shown}) and shown.get("text") != "":
                block.ttl = max(block.ttl, ttl_of(body))
                break


def the_prefix(body: dict[str, Any], model: Model, workspace: str, blocks: list[Block]) -> str:
    """All that must be equal for a hit: the blocks, and by the invalidation table what else the last of them needs."""
    layer = blocks[-1].layer
    needs: list[Any] = [workspace, model.id]
    said = [block for turn in body["messages"] for block in turn["content"]]
    if layer >= 1:
        needs += [body.get("speed") == "fast", any(block.get("citations") == {"enabled": True} for block in said)]
    if layer >= 2:
        usual = "medium" if model.id in ("claude-opus-5-5", "claude-haiku-5-5") else "high"
        needs += [body.get("tool_choice", {"type": "auto"}), any(block["type"] == "image" for block in said)]
        needs += [body.get("thinking", {"type": "disabled"}), body.get("output_config", {}).get("effort", usual)]
    return json.dumps([needs, [block.words for block in blocks]], sort_keys=True)
