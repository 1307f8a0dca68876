"""Looking through a text that comes in chunks, letting nothing through that is being looked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from .finding import CONTEXT, Finder, Span


class Matcher:
    """Hands on a text with what is found replaced, however it was cut into chunks.

    `feed` gives back what can no longer become part of something found: all but the last `hold_back` characters.
    `end` gives back the rest. Together that is what the whole text would have become at once. Memory is `hold_back`
    and one chunk; time is by the length of the text, plus `hold_back` for each chunk.
    """

    __slots__ = ("_at", "_finder", "_replaced", "_run", "_text", "found", "hold_back")

    def __init__(self, finder: Finder, replaced: Callable[[Span], str]) -> None:
        self._finder, self._replaced = finder, replaced
        self.hold_back = finder.reach
        #: How often each kind was found so far.
        self.found: Counter[str] = Counter()
        self._text, self._at = "", 0
        self._run: re.Pattern[str] | None = None

    def feed(self, chunk: str) -> str:
        """The next characters that may go on."""
        self._text += chunk
        return self._advanced(len(self._text) - self.hold_back)

    def end(self) -> str:
        """What is left, now that nothing follows."""
        return self._advanced(len(self._text) + 1)

    def _advanced(self, sure: int) -> str:
        """Everything that is decided: whether something begins at a place before `sure` depends on no more text."""
        text, at, out = self._text, self._at, []
        if self._run is not None:
            rest = self._run.match(text, at)
            at = rest.end() if rest is not None else at
            if at < len(text):
                self._run = None
        if self._run is None and at < sure:
            for span in self._finder.spans(text, at):
                if span.start >= sure:
                    break
                out += [text[at : span.start], self._replaced(span)]
                self.found[span.kind] += 1
                at = span.end
                if span.run is not None and at == len(text):
                    self._run = span.run
            sure = min(max(at, sure), len(text))
            out.append(text[at:sure])
            at = sure
        kept = max(0, at - CONTEXT)
        self._text, self._at = text[kept:], at - kept
        return "".join(out)
