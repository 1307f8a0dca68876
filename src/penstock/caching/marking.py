"""Marks put into a body, and all else left as it came."""

from __future__ import annotations

from collections.abc import Sequence

from ..wire.adapting.splice import Spliced
from .planner import Mark

_CONTROL = {"5m": b'{"type":"ephemeral"}', "1h": b'{"type":"ephemeral","ttl":"1h"}'}


def marked(body: bytes, marks: Sequence[Mark]) -> bytes:
    """The body with these marks. A text that is no list becomes a list of one block, which means the same.

    Raises ValueError where the body names a field twice, as whoever reads it may read either.
    """
    return _put(body, [(mark.place, _CONTROL[mark.life]) for mark in marks])


def _put(text: bytes, marks: Sequence[tuple[tuple[str | int, ...], bytes]]) -> bytes:
    """One level of JSON, with the marks that lie in it."""
    if text.lstrip()[:1] not in (b"{", b"["):
        return b'[{"type":"text","text":%b,"cache_control":%b}]' % (text, marks[0][1])
    level = Spliced(text)
    for name in dict.fromkeys(place[0] for place, _ in marks if place):
        inner = [(place[1:], control) for place, control in marks if place[:1] == (name,)]
        level.put(name, _put(level[name], inner))
    for place, control in marks:
        if not place:
            level.put("cache_control", control)
    return level.text


def shown(place: tuple[str | int, ...]) -> str:
    """A place in words of the API's own paths: messages.3.content.0."""
    return ".".join(map(str, place))
