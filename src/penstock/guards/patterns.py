"""Expressions of the operator's own, by RE2: whatever is written in them, they take time by the length of the text."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from typing import Any

from .finding import Span
from .width import width


class Patterns:
    """Several expressions as one. Raises ImportError without RE2, ValueError for what is none of its expressions.

    `widths` are the most characters a match of each can have, in their order (see `width`).
    """

    __slots__ = ("_kind", "_pattern", "reach", "widths")

    def __init__(self, patterns: Sequence[str], kind: str = "denied") -> None:
        engine: Any = importlib.import_module("re2")
        options = engine.Options()
        options.log_errors = False
        self._kind = kind
        for pattern in patterns:
            try:
                alone = engine.compile(pattern, options)
            except engine.error:
                raise ValueError(pattern) from None
            if alone.search("") is not None:
                raise ValueError(pattern)
        self._pattern = engine.compile("|".join(f"(?:{pattern})" for pattern in patterns), options)
        self.widths = tuple(map(width, patterns))
        self.reach = max(self.widths) + 1  # for the end of a word, or of the text, one character is looked at

    def search(self, text: str, at: int) -> Span | None:
        match = self._pattern.search(text, at)
        return None if match is None else Span(self._kind, match.start(), match.end())

    def open_from(self, text: str, at: int) -> int:
        return at

    def all(self, text: str) -> Iterator[str]:
        """What matches in a whole text, from left to right."""
        return (match[0] for match in self._pattern.finditer(text))

    def is_whole(self, text: str) -> bool:
        """Whether one of them is about all of this text."""
        return self._pattern.fullmatch(text) is not None
