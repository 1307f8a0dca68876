"""A local estimate of Claude's token counts, by word shapes.

The weights were fitted on recorded traffic, one half of it tested on the other; docs/benchmarks.md has the errors.
There are two tokenizers: one up to Claude 4.6, a denser one from 4.7 on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import msgspec

from ..wire.images import image_size, image_tokens
from ..wire.overheads import VENDOR_TOOLS, tool_prompt


@dataclass(frozen=True, slots=True)
class Weights:
    """Tokens per feature of a text, and what the frame of a prompt adds.

    `answer` is added once to an answer, `prompt` once to a prompt, `message` for each message after the first.
    `text`, `schema`, `argument` and `format` multiply the estimate of a text, of tool definitions, of a tool call's
    input and of an output schema; `tool_use` and `formatted` are added for each call, and once for an output schema.
    `tools_auto` and `tools_forced` is what tools add before their definitions; it differs by model.
    """

    word: float
    late_letter: float
    digit: float
    punctuation: float
    newline: float
    blanks: float
    foreign: float
    answer: float
    prompt: float
    text: float
    message: float
    schema: float
    tool_use: float
    argument: float
    enabled: float
    adaptive: float
    format: float
    formatted: float
    is_dense: bool
    tools_auto: int = 0
    tools_forced: int = 0


OLD = Weights(
    1.0, 0.09, 1.03, 0.67, 0.85, 1.7, 1.1, 3.4, 7.3, 1.0, 3.7, 1.03, 59.6, 1.16, 28.8, 17.0, 1.59, 79.5, is_dense=False
)
NEW = Weights(
    1.16, 0.39, 0.52, 0.96, 0.41, 1.0, 1.5, 2.8, 6.3, 1.15, 1.0, 0.92, 23.7, 5.5, 0.0, 0.0, 2.0, 0.0, is_dense=True
)


@cache
def weights_of(model_id: str, *, is_dense: bool) -> Weights:
    """The weights of a model: those of its tokenizer, with its own tool prompt."""
    auto, forced = tool_prompt(model_id)
    return replace(NEW if is_dense else OLD, tools_auto=auto, tools_forced=forced)


def _classes() -> bytes:
    table = bytearray(b"p" * 256)
    for code in range(256):
        character = chr(code)
        if code >= 0xC0:
            table[code] = ord("x")
        elif code >= 0x80:
            table[code] = ord("c")
        elif character.isalpha():
            table[code] = ord("a")
        elif character.isdigit():
            table[code] = ord("d")
        elif character == "\n":
            table[code] = ord("n")
        elif character in " \t\r":
            table[code] = ord(" ")
    return bytes(table)


_CLASSES = _classes()
_WORDS = bytes(code if code == ord("a") else ord(" ") for code in range(256))
_GAPS = bytes(code if code == ord(" ") else ord("x") for code in range(256))


def estimate(text: str, weights: Weights) -> float:
    """Tokens of a text alone, unrounded."""
    return _estimate(text, weights) if len(text) < 8192 else _estimate_long(text, weights)


@lru_cache(maxsize=16)
def _estimate_long(text: str, weights: Weights) -> float:
    """Kept, as long prompts come again turn by turn, and 500 KB take 12 ms."""
    return _estimate(text, weights)


def _estimate(text: str, weights: Weights) -> float:
    classes = text.encode("utf-8", "surrogatepass").translate(_CLASSES)
    words = b" " + classes.translate(_WORDS)
    gaps = b"x" + classes.translate(_GAPS)
    late, run = 0, b" aaaaaa"
    while (found := words.count(run)) and len(run) < 40:
        late += found
        run += b"a"
    return (
        weights.word * words.count(b" a")
        + weights.late_letter * late
        + weights.digit * classes.count(b"d")
        + weights.punctuation * classes.count(b"p")
        + weights.newline * classes.count(b"n")
        + weights.blanks * gaps.count(b"x  ")
        + weights.foreign * classes.count(b"x")
    )


def answer_tokens(text: str, weights: Weights) -> int:
    """Tokens an answer of this text is billed at, at least 1."""
    return max(1, round(estimate(text, weights) + weights.answer))


def is_forced(choice: Any) -> bool:
    return isinstance(choice, dict) and choice.get("type") in ("any", "tool")


def tool_tokens(tool: dict[str, Any], weights: Weights) -> float:
    """Tokens of one tool's definition, without the hidden prompt that introduces all of them."""
    for kind, (old, new) in VENDOR_TOOLS.items():
        if str(tool.get("type", "")).startswith(kind):
            return new if weights.is_dense else old
    shown = {name: tool[name] for name in ("name", "description", "input_schema") if name in tool}
    return weights.schema * estimate(msgspec.json.encode(shown).decode(), weights)


def block_tokens(block: Any, weights: Weights) -> float:
    """Tokens of one content block of a message or of the system prompt. Thinking of earlier turns is free."""
    if not isinstance(block, dict):
        return weights.text * estimate(str(block), weights)
    kind = block.get("type")
    if kind == "text":
        return weights.text * estimate(str(block.get("text", "")), weights)
    if kind == "tool_use":
        arguments = msgspec.json.encode(block.get("input", {})).decode()
        return weights.tool_use + weights.argument * estimate(arguments, weights)
    if kind == "tool_result":
        return content_tokens(block.get("content", ""), weights)
    if kind == "image":
        return image_tokens(*image_size(block.get("source")), is_dense=weights.is_dense)
    if kind in ("thinking", "redacted_thinking"):
        return 0.0
    source = block.get("source")
    if isinstance(source, dict) and source.get("type") == "base64":
        return 1500.0 * max(1, len(str(source.get("data", ""))) // 80_000)
    return weights.text * estimate(msgspec.json.encode(block).decode(), weights)


def content_tokens(content: Any, weights: Weights) -> float:
    if isinstance(content, str):
        return weights.text * estimate(content, weights)
    return sum(block_tokens(block, weights) for block in content) if isinstance(content, list) else 0.0


def frame_tokens(request: dict[str, Any], weights: Weights) -> float:
    """Tokens that belong to no single block: the first message's frame, thinking, and the schema of the answer."""
    thinking = request.get("thinking")
    kind = thinking.get("type") if isinstance(thinking, dict) else None
    extra = {"enabled": weights.enabled, "adaptive": weights.adaptive}.get(str(kind), 0.0)
    config = request.get("output_config")
    asked = (config.get("format") if isinstance(config, dict) else None) or request.get("output_format")
    if isinstance(asked, dict) and isinstance(asked.get("schema"), dict):
        extra += weights.formatted
        extra += weights.format * estimate(msgspec.json.encode(asked["schema"]).decode(), weights)
    return weights.prompt + extra
