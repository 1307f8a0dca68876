"""From the notation of `shapes.toml` to checks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from .betas import Betas
from .shape import (
    Check,
    Field,
    Variant,
    anything,
    bounded,
    either,
    flag,
    list_of,
    nullable,
    number,
    one_of,
    record,
    table,
    table_of,
    tagged,
    text,
    whole,
)

_PLAIN: Mapping[str, Check] = {
    "text": text, "whole": whole, "number": number, "flag": flag, "object": table, "any": anything,
}  # fmt: skip
_BOUNDED = re.compile(r"(text|whole|number)(?:>=(\d+))?(?:<=(\d+))?(?:/(.+)/)?")
_TEXT = re.compile(r"'([^']*)'(?:@(\w+))?")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    betas: dict[str, list[str]]
    unions: dict[str, str]
    choices: dict[str, str]
    shapes: dict[str, dict[str, str]]


class Shapes:
    """Reads the notation; a name is made into a check once, when it is first met."""

    def __init__(self, source: str) -> None:
        self.file = msgspec.toml.decode(source, type=_File)
        self._made: dict[tuple[str, bool], Check] = {}

    def check(self, name: str, *, has_tag: bool = False) -> Check:
        """The check of a shape, union or choice."""
        key = (name, has_tag)
        if key not in self._made:
            self._made[key] = self._later(key)  # a shape may hold itself
            self._made[key] = self._read(name, has_tag=has_tag)
        return self._made[key]

    def _later(self, key: tuple[str, bool]) -> Check:
        def check(value: Any, betas: Betas) -> None:
            self._made[key](value, betas)

        return check

    def _read(self, name: str, *, has_tag: bool) -> Check:
        if name in self.file.choices:
            return self._choice(self.file.choices[name])
        if name in self.file.unions:
            return tagged(
                dict(map(self._variant, self.file.unions[name].split())), "custom" if name == "tool" else None
            )
        fields = self.file.shapes[name]
        made = {field: self._field(written) for field, written in fields.items() if field != "*"}
        return record(made, has_tag=has_tag, is_closed="*" not in fields)

    def _variant(self, written: str) -> tuple[str, Variant]:
        named, _, beta = written.partition("@")
        tag, _, shape = named.partition("=")
        return tag, Variant(self.check(shape or tag, has_tag=True), self._betas(beta))

    def _field(self, written: str) -> Field:
        expression, _, beta = written.partition(" @")
        is_required = expression.endswith("!")
        expression = expression.removesuffix("!").strip()
        is_nullable = expression.endswith("?")
        check = self._expression(expression.removesuffix("?").strip())
        return Field(nullable(check) if is_nullable else check, is_required, self._betas(beta))

    def _expression(self, written: str) -> Check:
        parts = [part.strip() for part in written.split(" | ")]
        texts = [part for part in parts if part.startswith("'")]
        others = [part for part in parts if not part.startswith("'")]
        if texts and not others:
            return self._choice(written)
        if not texts and len(others) == 1:
            return self._single(others[0])
        lists = [self._single(part) for part in others if part.startswith("[")]
        tables = [self._single(part) for part in others if self._is_table(part)]
        plain = [self._single(part) for part in others if not part.startswith("[") and not self._is_table(part)]
        first = self._choice(" | ".join(texts)) if texts else (plain or tables or lists)[0]
        return either(first, lists[0] if lists else None, tables[0] if tables else None)

    def _is_table(self, part: str) -> bool:
        return part not in _PLAIN and (part in self.file.shapes or part in self.file.unions)

    def _single(self, written: str) -> Check:
        if written.startswith("["):
            return list_of(self._expression(written[1:-1]))
        if written.startswith("{"):
            return table_of(self._expression(written[1:-1]))
        if written in _PLAIN:
            return _PLAIN[written]
        found = _BOUNDED.fullmatch(written)
        if found is not None:
            kind, low, high, pattern = found.groups()
            return bounded(kind, int(low) if low else None, int(high) if high else None, pattern)
        return self.check(written)

    def _choice(self, written: str) -> Check:
        return one_of({name: self._betas(beta) for name, beta in _TEXT.findall(written)})

    def _betas(self, name: str) -> Sequence[str]:
        return tuple(self.file.betas[name]) if name else ()


@cache
def shapes() -> Shapes:
    """The shapes this version knows."""
    return Shapes(files(__package__).joinpath("shapes.toml").read_text("utf-8"))
