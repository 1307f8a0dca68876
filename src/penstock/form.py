"""The form an answer is wanted in, and where an answer is not of it.

Features have theirs from the config. A program under the SDK says one around a call, in a context variable like its
tags: `wanting(...)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import msgspec


class Flaw(msgspec.Struct, frozen=True):
    """Where an answer is not of its form: a path such as `$.items[0].age`, the rule that is broken, and how."""

    place: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Form(Protocol):
    """What the text of an answer is to be: one JSON value, and which.

    `schema` is its JSON Schema as JSON; `format` the API's `output_config.format` for it as JSON, None where the API
    cannot be asked for it, or is not to be.
    """

    @property
    def schema(self) -> bytes: ...

    @property
    def format(self) -> bytes | None: ...

    def flaws(self, text: str) -> tuple[Flaw, ...]:
        """What is wrong with a text; nothing where it is of the form."""
        ...


class Wanted(msgspec.Struct, frozen=True):
    """A form, and what is done for it: as `[features.NAME.form]` has it."""

    form: Form
    repairs: int = 1
    invalid: str = "return"
    holds: bool = True


_wanted: ContextVar[Wanted | None] = ContextVar("penstock_form", default=None)


@contextmanager
def wanting(wanted: Wanted) -> Iterator[None]:
    """Want this of every answer to calls made inside the block, in place of what their features want."""
    token = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(token)


def asked_form() -> Wanted | None:
    """What the block around this line wants; None outside of any."""
    return _wanted.get()
