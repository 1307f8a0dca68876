"""How far the simulator's token counts are from those of recorded traffic, which lies beside the project."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from penstock.simulator.cache import count_prompt
from penstock.simulator.catalogue import find_model
from penstock.simulator.problems import Problem
from penstock.simulator.tokens import answer_tokens
from penstock.wire.images import UNKNOWN, image_size
from penstock.wire.messages import Endpoint
from penstock.wire.reading import reading

from .machine import ROOT, Unmeasurable
from .report import Plan, Row, Section, Spread, Target

RECORDINGS = ROOT.parent / "shared" / "recordings"

_ABOUT = (
    "The error of the estimate, in per cent of the tokens the API counted: of prompts, without server tools, MCP, "
    "documents and images of unknown size, and of plain answers of 200 characters or more. Only traffic recorded as it "
    "was counts, of models the simulator serves, each exchange once. Old is the tokenizer up to Claude 4.6, new the "
    "later one. The weights were fitted on this traffic: fitted on one half and tested on the other, prompts of the "
    "old tokenizer err by 1.6 % (p50) and 10.8 % (p90)."
)
_CLASSES = ("all prompts", "plain", "tools", "structured", "images", "answers")
_TOLD = {"text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking"}
_MESSAGES = Endpoint("messages", "messages")

Errors = dict[tuple[str, str], list[float]]


def measure(plan: Plan) -> Section:
    if not RECORDINGS.is_dir():
        raise Unmeasurable("the recorded traffic is not on this machine")
    errors = all_errors(RECORDINGS)
    section = Section("tokens", "The simulator: token counts against recorded ones", _ABOUT, _CLASSES)
    for family in ("old", "new"):
        found = [sorted(map(abs, errors[family, kind])) for kind in _CLASSES]
        for share, target in ((0.5, Target(5)), (0.9, Target(13))):
            figures = tuple(Spread.of([part(one, share) * 100]) if one else None for one in found)
            row = Row(
                f"{family}: absolute error, p{share * 100:.0f}", "%", figures, target if family == "old" else None
            )
            section.rows.append(row)
        counts = tuple(Spread.of([len(one)]) if one else None for one in found)
        section.rows.append(Row(f"{family}: exchanges", "", counts))
    return section


def part(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def all_errors(recordings: Path) -> Errors:
    """Relative errors by tokenizer and class."""
    errors: Errors = defaultdict(list)
    for request, counted, answer, output in _exchanges(recordings):
        try:
            model = find_model(request.get("model"))
        except Problem:
            continue
        family = "new" if model.weights.is_dense else "old"
        kind = class_of(request)
        if kind is not None:
            error = count_prompt(request, model) / counted - 1
            errors[family, kind].append(error)
            errors[family, "all prompts"].append(error)
        text = _plain(answer)
        if text and output:
            errors[family, "answers"].append(answer_tokens(text, model.weights) / output - 1)
    return errors


def class_of(request: dict[str, Any]) -> str | None:
    """What makes a prompt's count hard; None for what the estimate leaves out."""
    tools = request.get("tools") or []
    if request.get("mcp_servers") or any(tool.get("type") not in (None, "custom") for tool in tools):
        return None
    blocks = list(_blocks(request["messages"]))
    if any(block.get("type") not in _TOLD for block in blocks):
        return None
    images = [block for block in blocks if block.get("type") == "image"]
    if images:
        return "images" if all(image_size(block.get("source")) != UNKNOWN for block in images) else None
    if request.get("output_config") or request.get("output_format"):
        return "structured"
    return "tools" if tools else "plain"


def _blocks(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            yield block
            if block.get("type") == "tool_result" and isinstance(block.get("content"), list):
                yield from block["content"]


def _plain(blocks: list[dict[str, Any]]) -> str:
    """The text of an answer that is nothing but text, if it is long enough to say anything."""
    if any(block.get("type") != "text" for block in blocks):
        return ""
    text = "".join(block["text"] for block in blocks)
    return text if len(text) >= 200 else ""


def _exchanges(recordings: Path) -> Iterator[tuple[dict[str, Any], int, list[dict[str, Any]], int]]:
    """Request, counted prompt tokens, text blocks and counted output tokens of each different answered exchange."""
    seen: set[bytes] = set()
    for place in sorted(recordings.rglob("*.json")):
        exchange = json.loads(place.read_text())
        request = (exchange.get("request") or {}).get("body")
        response = exchange.get("response") or {}
        if exchange.get("authenticity") != "recorded" or exchange.get("endpoint") != "POST /v1/messages":
            continue
        if not isinstance(request, dict) or response.get("status") != 200 or "messages" not in request:
            continue
        body = response["body"]
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        key = json.dumps(request, sort_keys=True).encode() + raw[:100]
        if key in seen:
            continue
        seen.add(key)
        is_stream = b"event: message_start" in raw[:200]
        kind = b"text/event-stream" if is_stream else b"application/json"
        heard = reading(_MESSAGES, 200, [(b"content-type", kind)])
        heard.feed(raw)
        heard.finish()
        usage = heard.answer.usage
        if usage is None or not heard.answer.is_whole:
            continue
        prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens
        prompt += usage.cache_write_1h_tokens
        if prompt > 0:
            yield request, prompt, _texts(raw, is_stream), usage.output_tokens


def _texts(raw: bytes, is_stream: bool) -> list[dict[str, Any]]:
    if not is_stream:
        content: list[dict[str, Any]] = msgspec.json.decode(raw).get("content") or []
        return content
    blocks: list[dict[str, Any]] = []
    for line in raw.decode().splitlines():
        if not line.startswith("data:"):
            continue
        event = json.loads(line[5:])
        if event["type"] == "content_block_start":
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta" and event["delta"]["type"] == "text_delta":
            blocks[-1]["text"] += event["delta"]["text"]
    return blocks
