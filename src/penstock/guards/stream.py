"""Looking through a text that comes in chunks, letting nothing through that is being looked for."""

from __future__ import annotations

import re
from collections.abc import Callable

from .finding import CONTEXT, Finder, Span

#: What stands for something found, given with its words as far as they have come; None where it may go on as it is.
Judge = Callable[[Span, str], str | None]


class Matcher:
    """Hands on a text with what is found replaced, however it was cut into chunks.

    `feed` gives back what can no longer become part of something found: all but `held` characters, which are never more
    than the finder's reach. `end` gives back the rest. Together that is what the whole text would have become at once.
    Memory is the reach and one chunk; time is by the length of the text, plus the reach for each chunk.
    """

    __slots__ = ("_at", "_finder", "_is_run_kept", "_judge", "_run", "_text")

    def __init__(self, finder: Finder, judge: Judge) -> None:
        self._finder, self._judge = finder, judge
        self._text, self._at = "", 0
        #: What goes on belonging to the last thing found, and whether that was let go on as it is.
        self._run: re.Pattern[str] | None = None
        self._is_run_kept = False

    @property
    def held(self) -> int:
        """How many characters are held back."""
        return len(self._text) - self._at

    def feed(self, chunk: str) -> str:
        """The next characters that may go on."""
        self._text += chunk
        at = max(self._at, len(self._text) - self._finder.reach)
        return self._advanced(self._finder.open_from(self._text, at))

    def end(self) -> str:
        """What is left, now that nothing follows."""
        return self._advanced(len(self._text) + 1)

    def _advanced(self, sure: int) -> str:
        """Everything that is decided: whether something begins at a place before `sure` depends on no more text."""
        text, at, out = self._text, self._at, []
        if self._run is not None:
            rest = self._run.match(text, at)
            end = rest.end() if rest is not None else at
            if self._is_run_kept:
                out.append(text[at:end])
            at = end
            if at < len(text):
                self._run = None
        if self._run is None and at < sure:
            for span in self._finder.spans(text, at):
                if span.start >= sure:
                    break
                words = text[span.start : span.end]
                instead = self._judge(span, words)
                out += [text[at : span.start], words if instead is None else instead]
                at = span.end
                if span.run is not None and at == len(text):
                    self._run, self._is_run_kept = span.run, instead is None
            sure = min(max(at, sure), len(text))
            out.append(text[at:sure])
            at = sure
        kept = max(0, at - CONTEXT)
        self._text, self._at = text[kept:], at - kept
        return "".join(out)
