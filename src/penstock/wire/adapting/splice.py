"""Edits of JSON that leave the bytes around them alone: blanks, escapes, spelling of numbers, order of names."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_BLANK = re.compile(rb"[ \t\r\n]*")
_NAMED = re.compile(rb'[ \t\r\n]*"(?:[^"\\]|\\.)*+"[ \t\r\n]*+:[ \t\r\n]*', re.DOTALL)


class Spliced:
    """One level of a JSON text: the values of an object by name, or those of an array by number, as they came.

    `put` and `drop` change single values; `text` is the whole with all else byte for byte.
    """

    __slots__ = ("_foot", "_head", "_parts", "is_object")

    def __init__(self, text: bytes) -> None:
        """Raises ValueError or msgspec.DecodeError where the text is no JSON, or an object names a value twice."""
        start = len(_blank(text, 0)) + 1
        self.is_object = text[start - 1 : start] == b"{"
        values: dict[str | int, msgspec.Raw] = {}
        values.update(_OBJECT.decode(text) if self.is_object else enumerate(_ARRAY.decode(text)))
        self._head = text[:start]
        #: What stands before each value (its name, blanks), the value, and the blanks behind it.
        self._parts: dict[str | int, tuple[bytes, bytes, bytes]] = {}
        at, end = start, start
        for name, raw in values.items():
            value = bytes(raw)
            lead = (_NAMED if self.is_object else _BLANK).match(text, at)
            # Where a name is given twice only its last value is known, and the text goes on where it should end.
            if lead is None or not text.startswith(value, lead.end()):
                raise ValueError("a name is given twice")
            behind = _blank(text, lead.end() + len(value))
            self._parts[name] = (lead[0], value, behind)
            end = lead.end() + len(value) + len(behind)
            at = end + 1
        if values and text[end : end + 1] not in (b"}", b"]"):
            raise ValueError("a name is given twice")
        self._foot = text[end:]

    def __contains__(self, name: str | int) -> bool:
        return name in self._parts

    def __getitem__(self, name: str | int) -> bytes:
        return self._parts[name][1]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def put(self, name: str | int, value: bytes) -> None:
        """Replace a value where it stands; a new one comes last."""
        named = msgspec.json.encode(name) + b":" if self.is_object else b""
        lead, _, behind = self._parts.get(name) or (named, b"", b"")
        self._parts[name] = (lead, value, behind)

    def drop(self, name: str | int) -> None:
        del self._parts[name]

    @property
    def text(self) -> bytes:
        return self._head + b",".join(b"".join(part) for part in self._parts.values()) + self._foot


def without(array: bytes, places: Collection[int]) -> bytes | None:
    """An array without the values at these places; None where no value is left."""
    spliced = Spliced(array)
    for place in places:
        spliced.drop(place)
    return spliced.text if spliced else None


def _blank(text: bytes, at: int) -> bytes:
    found = _BLANK.match(text, at)
    return found[0] if found is not None else b""
