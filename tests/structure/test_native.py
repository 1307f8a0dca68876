"""Schemas as the API takes them: within its limits, and never asking for what the schema itself would not allow."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator.instance import Maker
from penstock.simulator.rules.schemas import Load, check_strict
from penstock.structure.native import format_of

NAMES = st.sampled_from(["a", "b", "c", "d"])
NUMBERS = st.integers(-5, 5)


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={"minLength": st.integers(0, 2), "format": st.sampled_from(["date", "email", "idn-email"])},
        ),
        st.fixed_dictionaries(
            {"type": st.sampled_from(["integer", "number"])}, optional={"minimum": NUMBERS, "multipleOf": st.just(2)}
        ),
        st.just({"type": ["string", "null"], "description": "perhaps"}),
        st.fixed_dictionaries({"enum": st.lists(NUMBERS | NAMES, min_size=1, max_size=3)}),
        st.just({"$ref": "#/$defs/N"}),
        st.just({}),
        st.just({"type": "object"}),
    )


def schemas(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    objects = st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, inner, max_size=3)},
        optional={
            "required": st.lists(NAMES, unique=True, max_size=2),
            "additionalProperties": st.booleans() | st.just({"type": "integer"}),
            "minProperties": st.just(1),
        },
    )
    arrays = st.fixed_dictionaries(
        {"type": st.just("array"), "items": inner},
        optional={"minItems": st.integers(0, 3), "uniqueItems": st.booleans(), "contains": inner},
    )
    either = st.fixed_dictionaries({}, optional={"anyOf": st.lists(inner, min_size=1, max_size=3)})
    one = st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)})
    every = st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)})
    return objects | arrays | either | one | every


@settings(max_examples=400, deadline=None)
@given(st.recursive(leaves(), schemas, max_leaves=12))
def test_what_is_asked_of_the_api_is_within_its_limits(schema: dict[str, Any]) -> None:
    whole = {**schema, "$defs": {"N": {"type": "integer", "maximum": 3}}}
    before = json.dumps(whole)
    made = format_of(whole)
    assert json.dumps(whole) == before, "a schema is not changed"
    if made is None:
        return
    adapted = json.loads(made)["schema"]
    check_strict(adapted, "output_config.format.schema")
    load = Load()
    load.add(adapted)
    load.check()
    jsonschema.Draft202012Validator.check_schema(adapted)
    # What the grammar allows is refused by the schema only for what was said in words instead.
    Maker(adapted, "").make()


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "object", "properties": {"a": {"type": "string"}}, "patternProperties": {"^x": {}}},
        {"allOf": [{"type": "object", "properties": {}}, {"type": "object", "properties": {}}]},
        {"type": "array", "items": {"type": "string"}, "prefixItems": [{"type": "string"}]},
        {"enum": [{"a": 1}]},
        {"const": []},
        {"type": "objekt"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "properties": {"next": {"$ref": "#/$defs/A"}}}}},
        {"type": "object", "properties": {"a": {"$ref": "#/nowhere/A"}}},
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(24)}},
        {"type": "object", "properties": {f"p{n}": {"type": ["string", "null"]} for n in range(16)}},
        {"if": {"type": "string"}, "then": {"minLength": 1}, "type": "string"},
    ],
    ids=lambda schema: json.dumps(schema)[:40],
)
def test_what_the_api_cannot_be_asked_for_is_not(schema: dict[str, Any]) -> None:
    assert format_of(schema) is None


def test_many_definitions_that_share_others_take_no_time() -> None:
    names = [f"D{n}" for n in range(60)]
    definitions: dict[str, Any] = {
        name: {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/{after}"}, "b": {"$ref": f"#/$defs/{after}"}},
            "required": ["a", "b"],
        }
        for name, after in pairwise(names)
    }
    definitions[names[-1]] = {"type": "string"}
    assert format_of({"$ref": "#/$defs/D0", "$defs": definitions}) is not None


class _Place(pydantic.BaseModel):
    """Where."""

    town: str = pydantic.Field(min_length=1, description="Its name.")
    level: float | None = None


class _Report(pydantic.BaseModel):
    places: list[_Place] = pydantic.Field(min_length=2)
    kind: str = "river"


class _Struct(msgspec.Struct):
    town: str
    levels: list[int]
    note: str | None = None


def test_types_of_pydantic_and_msgspec_are_asked_for() -> None:
    made = format_of(_Report.model_json_schema())
    assert made is not None
    schema = json.loads(made)["schema"]
    assert schema["$defs"]["_Place"]["properties"]["town"] == {
        "type": "string",
        "title": "Town",
        "description": "Its name.\n\n{minLength: 1}",
    }
    assert schema["properties"]["places"]["description"] == "{minItems: 2}"
    check_strict(schema, "")
    structs = format_of(msgspec.json.schema(_Struct))
    assert structs is not None and json.loads(structs)["schema"]["type"] == "object"
