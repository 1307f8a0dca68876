"""Names, schemas, strictness, and who may be forced."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.rules.cases import (
    FABLE_5,
    HAIKU_4_5,
    HAIKU_5_5,
    OPUS_5,
    OPUS_5_5,
    SONNET_4_5,
    SONNET_4_6,
    SONNET_5_5,
    TOOL,
    verdict,
)

CLOSED = {"type": "object", "additionalProperties": False}
ANY, NAMED = {"type": "any"}, {"type": "tool", "name": "t"}
COMPUTER = {"name": "computer", "display_width_px": 100, "display_height_px": 100}
INVALID = "tools.0.custom.input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12"


def strict(**properties: Any) -> dict[str, Any]:
    schema = {**CLOSED, "properties": properties, "required": list(properties)}
    return {"name": "t", "strict": True, "input_schema": schema}


def fault_of(schema: dict[str, Any]) -> str:
    """What is said of a schema in a strict tool, where its place stands as `X`; the same of one for answers."""
    tool = verdict({"tools": [{"name": "t", "strict": True, "input_schema": schema}]})
    answer = verdict({"output_config": {"format": {"type": "json_schema", "schema": schema}}})
    assert tool.replace("tools.0.custom: ", "X: ") == answer.replace("output_config.format.schema: ", "X: ")
    return tool.replace("tools.0.custom: ", "")


def test_names_are_unique() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert verdict({"tools": [TOOL, {**TOOL, "name": "web_search"}, search]}) == "tools: Tool names must be unique."


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": 3}, {"properties": {"a": 3}}, {"required": "a"}, {"required": [3]},
        {"properties": {"a": {"type": "text"}}}, {"properties": {"a": {"type": []}}},
        {"additionalProperties": "false"}, {"properties": {"a": {"enum": 3}}}, {"properties": {"a": {"anyOf": []}}},
        {"properties": {"a": {"type": "string", "minLength": -1}}}, {"$defs": []},
    ],
)  # fmt: skip
def test_a_schema_is_one(schema: dict[str, Any]) -> None:
    fault = verdict({"tools": [{"name": "t", "input_schema": {"type": "object", **schema}}]})
    assert fault.startswith((INVALID, "tools.0.custom.input_schema."))


def test_a_schema_is_no_union_at_its_top() -> None:
    tool = {"name": "t", "input_schema": {"type": "object", "oneOf": [{}]}}
    fault = "tools.0.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top level"
    assert verdict({"tools": [tool]}) == fault


def test_a_tool_that_is_not_strict_may_have_any_schema() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "minLength": 3}, "b": True, "c": {}}}
    assert verdict({"tools": [{"name": "t", "input_schema": schema}]}) == ""


STRICT: list[tuple[dict[str, Any], str]] = [
    ({"type": "object"}, "For 'object' type, 'additionalProperties' must be explicitly set to false"),
    (
        {"type": "object", "additionalProperties": True},
        "For 'object' type, 'additionalProperties: true' is not supported. Please set 'additionalProperties' to false",
    ),
    ({**CLOSED, "minProperties": 1}, "For 'object' type, property 'minProperties' is not supported"),
    ({**CLOSED, "properties": {"a": True}}, "For 'object' type, property 'properties' is not supported"),
    (
        {**CLOSED, "properties": {"a": {"type": "integer", "minimum": 1}}},
        "For 'integer' type, property 'minimum' is not supported",
    ),
    (
        {**CLOSED, "properties": {"a": {"type": "string", "maxLength": 3}}},
        "For 'string' type, property 'maxLength' is not supported",
    ),
    (
        {**CLOSED, "properties": {"a": {"type": "string", "format": "color"}}},
        "For 'string' type, format 'color' is not supported",
    ),
    (
        {**CLOSED, "properties": {"a": {"type": "array", "items": {}, "minItems": 2}}},
        "For 'array' type, 'minItems' values other than 0 or 1 are not supported",
    ),
    (
        {**CLOSED, "properties": {"a": {"type": "array", "uniqueItems": True}}},
        "For 'array' type, property 'uniqueItems' is not supported",
    ),
    ({**CLOSED, "properties": {"a": {"oneOf": [{}]}}}, "Schema type 'oneOf' is not supported"),
    (
        {**CLOSED, "properties": {"a": {"$ref": "#/$defs/B"}}},
        "Invalid schema: Reference '#/$defs/B' could not be resolved.",
    ),
    (
        {
            **CLOSED,
            "properties": {"a": {"$ref": "#/$defs/A"}},
            "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}]}, "B": {"anyOf": [{"$ref": "#/$defs/A"}]}},
        },
        "Invalid schema: Circular reference detected in schema definitions: A -> B -> A. Self-referencing or "
        "mutually-referencing definitions are not supported.",
    ),
]


@pytest.mark.parametrize(("schema", "fault"), STRICT, ids=[fault[:50] for _, fault in STRICT])
def test_the_compiler_takes_no_such_schema(schema: dict[str, Any], fault: str) -> None:
    assert fault_of(schema) == fault


def test_the_compiler_takes_references_unions_and_formats() -> None:
    inner = {
        **CLOSED,
        "properties": {"at": {"type": "string", "format": "date-time"}, "n": {"type": ["integer", "null"]}},
    }
    listed = {"type": "array", "items": {"$ref": "#/$defs/a~1b"}, "minItems": 1}
    schema = {**CLOSED, "properties": {"list": listed, "any": {"anyOf": [{"const": 1}, {"enum": ["a"]}]}}}
    assert fault_of({**schema, "$defs": {"a/b": inner}}) == ""


def test_strict_tools_optional_and_union_parameters_are_counted_over_the_request() -> None:
    def named(count: int, **fields: Any) -> list[dict[str, Any]]:
        return [{"name": f"t{at}", "strict": True, "input_schema": {**CLOSED, **fields}} for at in range(count)]

    words, union = {"type": "string"}, {"type": ["string", "null"]}
    assert verdict({"tools": named(20)}) == ""
    assert verdict({"tools": named(21)}).startswith("Too many strict tools (21). The maximum number of strict tools")
    two = {"properties": {"a": words, "b": words}}
    assert verdict({"tools": named(12, **two)}) == ""
    assert verdict({"tools": named(13, **two)}).startswith("Schemas contains too many optional parameters (26)")
    either = {"properties": {"a": union}, "required": ["a"]}
    assert verdict({"tools": named(16, **either)}) == ""
    assert "(17 parameters with type arrays or anyOf)" in verdict({"tools": named(17, **either)})
    many = {"properties": {f"p{at}": union for at in range(16)}, "required": [f"p{at}" for at in range(16)]}
    assert verdict({"tools": named(1, **many)}).startswith("Schema is too complex for compilation.")


def test_a_schema_without_end_is_too_complex() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(100):
        schema = {**CLOSED, "properties": {"a": schema}, "required": ["a"]}
    assert fault_of(schema).startswith("Schema is too complex for compilation.")


@pytest.mark.parametrize("model", [FABLE_5, OPUS_5, HAIKU_5_5, HAIKU_4_5, SONNET_4_6])
def test_tools_can_be_forced_on_these(model: str) -> None:
    assert verdict({"model": model, "tools": [TOOL], "tool_choice": ANY}) == ""
    assert verdict({"model": model, "tools": [TOOL], "tool_choice": NAMED}) == ""


@pytest.mark.parametrize("model", ["claude-fable-5-1", "claude-fable-5-2", "claude-mythos-5-1", OPUS_5_5, SONNET_5_5])
def test_tools_cannot_be_forced_on_those(model: str) -> None:
    fault = verdict({"model": model, "tools": [TOOL], "tool_choice": ANY})
    assert fault == 'tool_choice: "any" is not supported for this model. Use "auto" or "none".'
    assert verdict({"model": model, "tools": [TOOL], "tool_choice": {"type": "auto"}}) == ""


def test_a_choice_is_among_the_tools_given() -> None:
    assert verdict({"tool_choice": ANY}) == "tool_choice: may only be specified while providing tools"
    assert verdict({"tools": [{**TOOL, "name": "u"}], "tool_choice": NAMED}) == "Tool 't' not found in provided tools"
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000, "tools": [TOOL]}
    fault = "Thinking may not be enabled when tool_choice forces tool use."
    assert verdict({**thinking, "tool_choice": NAMED}) == fault
    assert verdict({**thinking, "tool_choice": {"type": "auto"}}) == ""
    assert verdict({"thinking": {"type": "adaptive"}, "tools": [TOOL], "tool_choice": ANY}) == ""


def test_each_model_takes_its_own_computer_tool() -> None:
    betas = "computer-use-2025-01-24,computer-use-2025-11-24,computer-use-2024-10-22"
    taken = {
        kind: [
            model
            for model in (SONNET_4_5, "claude-opus-4-5", SONNET_4_6, OPUS_5, OPUS_5_5, HAIKU_5_5)
            if verdict({"model": model, "tools": [{**COMPUTER, "type": kind}]}, betas=betas) == ""
        ]
        for kind in ("computer_20241022", "computer_20250124", "computer_20251124")
    }
    assert taken == {
        "computer_20241022": [],
        "computer_20250124": [SONNET_4_5],
        "computer_20251124": ["claude-opus-4-5", SONNET_4_6, OPUS_5],
    }
    fault = verdict({"tools": [{**COMPUTER, "type": "computer_20250124"}]}, betas=betas)
    assert fault.startswith(
        "'claude-sonnet-4-6' does not support tool types: computer_20250124. Did you mean one of bash_"
    )


def test_tools_loaded_later_are_neither_all_nor_cached() -> None:
    late = {**TOOL, "defer_loading": True}
    assert verdict({"tools": [late, {**TOOL, "name": "u"}]}) == ""
    assert verdict({"tools": [late]}).startswith("All tools have defer_loading set.")
    marked = {**late, "cache_control": {"type": "ephemeral"}}
    assert verdict({"tools": [marked, {**TOOL, "name": "u"}]}).startswith(
        "Tool 't' cannot have both defer_loading=true"
    )
