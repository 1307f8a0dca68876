"""Structured answers and tool inputs are valid for the schema given, whatever it is: judged by another's validator."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator import Running
from penstock.simulator.instance import Maker

Got = tuple[int, dict[str, str], bytes]
NAMES = st.sampled_from(["city", "count", "tags", "at", "kind", "inner", "left", "right"])
FORMATS = ["date", "date-time", "email", "uuid", "ipv4", "uri"]
SMALL, SIGNED = st.integers(0, 9), st.integers(-50, 50)


def spanned(low: int, more: int) -> dict[str, Any]:
    return {"type": "string", "minLength": low, "maxLength": low + more}


def bounded(kind: str, low: int, more: int) -> dict[str, Any]:
    return {"type": kind, "minimum": low, "maximum": low + more}


def an_object(properties: dict[str, Any], is_closed: bool) -> dict[str, Any]:
    required = sorted(properties)[: len(properties) // 2 + 1]
    closed = {"additionalProperties": False} if is_closed else {}
    return {"type": "object", "properties": properties, "required": required, **closed}


STRINGS = st.one_of(
    st.just({"type": "string"}),
    st.builds(spanned, SMALL, SMALL),
    st.builds(lambda kind: {"type": "string", "format": kind}, st.sampled_from(FORMATS)),
    st.builds(lambda values: {"enum": values}, st.lists(st.sampled_from(["a", 3, None, True]), min_size=1)),
    st.builds(lambda value: {"const": value}, st.sampled_from(["x", 7, False])),
)
NUMBERS = st.one_of(
    st.builds(bounded, st.sampled_from(["integer", "number"]), SIGNED, SMALL),
    st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, SIGNED),
    st.builds(lambda high: {"type": "number", "exclusiveMaximum": high}, SIGNED),
    st.builds(lambda step: {"type": "integer", "multipleOf": step + 1, "minimum": 1}, SMALL),
)
OTHERS = st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}])
LEAVES = st.one_of(STRINGS, NUMBERS, OTHERS)


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = st.dictionaries(NAMES, inner, max_size=4)
    return st.one_of(
        st.builds(an_object, fields, st.booleans()),
        st.builds(
            lambda items, low: {"type": "array", "items": items, "minItems": low, "maxItems": low + 2}, inner, SMALL
        ),
        st.builds(lambda items: {"type": "array", "items": items, "maxItems": 0}, inner),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda one: {"allOf": [an_object(one, False)]}, fields),
    )


SCHEMAS = st.recursive(LEAVES, wider, max_leaves=12)


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, st.sampled_from(["", "Book 3 seats for Ada Lovelace at 19.5", "-4 of 1000000"]))
def test_a_value_is_valid_for_any_schema(schema: dict[str, Any], prompt: str) -> None:
    value = Maker(schema, prompt).make()
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(value)


TREE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "left": {"$ref": "#/$defs/node"}},
    "required": ["name", "left"],
    "$defs": {
        "node": {
            "anyOf": [
                {"type": "null"},
                {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "left": {"$ref": "#/$defs/node"}},
                    "required": ["name", "left"],
                    "additionalProperties": False,
                },
            ]
        }
    },
}
BOOKING = {
    "type": "object",
    "properties": {
        "guest": {"type": "string", "minLength": 3},
        "seats": {"type": "integer", "minimum": 1, "maximum": 8},
        "on": {"type": "string", "format": "date"},
        "wishes": {"type": "array", "items": {"enum": ["window", "quiet"]}, "minItems": 1},
    },
    "required": ["guest", "seats", "on", "wishes"],
    "additionalProperties": False,
}


#: Within what the API's compiler takes: no bounds, no schema that holds itself, all objects closed.
SEATS = {"type": "object", "properties": {"row": {"type": "integer"}, "free": {"type": ["boolean", "null"]}},
         "required": ["row"], "additionalProperties": False}  # fmt: skip
HALL = {
    "type": "object",
    "properties": {
        "guest": {"type": "string"},
        "on": {"type": "string", "format": "date"},
        "wishes": {"type": "array", "items": {"enum": ["window", "quiet"]}, "minItems": 1},
        "seats": {"type": "array", "items": {"$ref": "#/$defs/seat"}},
    },
    "required": ["guest", "on", "wishes", "seats"],
    "additionalProperties": False,
    "$defs": {"seat": SEATS},
}


@pytest.mark.parametrize("schema", [SEATS, HALL], ids=["seats", "hall"])
@pytest.mark.parametrize("stream", [False, True])
def test_structured_answers_are_valid_over_the_wire(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any], schema: dict[str, Any], stream: bool
) -> None:
    config = {"format": {"type": "json_schema", "schema": schema}}
    _, _, body = send(sim, body={**ask, "max_tokens": 2_000, "output_config": config, "stream": stream})
    if stream:
        frames = [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]
        text = "".join(one["delta"]["text"] for one in frames if one.get("delta", {}).get("type") == "text_delta")
    else:
        text = json.loads(body)["content"][0]["text"]
    jsonschema.validate(json.loads(text), schema)


@pytest.mark.parametrize("schema", [TREE, BOOKING], ids=["recursive", "booking"])
def test_tool_inputs_are_valid(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any], schema: dict[str, Any]
) -> None:
    tool = {"name": "book_table", "description": "Book", "input_schema": schema}
    forced = {"tools": [tool], "tool_choice": {"type": "tool", "name": "book_table"}}
    for _ in range(5):
        content = json.loads(send(sim, body={**ask, **forced})[2])["content"]
        jsonschema.validate(content[-1]["input"], schema)
