"""Checks of JSON values that fault in the API's words, made from the notation of `shapes.toml`.

A check raises `Wrong`; whoever holds the value adds the step that led to it, so that a good body pays for no paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .betas import Betas

Check = Callable[[Any, Betas], None]

EXTRA = "Extra inputs are not permitted"
REQUIRED = "Field required"
UNSHAPED = "Input does not match the expected shape."


class Wrong(Exception):
    """What is wrong with a value. `steps` lead to it, the last first; a text is a field or tag, a number a place."""

    def __init__(self, message: str, *steps: str | int) -> None:
        super().__init__(message)
        self.message = message
        self.steps: list[str | int] = list(steps)

    def __str__(self) -> str:
        return f"{'.'.join(str(step) for step in reversed(self.steps))}: {self.message}"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an object. `betas` are the header values that open it; empty for one that is open to all."""

    check: Check
    is_required: bool = False
    betas: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """What a tag or a text stands for, and the betas that open it."""

    check: Check
    betas: Sequence[str] = ()


def anything(value: Any, betas: Betas) -> None:
    """Any value will do."""


def text(value: Any, betas: Betas) -> None:
    if type(value) is not str:
        raise Wrong("Input should be a valid string")


def whole(value: Any, betas: Betas) -> None:
    if type(value) is not int:
        raise Wrong("Input should be a valid integer")


def number(value: Any, betas: Betas) -> None:
    if type(value) is not int and type(value) is not float:
        raise Wrong("Input should be a valid number")


def flag(value: Any, betas: Betas) -> None:
    if type(value) is not bool:
        raise Wrong("Input should be a valid boolean")


def table(value: Any, betas: Betas) -> None:
    if type(value) is not dict:
        raise Wrong("Input should be a valid dictionary")


def bounded(kind: str, low: int | None, high: int | None, pattern: str | None) -> Check:
    """A number within bounds, or a text of a length and form."""
    plain = {"text": text, "whole": whole, "number": number}[kind]
    form = re.compile(pattern) if pattern else None

    def check(value: Any, betas: Betas) -> None:
        plain(value, betas)
        if kind == "text":
            if high is not None and len(value) > high:
                raise Wrong(f"String should have at most {high} characters")
            if form is not None and not form.fullmatch(value):
                raise Wrong(f"String should match pattern '{pattern}'")
        elif low is not None and value < low:
            raise Wrong(f"Input should be greater than or equal to {low}")
        elif high is not None and value > high:
            raise Wrong(f"Input should be less than or equal to {high}")

    return check


def nullable(inner: Check) -> Check:
    def check(value: Any, betas: Betas) -> None:
        if value is not None:
            inner(value, betas)

    return check


def one_of(texts: Mapping[str, Sequence[str]]) -> Check:
    """One of these texts, each with the betas that open it. An unknown beta may bring further ones."""

    def check(value: Any, betas: Betas) -> None:
        if type(value) is str:
            known = texts.get(value)
            if (known is None and betas.is_open) or (known is not None and (not known or betas.has(*known))):
                return
        shown = [f"'{one}'" for one, needed in texts.items() if not needed or betas.has(*needed)]
        raise Wrong(f"Input should be {' or '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))}")

    return check


def list_of(inner: Check) -> Check:
    def check(value: Any, betas: Betas) -> None:
        if type(value) is not list:
            raise Wrong("Input should be a valid list")
        for at, item in enumerate(value):
            try:
                inner(item, betas)
            except Wrong as wrong:
                wrong.steps.append(at)
                raise

    return check


def table_of(inner: Check) -> Check:
    def check(value: Any, betas: Betas) -> None:
        table(value, betas)
        for name, item in value.items():
            try:
                inner(item, betas)
            except Wrong as wrong:
                wrong.steps.append(name)
                raise

    return check


def record(fields: Mapping[str, Field], *, has_tag: bool = False, is_closed: bool = True) -> Check:
    """An object of these fields; `has_tag`: its `type` was looked at before."""
    ignored = {"type"} if has_tag else set()

    def check(value: Any, betas: Betas) -> None:
        if type(value) is not dict:
            raise Wrong(UNSHAPED)
        name = ""
        try:
            for name, field in fields.items():
                if name in value:
                    if not field.betas or betas.has(*field.betas):
                        field.check(value[name], betas)
                elif field.is_required:
                    raise Wrong(REQUIRED)
            for name in value if is_closed else ():
                known = fields.get(name)
                if known is None and name not in ignored and not betas.is_open:
                    raise Wrong(EXTRA)
                if known is not None and known.betas and not betas.has(*known.betas):
                    raise Wrong(EXTRA)
        except Wrong as wrong:
            wrong.steps.append(name)
            raise

    return check


def tagged(variants: Mapping[str, Variant], usual: str | None = None) -> Check:
    """A union told apart by `type`; without one it is the `usual` tag. An unknown beta may bring further tags."""

    def check(value: Any, betas: Betas) -> None:
        if type(value) is not dict:
            raise Wrong(UNSHAPED)
        tag = value.get("type", usual)
        if tag is None:
            if usual is None:
                raise Wrong(REQUIRED if "type" not in value else "Input should be a valid string", "type")
            tag = usual
        variant = variants.get(tag) if type(tag) is str else None
        if variant is None:
            if betas.is_open and type(tag) is str:
                return
            raise Wrong(_unexpected(tag, variants, betas))
        if variant.betas and not betas.has(*variant.betas):
            raise Wrong(_unexpected(tag, variants, betas))
        try:
            variant.check(value, betas)
        except Wrong as wrong:
            wrong.steps.append(tag)
            raise

    return check


def _unexpected(tag: object, variants: Mapping[str, Variant], betas: Betas) -> str:
    shown = sorted(one for one, variant in variants.items() if not variant.betas or betas.has(*variant.betas))
    expected = ", ".join(f"'{one}'" for one in shown)
    return f"Input tag '{tag}' found using 'type' does not match any of the expected tags: {expected}"


def either(plain: Check, of_list: Check | None, of_table: Check | None) -> Check:
    """What a value may be by its JSON type. What is neither is faulted for being no list, where one may be."""

    def check(value: Any, betas: Betas) -> None:
        if type(value) is dict and of_table is not None:
            return of_table(value, betas)
        if of_list is None or type(value) is str:
            return plain(value, betas)
        if type(value) is list:
            return of_list(value, betas)
        try:
            return plain(value, betas)
        except Wrong:
            return of_list(value, betas)

    return check
