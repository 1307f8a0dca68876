"""A form from a JSON Schema.

Schemas are judged by jsonschema-rs: every draft from 4 to 2020-12, a hundred times as fast as in Python, and its
regular expressions give up rather than run on.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import msgspec

from ..config.form import FormConfig
from ..errors import ConfigError
from ..form import Flaw, Wanted
from .native import format_of

#: An answer can be wrong in every line. More is no help to who mends it.
FLAWS_MAX = 10
#: A message repeats the value it is about; of a long one the beginning is enough.
_MESSAGE_CHARACTERS_MAX = 300

_JSON = msgspec.json.Decoder()


class SchemaForm:
    """The form that a JSON Schema describes."""

    def __init__(self, schema: bytes, *, is_native: bool) -> None:
        """Raises ImportError without jsonschema-rs, ValueError where it is no schema, or leads out of itself."""
        engine: Any = importlib.import_module("jsonschema_rs")
        try:
            described = msgspec.json.decode(schema)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
            raise ValueError(f"it is no JSON: {fault}") from fault
        if not isinstance(described, dict):
            raise ValueError("it is JSON, but no object")
        self._validator = engine.validator_for(described, retriever=_nothing)
        self.schema = msgspec.json.encode(described)
        self.format = format_of(described) if is_native else None

    def flaws(self, text: str) -> tuple[Flaw, ...]:
        try:
            value = _JSON.decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as fault:
            return (not_json(text, fault),)
        if self._validator.is_valid(value):
            return ()
        found: list[Flaw] = []
        for error in self._validator.iter_errors(value):
            rule = next((str(part) for part in reversed(error.schema_path) if isinstance(part, str)), "schema")
            found.append(Flaw(path(error.instance_path), rule, shortened(error.message)))
            if len(found) == FLAWS_MAX:
                break
        return tuple(found)


def wanted_of(feature: str, config: FormConfig, schemas: Mapping[str, bytes]) -> Wanted | None:
    """What a feature wants of its answers; None where it wants no form. `schemas` are by name. Raises ConfigError."""
    if config.schema is None:
        return None
    try:
        form = SchemaForm(schemas[config.schema], is_native=config.native == "auto")
    except ImportError:
        raise ConfigError(
            f"The schema of [features.{feature}.form] needs jsonschema-rs, which is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[schema]'`, or leave the form out.",
        ) from None
    except ValueError as fault:
        raise ConfigError(
            f"{config.schema}, the schema of [features.{feature}.form], cannot be used: {_first_line(fault)}.",
            code="bad_schema",
            fix="Give a JSON Schema that stands by itself; references to other files are not followed.",
        ) from None
    return Wanted(form, config.repairs, config.invalid, config.streams == "hold")


def not_json(text: str, fault: Exception) -> Flaw:
    """What is wrong with a text that is not one JSON value."""
    if not text.strip():
        return Flaw("$", "json", "the answer is empty")
    fence = "; it stands in a code fence" if text.lstrip().startswith("```") else ""
    return Flaw("$", "json", f"the answer is not one JSON value and nothing else: {shortened(str(fault))}{fence}")


def path(parts: object) -> str:
    """`$.items[0].name` for the way to a value."""
    named = parts if isinstance(parts, list | tuple) else ()
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in named)


def shortened(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARACTERS_MAX else text[:_MESSAGE_CHARACTERS_MAX] + "…"


def _nothing(uri: str) -> Any:
    raise ValueError(f"it refers to {uri}")


def _first_line(fault: ValueError) -> str:
    return str(fault).partition("\n")[0].rstrip(".")
