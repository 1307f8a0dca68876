"""Exchanges as a text that a model can sum up."""

from __future__ import annotations

from typing import Any

import msgspec

from .turns import Conversation, blocks_of, is_tool_result

#: A single text is cut to so many characters, and shorter where the whole would still be too long.
_TEXT_MAX, _TEXT_LEAST = 8_000, 200
_WHO = {"user": "User", "assistant": "Assistant"}


def transcript(talk: Conversation, exchanges: list[int], characters_max: int) -> str:
    """What was said and done in some exchanges, thoughts left out; the middle of long texts too where it must be."""
    turns = [talk.turns[at] for exchange in exchanges for at in talk.members(exchange)]
    most = _TEXT_MAX
    while True:
        said = "\n\n".join(line for turn in turns for line in _lines(turn, most))
        if len(said) <= characters_max:
            return said
        if most <= _TEXT_LEAST:
            return _cut(said, characters_max)
        most //= 2


def _lines(turn: dict[str, Any], most: int) -> list[str]:
    who, content = _WHO[turn["role"]], turn["content"]
    if isinstance(content, str):
        return [f"{who}: {_cut(content, most)}"]
    return [line for block in blocks_of(turn) if (line := _line(who, block, most))]


def _line(who: str, block: dict[str, Any], most: int) -> str:
    kind = str(block.get("type"))
    if kind == "text":
        return f"{who}: {_cut(str(block.get('text', '')), most)}"
    if kind.endswith("tool_use"):
        given = msgspec.json.encode(block.get("input")).decode()
        return f"{who} called the tool {block.get('name')} with {_cut(given, most)}"
    if is_tool_result(block):
        failed = "failed with" if block.get("is_error") else "answered"
        return f"The tool {failed}: {_cut(_result(block.get('content')), most)}"
    if kind in ("image", "document", "search_result"):
        return (
            f"{who} gave {'an' if kind == 'image' else 'a'} {kind.replace('_', ' ')} {block.get('title') or ''}".strip()
        )
    return ""


def _result(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [one.get("text") for one in content if isinstance(one, dict)]
        return "\n".join(text if isinstance(text, str) else "[not a text]" for text in texts)
    return msgspec.json.encode(content).decode()


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = (most - 5) // 2
    return f"{text[:half]} […] {text[-half:]}"
