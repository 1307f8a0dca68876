"""Rules about tools: names, schemas, strictness, which model takes which, and who may be forced (§2.4)."""

from __future__ import annotations

from typing import Any

from ..catalogue import Model
from ..problems import invalid
from .notation import shapes
from .schemas import Load, check_draft, check_strict


def check_tools(request: dict[str, Any], model: Model) -> None:
    """Raises Problem 400."""
    tools: list[dict[str, Any]] = request.get("tools") or []
    _check_names(tools)
    _check_models(tools, model)
    _check_loading(tools)
    load = Load()
    for at, tool in enumerate(tools):
        is_custom = tool.get("type") in (None, "custom")
        if tool.get("strict"):
            load.tools += 1
        if is_custom and isinstance(tool.get("input_schema"), dict):
            if tool.get("strict"):
                check_strict(tool["input_schema"], f"tools.{at}.custom")
                load.add(tool["input_schema"])
            else:
                check_draft(tool["input_schema"], f"tools.{at}.custom.input_schema")
    for place, schema in _answer_schemas(request):
        check_strict(schema, place)
        load.add(schema)
    load.check()
    _check_choice(request, tools, model)


def _answer_schemas(request: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The schemas an answer must have, with their places: `output_config.format`, and `output_format` of the beta."""
    old, new = request.get("output_format"), (request.get("output_config") or {}).get("format")
    found = [("output_format.schema", old), ("output_config.format.schema", new)]
    return [(place, given["schema"]) for place, given in found if given is not None]


def _check_names(tools: list[dict[str, Any]]) -> None:
    names = [tool["name"] for tool in tools if isinstance(tool.get("name"), str)]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")


def _check_models(tools: list[dict[str, Any]], model: Model) -> None:
    refused = [kind for tool in tools if (kind := tool.get("type")) and not model.takes_tool(kind)]
    if refused:
        taken = ", ".join(sorted(kind for kind in _versioned() if model.takes_tool(kind)))
        raise invalid(
            f"'{model.id}' does not support tool types: {', '.join(dict.fromkeys(refused))}. Did you mean one of "
            f"{taken}?"
        )


def _versioned() -> list[str]:
    """The tools that are open to all, by their versions."""
    tags = [written.partition("=")[0] for written in shapes().file.unions["tool"].split() if "@" not in written]
    return [tag for tag in tags if tag[-8:].isdigit()]


def _check_loading(tools: list[dict[str, Any]]) -> None:
    for tool in tools:
        if tool.get("defer_loading") and tool.get("cache_control"):
            raise invalid(
                f"Tool '{tool.get('name')}' cannot have both defer_loading=true and cache_control set. Tools with "
                "defer_loading cannot use prompt caching."
            )
    if tools and all(tool.get("defer_loading") for tool in tools):
        raise invalid("All tools have defer_loading set. At least one tool must be non-deferred.")


def _check_choice(request: dict[str, Any], tools: list[dict[str, Any]], model: Model) -> None:
    choice = request.get("tool_choice") or {}
    kind = choice.get("type")
    if kind not in ("any", "tool"):
        return
    if not tools:
        raise invalid("tool_choice: may only be specified while providing tools")
    if not model.may_force_tools:
        raise invalid(f'tool_choice: "{kind}" is not supported for this model. Use "auto" or "none".')
    if (request.get("thinking") or {}).get("type") == "enabled":  # adaptive goes with it (recorded)
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "tool" and choice["name"] not in [tool.get("name") for tool in tools]:
        raise invalid(f"Tool '{choice['name']}' not found in provided tools")
