"""Edits the members of a JSON object where they stand; every byte outside the edits stays as it was."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from ..messages import Malformed

_VALUES = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SPACE = re.compile(rb"[ \t\n\r]*")


class Member(NamedTuple):
    """A member of an object: its name decoded, where it begins, where its value does, and where it ends."""

    name: str
    start: int
    value: int
    end: int


class Body:
    """A request's body. Raises messages.Malformed where it is no JSON object, or names a member twice, unequally."""

    __slots__ = ("_bytes", "_members", "_opened")

    def __init__(self, body: bytes) -> None:
        self._bytes = body
        self._opened, self._members = _members(body)

    def __contains__(self, name: str) -> bool:
        return any(member.name == name for member in self._members)

    def raw(self, name: str) -> bytes | None:
        """A member's value as it stands; None where there is none."""
        for member in self._members:
            if member.name == name:
                return self._bytes[member.value : member.end]
        return None

    def text(self, name: str) -> str | None:
        """A member's value; None where it is no text."""
        try:
            return msgspec.json.decode(self.raw(name) or b"", type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def edited(self, *, dropped: Collection[str] = (), put: Mapping[str, bytes]) -> bytes:
        """The body without `dropped`, and with the JSON values of `put`: in place of the old ones, or else in front."""
        added = [msgspec.json.encode(name) + b":" + value for name, value in put.items() if name not in self]
        left = [number for number, member in enumerate(self._members) if member.name not in dropped]
        last = left[-1] if left else -1
        body, at = self._bytes, self._opened
        parts = [body[:at], b",".join(added), b"," if added and left else b""]
        for number, member in enumerate(self._members):
            if member.name in dropped:
                parts.append(body[at : member.start])
                is_end = number + 1 == len(self._members)
                at = member.end if is_end else self._members[number + 1].start
            elif member.name in put:
                parts += (body[at : member.value], put[member.name])
                at = member.end
            if number == last:  # what follows goes, and so does the comma before it
                parts.append(body[at : member.end])
                at = self._members[-1].end
                break
        parts.append(body[at:])
        return b"".join(parts)


def _members(body: bytes) -> tuple[int, list[Member]]:
    """Where the object's content begins, and its members.

    msgspec judges the JSON and knows how long each value is; so only the names are looked at here.
    """
    try:
        values = _VALUES.decode(body)
    except RecursionError as error:
        raise Malformed("JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error) or "the body is empty") from error
    opened = at = body.index(b"{") + 1
    members: list[Member] = []
    while True:
        start = _after_space(body, at)
        if body[start : start + 1] == b"}":
            return opened, members
        key = _NAME.match(body, start)
        assert key is not None, "msgspec found an object"
        name = msgspec.json.decode(key[0], type=str)
        value = _after_space(body, _after_space(body, key.end()) + 1)
        raw = bytes(values[name])
        end = value + len(raw)
        after = _after_space(body, end)
        if not body.startswith(raw, value) or body[after : after + 1] not in (b",", b"}"):
            # Of unequal values msgspec has the last. Servers differ over which counts, so none is to be sent.
            raise Malformed("it names a field twice")
        members.append(Member(name, start, value, end))
        at = after + 1 if body[after : after + 1] == b"," else after


def _after_space(body: bytes, at: int) -> int:
    space = _SPACE.match(body, at)
    assert space is not None, "the pattern matches nothing too"
    return space.end()
