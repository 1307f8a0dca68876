"""A value that must not be seen."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """A credential. Prints, formats and logs as `sk-ant-…abcd`; only `reveal()` gives the value.

    It cannot be pickled, copied into JSON or compared by content, so that no dump, traceback or cache
    key holds it by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return masked(self._value)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(masked(self._value), spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def masked(value: str) -> str:
    """A credential as it may be shown: its kind and its last four characters."""
    if len(value) < 16:
        return "…"
    kind = value[:7] if value.startswith("sk-ant-") else value[:3] if value.startswith("pk_") else ""
    return f"{kind}…{value[-4:]}"
