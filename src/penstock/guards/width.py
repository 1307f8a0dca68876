"""How many characters an expression of RE2 can match at most, read off the expression itself.

RE2 does not tell. It has taken the expression already, so that what is read here is well-formed.
"""

from __future__ import annotations

import re

#: Of expressions that repeat something without a bound.
ENDLESS = 1 << 30

_COUNTED = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP = re.compile(r"\?(?:P?<\w+>|[a-zA-Z-]*(?P<end>[:)]))")
#: What stands for one character, or for a place between two: `\b`, `\A`, `\pL`, `\x{10FFFF}`, `\177`.
_ESCAPED = re.compile(r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[^}]*\}|..)|[0-7]{1,3}|.)", re.DOTALL)
_PLACES = frozenset({"\\A", "\\z", "\\b", "\\B"})


def width(pattern: str) -> int:
    """The most characters of a match; `ENDLESS` where there is no most."""
    return min(_Reader(pattern).alternatives(), ENDLESS)


class _Reader:
    """Reads an expression once, from left to right."""

    def __init__(self, pattern: str) -> None:
        self._pattern, self._at = pattern, 0

    def alternatives(self) -> int:
        """The widest of what stands between `|`, up to a closing bracket or the end."""
        widest, wide = 0, 0
        while self._at < len(self._pattern) and self._pattern[self._at] != ")":
            if self._pattern[self._at] == "|":
                self._at += 1
                widest, wide = max(widest, wide), 0
            else:
                wide += self._repeated(self._one())
        return max(widest, wide)

    def _one(self) -> int:
        """The width of the next thing that a repetition would be about."""
        pattern, at = self._pattern, self._at
        char = pattern[at]
        self._at += 1
        if char == "(":
            return self._group()
        if char == "[":
            self._pass_class()
            return 1
        if char in "^$":
            return 0
        if char != "\\":
            return 1
        if pattern.startswith("Q", at + 1):
            end = pattern.find("\\E", at + 2)
            end = len(pattern) if end < 0 else end
            self._at = end + 2
            return end - at - 2
        escaped = _ESCAPED.match(pattern, at)
        assert escaped is not None, "RE2 takes no expression that ends in a backslash"
        self._at = escaped.end()
        return 0 if escaped[0] in _PLACES else 1

    def _group(self) -> int:
        head = _GROUP.match(self._pattern, self._at)
        if head is not None:
            self._at = head.end()
            if head["end"] == ")":  # flags alone
                return 0
        inner = self.alternatives()
        self._at += 1
        return inner

    def _pass_class(self) -> None:
        """Go behind a class of characters: `[^]a-z[:digit:]\\]]`."""
        pattern = self._pattern
        at = self._at + pattern.startswith("^", self._at)
        at += pattern.startswith("]", at)  # the first one is a character
        while pattern[at] != "]":
            if pattern.startswith("[:", at) and (end := pattern.find(":]", at)) > 0:
                at = end + 2
            elif pattern[at] == "\\":
                escaped = _ESCAPED.match(pattern, at)
                at = escaped.end() if escaped is not None else at + 1
            else:
                at += 1
        self._at = at + 1

    def _repeated(self, wide: int) -> int:
        """The width of a thing with the repetitions that follow it."""
        while self._at < len(self._pattern):
            char, counted = self._pattern[self._at], _COUNTED.match(self._pattern, self._at)
            if counted is not None:
                self._at = counted.end()
                most = counted[1] if counted[2] is None else counted[3]
                wide = wide * int(most) if most else _endless(wide)
            elif char in "*+":
                self._at += 1
                wide = _endless(wide)
            elif char == "?":  # of what is repeated, that it is to be lazy
                self._at += 1
            else:
                break
        return min(wide, ENDLESS)


def _endless(wide: int) -> int:
    return ENDLESS if wide else 0
