"""The variables of a prompt: what each may hold, and whether what it holds comes from outside."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from .template import NAME

TYPES = ("str", "int", "float", "bool", "list", "enum")
#: The types that can carry words of somebody else's.
WORDED = ("str", "list")

Value = str | int | float | bool | list[str]

_KEYS = ("type", "untrusted", "options", "default", "description")
_WANTED = {
    "str": "a string",
    "int": "a whole number of at most 64 bits",
    "float": "a finite number",
    "bool": "true or false",
    "list": "a list of strings",
}
#: What a value is, without saying it: it may be private.
_GIVEN: dict[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "a list",
    tuple: "a list",
    type(None): "nothing",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable as the front matter declares it.

    `is_untrusted` values are documents, never part of an instruction. `default` is None where a value must be given;
    `options` are the choices of an enum. `place` is `file:line`.
    """

    name: str
    type: str = "str"
    is_untrusted: bool = False
    options: tuple[str, ...] = ()
    default: Value | None = None
    place: str = ""

    @property
    def described(self) -> dict[str, object]:
        """What of it can change what renders, in JSON's types."""
        return {
            "type": self.type,
            "untrusted": self.is_untrusted,
            "options": list(self.options),
            "default": self.default,
        }


def declared(name: str, table: object, place: str) -> Variable:
    """A variable from its table. Raises ConfigError, code `bad_prompt`."""
    if not NAME.fullmatch(name):
        fix = "Name variables in lower-case letters, digits, `_` and `-`."
        raise _fault(f"{name!r} is no name for a variable.", fix, place)
    if not isinstance(table, dict):
        raise _fault(f"The variable {name} is no table.", f'Write {name} = {{ type = "str" }}.', place)
    for key in table:
        if key not in _KEYS:
            raise _fault(f"The variable {name} has the unknown key {key!r}.", _nearest(key, _KEYS), place)
    kind, untrusted = table.get("type", "str"), table.get("untrusted", False)
    if kind not in TYPES:
        raise _fault(f"The variable {name} is of the unknown type {kind!r}.", _nearest(str(kind), TYPES), place)
    if not isinstance(untrusted, bool):
        raise _fault(f"`untrusted` of {name} is neither true nor false.", "Give one of them.", place)
    if untrusted and kind not in WORDED:
        fix = "Leave `untrusted` out: its values are checked to be of the type."
        raise _fault(f"The variable {name} is untrusted, and its type {kind} cannot hold words.", fix, place)
    options = table.get("options", [])
    is_list = isinstance(options, list) and all(isinstance(option, str) and option for option in options)
    if not is_list or bool(options) != (kind == "enum"):
        fix = 'Give an enum, and no other type, its choices: options = ["brief", "full"].'
        raise _fault(f"`options` of {name} do not fit its type {kind}.", fix, place)
    variable = Variable(name, kind, untrusted, tuple(options), None, place)
    if "default" not in table:
        return variable
    if untrusted:
        raise _fault(f"The untrusted variable {name} has a default.", "Put fixed words into the template.", place)
    default = checked(variable, table["default"], place)
    return Variable(name, kind, untrusted, tuple(options), default, place)


def checked(variable: Variable, value: object, place: str) -> Value:
    """The value, if it is of the variable's type. Raises ConfigError, code `bad_variable`, that does not repeat it."""
    kind = variable.type
    if _is_of(kind, value) and (kind != "enum" or value in variable.options):
        return list(value) if isinstance(value, list | tuple) else value  # type: ignore[return-value]
    given = "another" if kind == "enum" and isinstance(value, str) else _GIVEN.get(type(value), "something else")
    wanted = f"one of {', '.join(variable.options)}" if kind == "enum" else _WANTED[kind]
    raise ConfigError(
        f"The variable {variable.name} of type {kind} was given {given}.",
        code="bad_variable",
        fix=f"Give {wanted}.",
        place=place,
    )


def _is_of(kind: str, value: object) -> bool:
    if isinstance(value, bool):
        return kind == "bool"
    if isinstance(value, int):
        return kind in ("int", "float") and abs(value) < 2**63
    if isinstance(value, float):
        return kind == "float" and math.isfinite(value)
    if isinstance(value, list | tuple):
        return kind == "list" and all(isinstance(one, str) for one in value)
    return kind in ("str", "enum") and isinstance(value, str)


def completed(variables: Mapping[str, Variable], values: Mapping[str, object], file: str) -> dict[str, Value]:
    """A checked value for every variable, defaults included. Raises ConfigError, code `bad_variable`."""
    for name in values:
        if name not in variables:
            raise ConfigError(
                f"There is no variable {name!r}.",
                code="bad_variable",
                fix=_nearest(name, tuple(variables)),
                place=file,
            )
    complete: dict[str, Value] = {}
    for name, variable in variables.items():
        if name in values:
            complete[name] = checked(variable, values[name], file)
        elif variable.default is not None:
            complete[name] = variable.default
        else:
            raise ConfigError(
                f"The variable {name} is missing.", code="bad_variable", fix=f"Give {name}, or a default.", place=file
            )
    return complete


def worded(value: Value) -> str:
    """A trusted value as it stands in a template: lists as Markdown's, booleans as JSON's."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(f"- {one}" for one in value)
    return str(value)


def from_text(variable: Variable, texts: Sequence[str]) -> Any:
    """What a command line said of a variable, once or, for a list, more often, as a value that is yet to be checked."""
    if variable.type == "list":
        return list(texts)
    text = texts[-1]
    if variable.type in ("int", "float", "bool"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names) or 'none'}."


def _fault(message: str, fix: str, place: str) -> ConfigError:
    return ConfigError(message, code="bad_prompt", fix=fix, place=place)
