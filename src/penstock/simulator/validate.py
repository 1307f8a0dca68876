"""What the API refuses before any model runs: shapes, fields, and rules that differ by model."""

from __future__ import annotations

from typing import Any

import msgspec

from .catalogue import Model, find_model
from .problems import Problem, invalid

CURRENT = "2026-10-21"
VERSIONS = ("2023-06-01", CURRENT)
SAMPLING = {"temperature": 1.0, "top_p": None, "top_k": None}
FIELDS = frozenset(
    (
        "model",
        "max_tokens",
        "messages",
        "system",
        "cache_control",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "stop_sequences",
        "stream",
        "metadata",
        "service_tier",
        "speed",
        "inference_geo",
        "container",
        "diagnostics",
        "temperature",
        "top_p",
        "top_k",
        "output_format",
    )
)
COUNTED = FIELDS - {"max_tokens", "stop_sequences", "stream", "metadata", "service_tier", "container", "diagnostics"}
ROLES = ("user", "assistant", "system")
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
_EMPTY = "all messages must have non-empty content except for the optional final assistant message"
_PREFILL = "This model does not support assistant message prefill. The conversation must end with a user message."


def parse(body: bytes) -> dict[str, Any]:
    """The body as an object. Raises Problem 400."""
    try:
        request = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise invalid(f"The request body is not valid JSON: {fault}") from None
    if not isinstance(request, dict):
        raise invalid("Input should be a valid dictionary or object to extract fields from")
    return request


class _Shape(msgspec.Struct):
    """Types of fields that the rules below, or the model, look into."""

    system: str | list[dict[str, Any]] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    stop_sequences: list[str] | None = None
    thinking: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None
    output_format: dict[str, Any] | None = None
    stream: bool | None = None


def _check_shape(request: dict[str, Any]) -> None:
    try:
        msgspec.convert(request, _Shape)
    except msgspec.ValidationError as fault:
        expected, _, place = str(fault).partition(" - at `$.")
        raise invalid(f"{place.rstrip('`') or 'body'}: {expected}") from None


def check_message(request: dict[str, Any], version: str, betas: str) -> Model:
    """Validate a Messages body and give its model. Raises Problem."""
    model = find_model(request.get("model"))
    _check_fields(request, FIELDS, betas)
    _check_shape(request)
    _check_limit(request, model)
    _check_turns(request)
    _check_sampling(request, model, version)
    _check_thinking(request, model)
    _check_tools(request, model)
    if request["messages"][-1]["role"] == "assistant" and model.version >= (4, 6):
        raise invalid(_PREFILL)
    return model


def check_count(request: dict[str, Any], version: str, betas: str) -> Model:
    """Validate a count_tokens body and give its model. Raises Problem."""
    model = find_model(request.get("model"))
    _check_fields(request, COUNTED, betas)
    _check_shape(request)
    _check_turns(request)
    _check_sampling(request, model, version)
    _check_tools(request, model)
    return model


def _check_fields(request: dict[str, Any], known: frozenset[str], betas: str) -> None:
    """Unknown top-level fields; with any beta named, all pass, as the list of betas is open."""
    if not betas:
        for name in request:
            if name not in known:
                raise invalid(f"{name}: Extra inputs are not permitted")


def _check_limit(request: dict[str, Any], model: Model) -> None:
    limit = request.get("max_tokens")
    if limit is None:
        raise invalid("max_tokens: Field required")
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise invalid("max_tokens: Input should be a valid integer")
    if limit < 0:
        raise invalid("max_tokens: Input should be greater than or equal to 0")
    if limit > model.output_tokens:
        most = f"which is the maximum allowed number of output tokens for {model.id}"
        raise invalid(f"max_tokens: {limit} > {model.output_tokens}, {most}")
    if limit == 0 and request.get("stream"):
        raise invalid("max_tokens: 0 is not supported with streaming")


def _check_turns(request: dict[str, Any]) -> None:
    messages = request.get("messages")
    if messages is None:
        raise invalid("messages: Field required")
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    awaited: dict[str, int] = {}
    speaker = ""
    for at, turn in enumerate(messages):
        if not isinstance(turn, dict):
            raise invalid(f"messages.{at}: Input does not match the expected shape.")
        if turn.get("role") not in ROLES:
            raise invalid(f"messages.{at}.role: Input should be 'user', 'assistant' or 'system'")
        content = turn.get("content")
        if content is None:
            raise invalid(f"messages.{at}.content: Field required")
        if not isinstance(content, str | list):
            raise invalid(f"messages.{at}.content: Input should be a valid list")
        if not content and at < len(messages) - 1:
            raise invalid(f"messages.{at}: {_EMPTY}")
        if turn["role"] == "assistant" and speaker == "user" and awaited:
            raise _unanswered(awaited)
        speaker = speaker if turn["role"] == "system" else turn["role"]
        _check_blocks(content if isinstance(content, list) else [], at, awaited)
    if awaited:
        raise _unanswered(awaited)


def _check_blocks(content: list[Any], at: int, awaited: dict[str, int]) -> None:
    """Check one turn's blocks. `awaited` holds the open tool calls and their turns, and is brought up to date."""
    for place, block in enumerate(content):
        if not isinstance(block, dict) or "type" not in block:
            raise invalid(f"messages.{at}.content.{place}.type: Field required")
        if block["type"] == "tool_use":
            awaited[str(block.get("id"))] = at
        elif block["type"] == "tool_result":
            id = str(block.get("tool_use_id"))
            if awaited.pop(id, None) is None:
                raise invalid(
                    f"messages.{at}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. "
                    "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                )


def _unanswered(awaited: dict[str, int]) -> Problem:
    at = min(awaited.values())
    return invalid(
        f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(awaited)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message."
    )


def _check_sampling(request: dict[str, Any], model: Model, version: str) -> None:
    for name, usual in SAMPLING.items():
        if name not in request:
            continue
        value = request[name]
        if version == CURRENT:
            raise invalid(f"{name}: Extra inputs are not permitted")
        if model.version >= (4, 7) and value is not None and value != usual:
            raise invalid(f"`{name}` is deprecated for this model.")
        if name == "temperature" and (not isinstance(value, int | float) or not 0 <= value <= 1):
            raise invalid("temperature: range: 0..1")


def _check_thinking(request: dict[str, Any], model: Model) -> None:
    thinking = request.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in ("enabled", "adaptive", "between_tools", "disabled"):
        raise invalid("thinking.type: Input should be 'enabled', 'adaptive', 'between_tools' or 'disabled'")
    if kind == "enabled":
        if model.version >= (4, 7):
            raise invalid(_ENABLED)
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int):
            raise invalid("thinking.enabled.budget_tokens: Field required")
        if budget < 1024:
            raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= request["max_tokens"]:
            raise invalid(_BUDGET)
    if kind == "adaptive" and model.version < (4, 6):
        raise invalid("adaptive thinking is not supported on this model")
    if kind == "disabled" and model.thinks_always:
        raise invalid(_DISABLED)
    if kind == "between_tools" and (model.family, model.version) != ("sonnet", (5, 5)):
        raise invalid('"thinking.type.between_tools" is not supported for this model.')


def _check_tools(request: dict[str, Any], model: Model) -> None:
    tools: list[dict[str, Any]] = request.get("tools") or []
    for at, tool in enumerate(tools):
        if tool.get("type", "custom") not in (None, "custom"):
            continue
        if not isinstance(tool.get("name"), str) or not tool["name"]:
            raise invalid(f"tools.{at}.custom.name: Field required")
        schema = tool.get("input_schema")
        if not isinstance(schema, dict):
            raise invalid(f"tools.{at}.custom.input_schema: Field required")
        if "type" not in schema:
            raise invalid(f"tools.{at}.custom.input_schema.type: Field required")
        if schema["type"] != "object":
            raise invalid(f"tools.{at}.custom.input_schema.type: Input should be 'object'")
    choice = request.get("tool_choice") or {}
    if choice.get("type") in ("any", "tool"):
        if not model.may_force_tools:
            raise invalid(f'tool_choice: "{choice["type"]}" is not supported for this model. Use "auto" or "none".')
        if not tools:
            raise invalid("tool_choice: may only be specified while providing tools")
