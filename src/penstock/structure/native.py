"""A JSON Schema as the API takes it in `output_config.format`, or the finding that it cannot be put so.

What the API's grammars lack is written into the description, as the official SDK does it, and judged when the answer is
there: what an answer is held to while it is written may be less than the schema, but never more than it allows.
docs.claude.com, structured outputs; limits as recorded in August 2026.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

#: A schema with so many optional parameters, or so many of several types, is refused as too complex.
_OPTIONAL_MAX = 24
_UNIONS_MAX = 16
_DEPTH_MAX = 32

_FORMATS = frozenset(["date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"])
_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
#: What is said for readers alone.
_NOTES = frozenset(
    ["$schema", "$id", "$comment", "$anchor", "examples", "deprecated", "readOnly", "writeOnly", "default"]
)
#: What no grammar has, and what cannot be left out where objects are closed.
_OPEN = ("patternProperties", "prefixItems", "unevaluatedProperties", "dependentSchemas", "$dynamicRef", "if", "not")

Schema = dict[str, Any]


class _Inexpressible(Exception):
    pass


def format_of(schema: Schema) -> bytes | None:
    """The value of `output_config.format` for a schema, as JSON; None where the API cannot be asked for it."""
    try:
        adapted = _root(schema)
        _check_size(adapted)
        _check_references(adapted)
    except _Inexpressible:
        return None
    return msgspec.json.encode({"type": "json_schema", "schema": adapted})


def _root(schema: Schema) -> Schema:
    groups = {name: schema[name] for name in ("$defs", "definitions") if isinstance(schema.get(name), dict)}
    body = {name: value for name, value in schema.items() if name not in groups}
    reference = body.get("$ref")
    if isinstance(reference, str):  # msgspec and pydantic describe some types by a reference alone
        _, group, name = [*reference.split("/", 2), "", ""][:3]
        if group not in groups or name not in groups[group]:
            raise _Inexpressible
        body = {**groups[group][name], **{key: value for key, value in body.items() if key != "$ref"}}
    adapted = _adapted(body, 0)
    for group, inner in groups.items():
        adapted[group] = {name: _adapted(one, 1) for name, one in inner.items()}
    return adapted


def _adapted(schema: Any, depth: int) -> Schema:
    if not isinstance(schema, dict) or depth > _DEPTH_MAX or any(name in schema for name in _OPEN):
        raise _Inexpressible
    left = {name: value for name, value in schema.items() if name not in _NOTES}
    made: Schema = {name: left.pop(name) for name in ("title", "description") if name in left}
    if "$ref" in left:
        if len(left) > 1:
            raise _Inexpressible
        return left
    parts = left.get("allOf")
    if isinstance(parts, list) and len(parts) == 1 and len(left) == 1 and isinstance(parts[0], dict):
        return _adapted({**parts[0], **made} if "$ref" not in parts[0] else parts[0], depth + 1)
    if parts is not None:
        raise _Inexpressible  # its parts would be closed against one another
    if "const" in left or "enum" in left:
        made |= _literals(left)
    elif ("anyOf" in left or "oneOf" in left) and "properties" not in left and "items" not in left:
        variants = left.pop("anyOf", None) or left.pop("oneOf", None)
        made["anyOf"] = [_adapted(_typed(one, left.get("type")), depth + 1) for one in _listed(variants)]
        left.pop("type", None)
    else:
        made |= _by_type(left, depth)
    return _hinted(made, left)


def _literals(left: Schema) -> Schema:
    values = [left["const"]] if "const" in left else _listed(left["enum"])
    if not values or not all(value is None or isinstance(value, str | int | float) for value in values):
        raise _Inexpressible
    left.pop("type", None)
    return {name: left.pop(name) for name in ("const", "enum") if name in left}


def _by_type(left: Schema, depth: int) -> Schema:
    """What the type has of its own. Takes out of `left` what it takes over."""
    kind = left.pop("type", "object" if "properties" in left else "array" if "items" in left else None)
    kinds = kind if isinstance(kind, list) else [kind]
    if not kinds or any(one not in _TYPES for one in kinds):
        raise _Inexpressible
    made: Schema = {"type": kind}
    if "object" in kinds:
        made |= _closed(left, depth)
    if "array" in kinds:
        if "items" in left:
            made["items"] = _adapted(left.pop("items"), depth + 1)
        if left.get("minItems") in (0, 1):
            made["minItems"] = left.pop("minItems")
    if "string" in kinds and left.get("format") in _FORMATS:
        made["format"] = left.pop("format")
    return made


def _closed(left: Schema, depth: int) -> Schema:
    """An object with no properties but those that are named: the API knows no other."""
    properties, extra = left.pop("properties", {}), left.pop("additionalProperties", True)
    required = left.pop("required", [])
    is_open = isinstance(extra, dict) and bool(extra)
    if is_open or not isinstance(properties, dict) or (not properties and extra is not False):
        raise _Inexpressible  # a map: only its keys' owner knows them
    if not set(_listed(required)) <= set(properties):
        raise _Inexpressible
    made: Schema = {"properties": {name: _adapted(one, depth + 1) for name, one in properties.items()}}
    return {**made, **({"required": required} if required else {}), "additionalProperties": False}


def _hinted(made: Schema, left: Schema) -> Schema:
    if left:
        hints = ", ".join(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in left.items())
        said = made.get("description")
        made["description"] = f"{said}\n\n{{{hints}}}" if said else f"{{{hints}}}"
    return made


def _typed(variant: Any, kind: Any) -> Any:
    return {"type": kind, **variant} if kind is not None and isinstance(variant, dict) else variant


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Inexpressible
    return value


def _nodes(schema: Any) -> Iterator[Schema]:
    if not isinstance(schema, dict):
        return
    yield schema
    for name in ("properties", "$defs", "definitions"):
        for one in schema.get(name, {}).values():
            yield from _nodes(one)
    yield from _nodes(schema.get("items"))
    for one in schema.get("anyOf", ()):
        yield from _nodes(one)


def _check_size(schema: Schema) -> None:
    optional = unions = 0
    for node in _nodes(schema):
        properties = node.get("properties", {})
        optional += len(set(properties) - set(node.get("required", ())))
        unions += sum("anyOf" in one or isinstance(one.get("type"), list) for one in properties.values())
    if optional >= _OPTIONAL_MAX or unions >= _UNIONS_MAX:
        raise _Inexpressible


def _check_references(schema: Schema) -> None:
    """References lead to definitions, and never back."""
    definitions = {
        f"#/{group}/{name}": inner
        for group in ("$defs", "definitions")
        for name, inner in schema.get(group, {}).items()
    }
    below = {place: _referred(inner) for place, inner in definitions.items()}
    if not _referred(schema) <= set(below):
        raise _Inexpressible
    while below:  # leave out what refers to nothing, until nothing is left, or only what refers in a circle
        ends = {place for place, others in below.items() if not others}
        if not ends:
            raise _Inexpressible
        below = {place: others - ends for place, others in below.items() if place not in ends}


def _referred(schema: Schema) -> set[str]:
    return {node["$ref"] for node in _nodes(schema) if "$ref" in node}
