"""The shape of a text is what a plain reading of it finds."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from penstock.wire.shapes import Shape, shape_of

TEXTS = st.text(alphabet='abeHTth  \t\r\n.,;"1290é好я😀', max_size=200)


def read_plainly(text: str) -> Shape:
    words, gaps = re.findall("[A-Za-z]+", text), re.findall("[ \t\r]{2,}", text)
    foreign = [one for one in text if not one.isascii()]
    return Shape(
        letters=sum(map(len, words)),
        words=len(words),
        late=sum(max(0, len(word) - 5) for word in words),
        capitals=len(re.findall("[A-Z]", text)),
        th=text.count("th"),
        digits=len(re.findall("[0-9]", text)),
        marks=sum(one.isascii() and not one.isalnum() and not one.isspace() for one in text),
        newlines=text.count("\n"),
        gaps=len(gaps),
        beyond=sum(max(0, len(gap) - 4) for gap in gaps),
        foreign=len(foreign),
        foreign_bytes=len("".join(foreign).encode()),
    )


@given(TEXTS)
def test_a_shape_is_what_a_plain_reading_finds(text: str) -> None:
    assert shape_of(text.encode()) == read_plainly(text)


def test_a_long_text_is_the_sum_of_its_pieces() -> None:
    text = "These are words, 12 of them, and\n    a gap; naïve. " * 4_000
    long, plain = shape_of(text.encode()), read_plainly(text)
    pieces = len(text.encode()) // (1 << 16)
    assert long.letters == plain.letters
    assert long.foreign_bytes == plain.foreign_bytes
    assert 0 <= long.words - plain.words <= pieces
    assert 0 <= plain.late - long.late <= 5 * pieces
