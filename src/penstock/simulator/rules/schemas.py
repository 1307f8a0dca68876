"""JSON schemas: those of tools must be schemas at all; strict ones and answer formats must fit the grammar compiler.

Words and limits as recorded in August 2026; two limits within one schema are only known by example (see `_CROWDED`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..problems import Problem, invalid

STRICT_TOOLS_MAX = 20
OPTIONAL_MAX = 24
UNIONS_MAX = 16
#: Recorded: as many optional or union parameters as are allowed pass over several tools, and fail in a single one.
_CROWDED = "Schema is too complex for compilation. Try reducing the number of tools or simplifying tool schemas."
_DEPTH_MAX = 64
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
_FORMATS = frozenset(["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"])
_ANYWHERE = frozenset(
    [
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$ref",
        "$schema",
        "allOf",
        "anyOf",
        "const",
        "default",
        "definitions",
        "deprecated",
        "description",
        "enum",
        "examples",
        "readOnly",
        "title",
        "type",
        "writeOnly",
    ]
)
_ALLOWED = {
    "object": frozenset(("properties", "required", "additionalProperties")),
    "array": frozenset(("items", "minItems")),
    "string": frozenset(("format", "pattern")),
}
_INVALID = (
    "JSON schema is invalid. It must match JSON Schema draft 2020-12 (https://json-schema.org/draft/2020-12). Learn "
    "more about tool use at https://docs.claude.com/en/docs/tool-use."
)
_TOP = "input_schema does not support oneOf, allOf, or anyOf at the top level"

Schema = dict[str, Any]


@dataclass(slots=True)
class Load:
    """What all strict schemas of a request ask of the compiler."""

    tools: int = 0
    optional: int = 0
    unions: int = 0
    is_crowded: bool = False

    def add(self, schema: Schema) -> None:
        optional = unions = 0
        for node in _nodes(schema):
            properties = node.get("properties")
            if isinstance(properties, dict):
                optional += len(set(properties) - set(node.get("required") or ()))
                unions += sum(_is_union(one) for one in properties.values())
        self.optional += optional
        self.unions += unions
        self.is_crowded = self.is_crowded or optional >= OPTIONAL_MAX or unions >= UNIONS_MAX

    def check(self) -> None:
        """Raises Problem 400."""
        if self.tools > STRICT_TOOLS_MAX:
            raise invalid(
                f"Too many strict tools ({self.tools}). The maximum number of strict tools supported is "
                f"{STRICT_TOOLS_MAX}. Try reducing the number of tools marked as strict."
            )
        if self.optional > OPTIONAL_MAX:
            raise invalid(
                f"Schemas contains too many optional parameters ({self.optional}), which would make grammar "
                "compilation inefficient. Reduce the number of optional parameters in your tool schemas (limit: "
                f"{OPTIONAL_MAX})."
            )
        if self.unions > UNIONS_MAX:
            raise invalid(
                f"Schemas contains too many parameters with union types ({self.unions} parameters with type arrays or "
                "anyOf). This causes exponential compilation cost. Reduce the number of nullable or union-typed "
                f"parameters (limit: {UNIONS_MAX} parameters with unions)."
            )
        if self.is_crowded:
            raise invalid(_CROWDED)


def check_draft(schema: Schema, place: str) -> None:
    """That a tool's input schema is a JSON schema, as far as the keywords in use go. Raises Problem 400."""
    if any(name in schema for name in ("oneOf", "allOf", "anyOf")):
        raise invalid(f"{place}: {_TOP}")
    for node in _nodes(schema):
        if not _is_sound(node):
            raise invalid(f"{place}: {_INVALID}")


def check_strict(schema: Schema, place: str) -> None:
    """That the grammar compiler takes a schema. Raises Problem 400."""
    _check_references(schema, place)
    for node in _nodes(schema):
        if not _is_sound(node):
            raise invalid(f"{place}: {_INVALID}")
        _check_node(node, place)


def _check_node(node: Schema, place: str) -> None:
    if "oneOf" in node:
        raise invalid(f"{place}: Schema type 'oneOf' is not supported")
    kinds = node["type"] if isinstance(node.get("type"), list) else [node["type"]] if "type" in node else []
    allowed = _ANYWHERE.union(*(_ALLOWED.get(kind, ()) for kind in kinds))
    for name in node if kinds else ():
        if name not in allowed:
            raise _unsupported(kinds[0], name, place)
    if "object" in kinds:
        _check_object(node, place)
    if "array" in kinds and node.get("minItems", 0) not in (0, 1):
        raise invalid(f"{place}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if "string" in kinds and node.get("format", "date") not in _FORMATS:
        # The list of formats is recorded, the words for others are not (?).
        raise invalid(f"{place}: For 'string' type, format '{node['format']}' is not supported")


def _check_object(node: Schema, place: str) -> None:
    extra = node.get("additionalProperties")
    if extra is None:
        raise invalid(f"{place}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    if extra is not False:
        shown = "true" if extra is True else "object"
        raise invalid(
            f"{place}: For 'object' type, 'additionalProperties: {shown}' is not supported. Please set "
            "'additionalProperties' to false"
        )
    if any(isinstance(one, bool) for one in (node.get("properties") or {}).values()):
        raise _unsupported("object", "properties", place)


def _unsupported(kind: str, name: str, place: str) -> Problem:
    return invalid(f"{place}: For '{kind}' type, property '{name}' is not supported")


def _nodes(schema: Any, depth: int = 0) -> Iterator[Schema]:
    """A schema and all within it."""
    if depth > _DEPTH_MAX:
        raise invalid(_CROWDED)
    if not isinstance(schema, dict):
        return
    yield schema
    for name in ("properties", "$defs", "definitions", "patternProperties"):
        inner = schema.get(name)
        for one in inner.values() if isinstance(inner, dict) else ():
            yield from _nodes(one, depth + 1)
    for name in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"):
        yield from _nodes(schema.get(name), depth + 1)
    for name in ("anyOf", "allOf", "oneOf", "prefixItems"):
        inner = schema.get(name)
        for one in inner if isinstance(inner, list) else ():
            yield from _nodes(one, depth + 1)


def _is_union(schema: Any) -> bool:
    return isinstance(schema, dict) and ("anyOf" in schema or isinstance(schema.get("type"), list))


def _is_sound(node: Schema) -> bool:
    """Whether the keywords of one schema hold what the draft wants."""
    kinds = node.get("type", "object")
    if not (kinds in _TYPES if isinstance(kinds, str) else _is_list_of(kinds, _TYPES)):
        return False
    required = node.get("required", [])
    return (
        all(
            isinstance(node.get(name, {}), dict) for name in ("properties", "$defs", "definitions", "patternProperties")
        )
        and all(isinstance(one, dict | bool) for one in (node.get("properties") or {}).values())
        and isinstance(required, list)
        and all(isinstance(one, str) for one in required)
        and all(isinstance(node.get(name, {}), dict | bool) for name in ("items", "additionalProperties", "not"))
        and isinstance(node.get("enum", []), list)
        and all(_is_schema_list(node.get(name, [True])) for name in ("anyOf", "allOf", "oneOf"))
        and all(_is_count(node.get(name, 0)) for name in ("minItems", "maxItems", "minLength", "maxLength"))
        and all(isinstance(node.get(name, ""), str) for name in ("$ref", "pattern", "format", "description", "title"))
        and all(
            _is_number(node.get(name, 0)) for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        )
    )


def _is_list_of(kinds: Any, known: tuple[str, ...]) -> bool:
    return isinstance(kinds, list) and bool(kinds) and all(isinstance(one, str) and one in known for one in kinds)


def _is_schema_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict | bool) for one in value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_references(schema: Schema, place: str) -> None:
    """References are local, lead somewhere, and never back (recorded for definitions that hold themselves)."""
    definitions = {
        f"#/{group}/{_escaped(name)}": inner
        for group in ("$defs", "definitions")
        for name, inner in (schema.get(group) or {}).items()
        if isinstance(schema.get(group), dict)
    }
    for reference in _references(schema):
        if reference not in definitions and reference != "#":
            raise invalid(f"{place}: Invalid schema: Reference '{reference}' could not be resolved.")
    for start in definitions:
        circle = _circle(start, definitions)
        if circle:
            names = " -> ".join(one.rpartition("/")[2] for one in circle)
            raise invalid(
                f"{place}: Invalid schema: Circular reference detected in schema definitions: {names}. "
                "Self-referencing or mutually-referencing definitions are not supported."
            )


def _references(schema: Any) -> list[str]:
    return [node["$ref"] for node in _nodes(schema) if isinstance(node.get("$ref"), str)]


def _circle(start: str, definitions: dict[str, Any]) -> list[str]:
    """The way from a definition back to itself; empty where there is none."""
    ways, seen = [[start]], {start}
    while ways:
        way = ways.pop(0)
        for reference in _references(definitions[way[-1]]):
            if reference == start:
                return [*way, start]
            if reference in definitions and reference not in seen:
                seen.add(reference)
                ways.append([*way, reference])
    return []


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
