"""Rules about the parameters of a request that differ by model and API version (§2.1, §2.6)."""

from __future__ import annotations

from typing import Any

from ..catalogue import Model
from ..problems import invalid
from .betas import Betas

CURRENT = "2026-10-21"
VERSIONS = ("2023-06-01", CURRENT)
SAMPLING = {"temperature": 1.0, "top_p": None, "top_k": None}
OUTPUT_TOKENS_MAX_OF_BATCHES = 300_000

_ENABLED = (
    '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
    '"output_config.effort" to control thinking behavior.'
)
_DISABLED = (
    '"thinking.type.disabled" is not supported for this model. Thinking defaults to adaptive mode when not '
    'specified; use "output_config.effort" to control it.'
)
_BUDGET = (
    "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
    "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
)
_CONSIDER = (
    " when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/"
    "extended-thinking#important-considerations-when-using-extended-thinking"
)
_THINKING = ("enabled", "adaptive")


def check_version(request: dict[str, Any], version: str) -> None:
    """What API version 2026-10-21 refuses (§0.1). The sources give the rules, and words only for the first (?).

    Raises Problem 400.
    """
    if version != CURRENT:
        return
    for name in SAMPLING:
        if name in request:
            raise invalid(f"{name}: Extra inputs are not permitted")
    for at, turn in enumerate(request["messages"]):
        for place, block in enumerate(turn["content"] if isinstance(turn["content"], list) else ()):
            here = f"messages.{at}.content.{place}"
            if turn["role"] == "assistant" and block["type"] == "document":
                raise invalid(f"{here}: `document` blocks are not permitted in assistant messages")
            if turn["role"] == "user":
                _check_uncited(block, here)


def _check_uncited(block: dict[str, Any], here: str) -> None:
    if block["type"] == "text" and block.get("citations"):
        raise invalid(f"{here}.text.citations: Extra inputs are not permitted")
    if block["type"] in ("search_result", "tool_result") and isinstance(block.get("content"), list):
        for within, inner in enumerate(block["content"]):
            _check_uncited(inner, f"{here}.{block['type']}.content.{within}")


def check_parameters(request: dict[str, Any], model: Model, betas: Betas) -> None:
    """Sampling, thinking, effort, speed, region and lists. Raises Problem 400."""
    _check_sampling(request, model)
    _check_thinking(request, model, betas)
    _check_effort(request, model)
    _check_speed(request, model, betas)
    if request.get("inference_geo") is not None:
        if not model.facts.has_geo:
            raise invalid(f"'{model.id}' does not support the `inference_geo` parameter.")
        if request["inference_geo"] not in ("global", "us"):
            raise invalid("inference_geo: Input should be 'global' or 'us'")
    if any(not stop.strip() for stop in request.get("stop_sequences") or ()):
        raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    fallbacks = request.get("fallbacks")
    if isinstance(fallbacks, list) and len(fallbacks) > 3:
        raise invalid(f"fallbacks: List should have at most 3 items after validation, not {len(fallbacks)}")
    _check_edits(request, model)


def check_limit(request: dict[str, Any], model: Model, betas: Betas, *, is_batch: bool) -> None:
    """The output limit, and what does not go with none at all (§2.1). Raises Problem 400."""
    limit, most = request["max_tokens"], model.output_tokens
    if is_batch and model.version >= (4, 6) and "output-300k-2026-03-24" in betas.names:
        most = OUTPUT_TOKENS_MAX_OF_BATCHES
    if limit > most:
        raise invalid(
            f"max_tokens: {limit} > {most}, which is the maximum allowed number of output tokens for {model.id}"
        )
    if limit:
        return
    thinking = (request.get("thinking") or {}).get("type")
    clashes = {
        "in batch requests": is_batch,
        "with streaming": request.get("stream"),
        "with thinking enabled": thinking in _THINKING,
        "with `output_config.format`": (request.get("output_config") or {}).get("format"),
        "when `tool_choice` forces tool use": (request.get("tool_choice") or {}).get("type") in ("any", "tool"),
    }
    for clash, is_there in clashes.items():
        if is_there:
            raise invalid(f"max_tokens: 0 is not supported {clash}")


def _check_sampling(request: dict[str, Any], model: Model) -> None:
    given = {name: request[name] for name in SAMPLING if name in request}
    for name, value in given.items():
        if model.version >= (4, 7) and value != SAMPLING[name]:
            raise invalid(f"`{name}` is deprecated for this model.")
        if name != "top_k" and not 0 <= value <= 1:
            raise invalid(f"{name}: range: 0..1")
        if name == "top_k" and value < 0:
            raise invalid("top_k: Input should be greater than or equal to 0")
    if (request.get("thinking") or {}).get("type") in _THINKING:
        if given.get("temperature", 1) != 1:
            raise invalid("`temperature` may only be set to 1" + _CONSIDER)
        if given.get("top_p", 1) < 0.95:
            raise invalid("`top_p` must be greater than or equal to 0.95 or unset" + _CONSIDER)
        if "top_k" in given:
            raise invalid("`top_k` must be unset" + _CONSIDER)
    if "temperature" in given and "top_p" in given:
        raise invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _check_thinking(request: dict[str, Any], model: Model, betas: Betas) -> None:
    thinking = request.get("thinking")
    if thinking is None or model.thinking_types.get(thinking["type"]) is None:
        return
    kind = thinking["type"]
    if not model.thinking_types[kind]:
        raise invalid(
            {
                "enabled": _ENABLED,
                "adaptive": "adaptive thinking is not supported on this model",
                "disabled": _DISABLED,
            }.get(kind, f'"thinking.type.{kind}" is not supported for this model.')
        )
    is_held = "max_tokens" in request and not (
        request.get("tools") and "interleaved-thinking-2025-05-14" in betas.names  # then the budget is for all turns
    )
    if kind == "enabled" and is_held and thinking["budget_tokens"] >= request["max_tokens"]:
        raise invalid(_BUDGET)


def _check_effort(request: dict[str, Any], model: Model) -> None:
    effort = (request.get("output_config") or {}).get("effort")
    if effort is None:
        return
    if not model.efforts:
        raise invalid("This model does not support the effort parameter.")
    if effort not in model.efforts:
        levels = ", ".join(sorted(model.efforts))
        raise invalid(f"This model does not support effort level '{effort}'. Supported levels: {levels}.")
    thinking = (request.get("thinking") or {}).get("type")
    is_off = thinking in ("disabled", "between_tools") or (thinking is None and not model.thinks_unasked)
    if effort in ("xhigh", "max") and is_off and model.version >= (4, 8):
        raise invalid(
            f"output_config.effort '{effort}' is not supported when thinking is disabled on this model. Use effort "
            "'high' or below, or enable thinking."
        )


def _check_speed(request: dict[str, Any], model: Model, betas: Betas) -> None:
    """§7.3. Opus 4.6 takes `fast` and runs at its usual speed."""
    if request.get("speed") is None:
        return
    if model.needs_beta_for_speed and not betas.has("fast-mode-2026-02-01"):
        raise invalid("speed: Extra inputs are not permitted")
    is_ignored = (model.family, model.version) == ("opus", (4, 6))
    if request["speed"] == "fast" and not model.facts.may_be_fast and not is_ignored:
        raise invalid(f"'{model.id}' does not support the `speed` parameter.")


def _check_edits(request: dict[str, Any], model: Model) -> None:
    edits = (request.get("context_management") or {}).get("edits") or ()
    for at, edit in enumerate(edits):
        if edit.get("type") != "compact_20260112":
            continue
        place = f"context_management.edits.{at}.compact_20260112"
        if not model.may_compact:
            raise invalid(f"{place}: not supported for this model")
        trigger = edit.get("trigger")
        if trigger is not None and trigger["value"] < 50_000:
            raise invalid(f"{place}.trigger.input_tokens.value: Input should be greater than or equal to 50000")
