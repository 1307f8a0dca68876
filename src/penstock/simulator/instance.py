"""A small value that satisfies a JSON schema, for tool inputs and structured answers."""

from __future__ import annotations

import math
import re
from typing import Any

from .problems import invalid

_NAMED = re.compile(r"\b(?:in|for|of|about|named|called|to|at) ((?:[A-Z][\w'-]*)(?: [A-Z][\w'-]*)*)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_DEEP, _DEPTH_MAX = 8, 64
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}


class Maker:
    """Fills a schema. Names and numbers found in the prompt are used where they fit, in order."""

    def __init__(self, schema: dict[str, Any], prompt: str) -> None:
        self.root = schema
        self.names = [found.group(1) for found in _NAMED.finditer(prompt)]
        self.numbers = [float(found) for found in _NUMBER.findall(prompt)]

    def make(self) -> Any:
        """Raises Problem 400 where the schema is none."""
        try:
            return self._value(self.root, "value", 0)
        except (TypeError, ValueError, KeyError, AttributeError):
            raise invalid("input_schema: JSON schema is invalid. It must match JSON Schema draft 2020-12.") from None

    def _value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict):
            return name
        if depth > _DEPTH_MAX:
            raise ValueError("the schema has no end")
        if isinstance(reference := schema.get("$ref"), str):
            return self._value(self._resolve(reference), name, depth + 1)
        for given in ("const", "default"):
            if given in schema:
                return schema[given]
        if schema.get("enum"):
            return schema["enum"][0]
        if parts := schema.get("allOf"):
            merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
            for part in parts:
                resolved = self._resolve(part["$ref"]) if "$ref" in part else part
                merged = _merged(merged, resolved)
            return self._value(merged, name, depth + 1)
        for union in ("anyOf", "oneOf"):
            if options := schema.get(union):
                real = [option for option in options if option.get("type") != "null"] or options
                # A schema that holds itself ends where something may be null.
                chosen = real[0] if depth < _DEEP or len(real) == len(options) else {"type": "null"}
                return self._value(chosen, name, depth + 1)
        return self._typed(schema, name, depth)

    def _typed(self, schema: dict[str, Any], name: str, depth: int) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            real = [one for one in kind if one != "null"]
            kind = real[0] if real and (depth < _DEEP or len(real) == len(kind)) else "null"
        if kind == "object":
            properties: dict[str, Any] = schema.get("properties") or {}
            wanted = schema["required"] if "required" in schema else list(properties)
            return {key: self._value(properties.get(key, {}), key, depth + 1) for key in wanted}
        if kind == "array":
            count = max(int(schema.get("minItems", 0)), 0 if depth >= _DEEP else 1)
            count = min(count, int(schema.get("maxItems", count)))
            return [self._value(schema.get("items", {}), name, depth + 1) for _ in range(count)]
        if kind in ("integer", "number"):
            return self._number(schema, is_whole=kind == "integer")
        if kind == "boolean":
            return True
        return None if kind == "null" else self._text(schema, name)

    def _number(self, schema: dict[str, Any], *, is_whole: bool) -> int | float:
        """A number of the prompt where it fits, else the nearest to 1 that does."""
        step = schema.get("multipleOf") or (1 if is_whole else None)
        low, high = schema.get("minimum"), schema.get("maximum")
        if (above := schema.get("exclusiveMinimum")) is not None:
            low = max(above + (step or 1), above + (step or 1) if low is None else low)
        if (below := schema.get("exclusiveMaximum")) is not None:
            high = min(below - (step or 1), below - (step or 1) if high is None else high)
        number = self.numbers.pop(0) if self.numbers else 1.0
        if low is not None and high is not None and low > high:
            return float((low + high) / 2)  # only between two bounds that are closer than a step
        if low is not None:
            number = max(number, low)
        if high is not None:
            number = min(number, high)
        if step is not None:
            up = math.ceil(number / step) * step
            number = up if high is None or up <= high else math.floor(number / step) * step
        return int(number) if is_whole or float(number).is_integer() else number

    def _text(self, schema: dict[str, Any], name: str) -> str:
        if made := _FORMATS.get(str(schema.get("format"))):
            return made
        text = self.names.pop(0) if self.names else name.replace("_", " ")
        shortest, longest = schema.get("minLength", 0), schema.get("maxLength")
        text = text.ljust(int(shortest), "a")
        return text[: int(longest)] if longest is not None else text

    def _resolve(self, reference: str) -> Any:
        found: Any = self.root
        for step in reference.removeprefix("#/").split("/"):
            found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
        return found


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *other["required"]]
    return merged
