"""What one key of the config may hold: its default, its meaning, its limits, and the words for what breaks them."""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ConfigError

#: What is wrong with a value, as the end of a sentence that begins with the key; and how to put it right.
Fault = tuple[str, str]

_RULE = "rule"
_SECRET = re.compile(
    r"sk-ant-|\b(?:pk|sk|gh[pos]|xox[abp])[_-]|AKIA[0-9A-Z]{12}|-----BEGIN|eyJ[A-Za-z0-9_-]{8}"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)
_SHOWABLE = re.compile(r"[A-Za-z0-9 _.,:/@%+*-]{0,60}")


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """What is said of a key beside its type. `fault` judges what limits and choices cannot."""

    meaning: str
    least: float | None = None
    most: float | None = None
    one_of: tuple[str, ...] = ()
    fault: Callable[[Any], Fault | None] | None = None


class BadValue(ConfigError):
    """A value that a key may not hold. `key` is the key within its section; `problem` ends a sentence begun with it."""

    def __init__(self, section: str, key: str, problem: str, fix: str) -> None:
        super().__init__(f"`{section}.{key}` {problem}.", fix=fix)
        self.key, self.problem = key, problem


def key(
    default: Any = dataclasses.MISSING,
    meaning: str = "",
    *,
    least: float | None = None,
    most: float | None = None,
    one_of: tuple[str, ...] = (),
    fault: Callable[[Any], Fault | None] | None = None,
) -> Any:
    """A field of a section. Without a default the key must be given."""
    return dataclasses.field(default=default, metadata={_RULE: Rule(meaning, least, most, one_of, fault)})


def table(make: Callable[[], Any], meaning: str) -> Any:
    """A field that holds a section, or sections by name. Left out of hashes, as mappings have none."""
    return dataclasses.field(default_factory=make, hash=make is not dict, metadata={_RULE: Rule(meaning)})


def rule(field: dataclasses.Field[Any]) -> Rule:
    found: Rule = field.metadata[_RULE]
    return found


S = TypeVar("S", bound="Section")


class Section:
    """A section of the config. Checks itself when made, whether from a file or in a program."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check(self)


def hints(kind: type) -> Mapping[str, Any]:
    """The types of a section's keys."""
    return typing.get_type_hints(kind)


def check(section: Any) -> None:
    """Judge every key of a section by type and rule. Raises BadValue."""
    kind = type(section)
    types_of = hints(kind)
    for field in dataclasses.fields(section):
        fault = fault_of(getattr(section, field.name), types_of[field.name], rule(field))
        if fault is not None:
            raise BadValue(kind.__name__, field.name, *fault)


def fault_of(value: Any, hint: Any, rule: Rule) -> Fault | None:
    """What is wrong with a value for a key of this type and rule, if anything."""
    if not _is_of(value, hint):
        return f"is {shown(value)}", f"Give {wanted(hint, rule)}."
    if value is None:
        return None
    if rule.one_of and value not in rule.one_of:
        return f"is {shown(value)}", f"Give {wanted(hint, rule)}."
    if isinstance(value, int | float) and not isinstance(value, bool):
        is_low = rule.least is not None and not value >= rule.least
        is_high = rule.most is not None and not value <= rule.most
        if is_low or is_high:
            return f"is {shown(value)}", f"Give {wanted(hint, rule)}."
    return rule.fault(value) if rule.fault is not None else None


def wanted(hint: Any, rule: Rule) -> str:
    """What a key takes, in words: `a whole number from 0 to 65535`."""
    if rule.one_of:
        return " or ".join(f'"{choice}"' for choice in rule.one_of)
    said = _KINDS.get(_without_none(hint), "a table")
    if rule.least is not None and rule.most is not None:
        return f"{said} from {rule.least:,.10g} to {rule.most:,.10g}"
    if rule.least is not None:
        return f"{said} of at least {rule.least:,.10g}"
    return said


def shown(value: object) -> str:
    """A value as an error may show it: what could be a credential is only described."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return "a very long number" if isinstance(value, int) and abs(value) > 10**30 else f"{value}"
    if isinstance(value, str):
        may_show = _SHOWABLE.fullmatch(value) and not is_secret_like(value)
        return f'the string "{value}"' if may_show else f"a string of {len(value)} characters"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return "a table" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def is_secret_like(text: str) -> bool:
    """Whether a text could be a credential: a known prefix, or a long run of mixed letters and digits."""
    if _SECRET.search(text):
        return True
    return any(len(run) >= 16 and _is_mixed(run) for run in re.findall(r"[A-Za-z0-9+=]+", text))


def _is_mixed(run: str) -> bool:
    has_letter, has_digit = any(c.isalpha() for c in run), any(c.isdigit() for c in run)
    return has_letter and (has_digit or (run[1:] != run[1:].lower() and run != run.upper()))


_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a string",
    Path: "a path, as a string",
    tuple[str, ...]: "a list of strings",
    tuple[int, ...]: "a list of whole numbers",
    str | float: "a number, or a decimal string",
}


#: `str | None` is of one kind, `Literal["a"] | None` of the other.
_UNIONS = (types.UnionType, typing.Union)


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in _UNIONS:
        kept = [part for part in typing.get_args(hint) if part is not type(None)]
        return _without_none(kept[0]) if len(kept) == 1 else functools.reduce(operator.or_, kept)
    return str if typing.get_origin(hint) is typing.Literal else hint


def _is_of(value: object, hint: Any) -> bool:
    if typing.get_origin(hint) in _UNIONS:
        return any(_is_of(value, part) for part in typing.get_args(hint))
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return isinstance(value, str)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        return isinstance(value, tuple) and all(_is_of(part, inner) for part in value)
    if origin is not None:
        inner = typing.get_args(hint)[1]
        return isinstance(value, Mapping) and all(isinstance(part, inner) for part in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)
