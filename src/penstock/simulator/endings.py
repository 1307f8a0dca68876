"""How an answer may end that the small model would not end by itself: refusals, pauses, nothing said."""

from __future__ import annotations

from typing import Any

from .catalogue import Model
from .model import Spoken
from .prose import cut_to
from .tokens import answer_tokens

#: A prompt that contains it is refused, as at the API, whose documentation gives it for tests.
REFUSED_WORD = "ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL"

_EXPLANATION = "This request was declined. It may violate the usage policy."


def ended(spoken: Spoken, fault: str | None, prompt: str, model: Model) -> Spoken:
    """What was said, ended as the fault `fault` says."""
    if fault is None and REFUSED_WORD in prompt:
        fault = "refusal"
    if fault == "refusal":
        return Spoken(stop_reason="refusal", stop_details=_refused())
    if fault == "refusal_mid":
        blocks = _first_half(spoken.blocks, model)
        return Spoken(blocks, "refusal", None, _tokens(blocks, model), 0, _refused())
    if fault == "empty_turn":
        return Spoken(output_tokens=3)
    if fault == "pause_turn":
        return _with_reason(spoken, "pause_turn")
    if fault == "context_full":
        blocks = _first_half(spoken.blocks, model)
        return Spoken(blocks, "model_context_window_exceeded", None, _tokens(blocks, model))
    if fault == "redacted":
        redacted = {"type": "redacted_thinking", "data": "RWRhY3RlZA" * 40}
        spoken.blocks.insert(0, redacted)
        spoken.output_tokens += 60
        spoken.thinking_tokens += 60
    return spoken


def _refused() -> dict[str, Any]:
    return {"type": "refusal", "category": "general_harms", "explanation": _EXPLANATION}


def _with_reason(spoken: Spoken, reason: str) -> Spoken:
    spoken.stop_reason, spoken.stop_sequence = reason, None
    return spoken


def _first_half(blocks: list[dict[str, Any]], model: Model) -> list[dict[str, Any]]:
    text = next((block["text"] for block in blocks if block["type"] == "text"), "It carries the water.")
    half = cut_to(text, max(6, answer_tokens(text, model.weights) // 2), model.weights)
    return [{"type": "text", "text": half}]


def _tokens(blocks: list[dict[str, Any]], model: Model) -> int:
    return sum(answer_tokens(block["text"], model.weights) for block in blocks)
