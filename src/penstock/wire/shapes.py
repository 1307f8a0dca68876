"""What a text is made of, as far as a tokenizer minds: words, digits, marks, blanks, and what is not ASCII."""

from __future__ import annotations

import string
from functools import cache
from typing import NamedTuple

_LETTERS = string.ascii_letters.encode()
_CAPITALS = string.ascii_uppercase.encode()
_DIGITS = string.digits.encode()
_BLANKS = b" \t\r"
_KINDS = bytes(
    ord("3" if code in _CAPITALS else "1" if code in _LETTERS else "2" if code in _BLANKS else "0")
    for code in range(256)
)
_NO_MARKS = _BLANKS + b"\n" + _DIGITS
_ASCII = bytes(range(128))
_CONTINUED = _ASCII + bytes(range(0x80, 0xC0))
#: Longer texts are looked at in pieces, which stay in the cache of the processor.
_PIECE = 1 << 16


class Shape(NamedTuple):
    """Counts of one text in UTF-8.

    `letters` are those of ASCII, `words` their runs, `late` the letters of a word after its fifth, `capitals` those in
    upper case; `th` counts these two letters, which one English word in seven has, one name in code in thirty, and few
    words of other languages; `marks` is ASCII that is no letter, digit, blank or newline; `gaps` are runs of two or
    more blanks, `beyond` their blanks after the fourth; `foreign` are characters that are not ASCII, `foreign_bytes`
    their bytes.
    """

    letters: int = 0
    words: int = 0
    late: int = 0
    capitals: int = 0
    th: int = 0
    digits: int = 0
    marks: int = 0
    newlines: int = 0
    gaps: int = 0
    beyond: int = 0
    foreign: int = 0
    foreign_bytes: int = 0


_EMPTY = Shape()


def shape_of(text: bytes) -> Shape:
    """The shape of a text. A word or a gap that lies across two pieces of a long one counts in both."""
    if len(text) <= _PIECE:
        return _shape_of(text) if text else _EMPTY
    pieces = [_shape_of(text[at : at + _PIECE]) for at in range(0, len(text), _PIECE)]
    return Shape(*map(sum, zip(*pieces, strict=True)))


def _shape_of(text: bytes) -> Shape:
    # Two bits a byte make an integer in which all runs are found by a few shifts: fifty times as fast as looking at
    # bytes, five times as fast as a regular expression. The lower bit says letter, the upper one blank, both capital.
    kinds, ones = int(text.translate(_KINDS), 4), _lower_bits(len(text).bit_length())
    letters, upper = kinds & ones, kinds >> 1 & ones
    two = letters & letters >> 2
    gaps = beyond = foreign = foreign_bytes = 0
    if b"  " in text or b"\t" in text or b"\r" in text:
        blanks = upper & ~letters
        two_blanks = blanks & blanks >> 2
        gaps = (two_blanks ^ (two_blanks & two_blanks >> 2)).bit_count()
        beyond = (two_blanks & two_blanks >> 4 & blanks >> 8).bit_count()
    rest = text.translate(None, _LETTERS)
    marks = rest.translate(None, _NO_MARKS)
    if not marks.isascii():
        foreign_bytes = len(marks.translate(None, _ASCII))
        foreign = len(marks.translate(None, _CONTINUED))
    return Shape(
        len(text) - len(rest),
        (letters ^ two).bit_count(),
        (two & two >> 4 & two >> 8).bit_count(),
        (letters & upper).bit_count(),
        text.count(b"th"),
        len(rest) - len(rest.translate(None, _DIGITS)),
        len(marks) - foreign_bytes,
        rest.count(b"\n"),
        gaps,
        beyond,
        foreign,
        foreign_bytes,
    )


@cache
def _lower_bits(bits: int) -> int:
    """The lower bit of each pair, for texts whose length has so many bits."""
    return int(b"1" * (1 << bits), 4)
