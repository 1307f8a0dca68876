"""The strings in a JSON text: looked through as what they say, changed where they stand, all else byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from .finding import Span
from .parts import rewritten, written

#: A string, name or value. The last one may lack its end, where the text broke off.
_LITERAL = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
#: An escape that broke off.
_BROKEN = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?\Z")
#: Halves of characters: RE2, which reads UTF-8, knows none.
_HALF = re.compile("[\ud800-\udfff]")


def scrubbed(text: bytes, spans: Callable[[str], Sequence[Span]]) -> bytes:
    """The text with what `spans` finds in its strings replaced. Raises ValueError where it is no UTF-8."""
    out, at = [], 0
    for literal in _LITERAL.finditer(text):
        found = spans(said(literal[0]))
        if found:
            out += [text[at : literal.start()], _rewritten(literal[0], found)]
            at = literal.end()
    return b"".join([*out, text[at:]]) if out else text


def said(literal: bytes) -> str:
    """What a JSON string says, a character for each that is written. It may have broken off."""
    inner = literal[1:-1].decode() if _is_closed(literal) else _whole(literal[1:].decode("utf-8", "ignore"))
    if "\\" not in inner:
        return inner
    return _HALF.sub("\ufffd", _read(inner) or "".join(_read(piece) or "\ufffd" for piece in written(inner)))


def _rewritten(literal: bytes, spans: Sequence[Span]) -> bytes:
    if _is_closed(literal):
        return rewritten(literal, spans)
    inner = _whole(literal[1:].decode("utf-8", "ignore"))
    return rewritten(b'"' + inner.encode() + b'"', spans)[:-1]


def _is_closed(literal: bytes) -> bool:
    """A quote at the end ends a string, but where it is the only one, or a backslash before it makes it a character."""
    backslashes = len(literal) - 1 - len(literal[:-1].rstrip(b"\\"))
    return len(literal) > 1 and literal.endswith(b'"') and backslashes % 2 == 0


def _whole(inner: str) -> str:
    """Without an escape that broke off. What is left of a text that ends in backslashes is even in them."""
    broken = _BROKEN.search(inner)
    if broken is None:
        return inner
    before = inner[: broken.start()]
    is_escaped = (len(before) - len(before.rstrip("\\"))) % 2 == 1
    return inner if is_escaped else before


def _read(inner: str) -> str:
    """What is written between quotes; empty where it is no JSON. Raw line ends are taken too."""
    try:
        found: str = json.loads(f'"{inner}"', strict=False)
    except ValueError:
        return ""
    return found
