"""Looking through a text from left to right with several detectors at once."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

#: What looks through longer texts does so in pieces of so many characters, between which others may have a turn.
PIECE = 8192
#: How many characters before a place a detector may look at, to see that nothing longer begins there.
CONTEXT = 2


class Span(NamedTuple):
    """Something found: characters `start` to `end` of a text. `run` matches what belongs to it for as long as it goes
    on, such as the rest of a token; `end` lies behind what is there of that."""

    kind: str
    start: int
    end: int
    run: re.Pattern[str] | None = None


class Detector(Protocol):
    """Finds things of some kinds.

    Whether something begins at a place depends on `CONTEXT` characters before it and `reach` from it on, on nothing
    else: that is what lets a stream be looked through in pieces.
    """

    @property
    def reach(self) -> int: ...

    def search(self, text: str, at: int) -> Span | None:
        """The first thing that begins at `at` or later."""
        ...

    def open_from(self, text: str, at: int) -> int:
        """The first place from `at` on of which more text may decide whether something begins there.

        The end of the text where there is none; `at` is no more than `reach` before that.
        """
        ...


class Finder:
    """Several detectors as one. Of two that find something at the same place, the earlier one has it."""

    __slots__ = ("_detectors", "reach")

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self._detectors = tuple(detectors)
        #: The most characters from a place on that decide whether something begins there.
        self.reach = max((detector.reach for detector in detectors), default=0)

    def spans(self, text: str, at: int = 0) -> Iterator[Span]:
        """What is found from `at` on, from left to right, without overlaps."""
        waiting: list[tuple[int, int, Span]] = []
        for order, detector in enumerate(self._detectors):
            span = detector.search(text, at)
            if span is not None:
                waiting.append((span.start, order, span))
        while waiting:
            _, _, first = min(waiting)
            yield first
            at = max(first.end, first.start + 1)
            left = []
            for start, order, span in waiting:
                later = span if start >= at else self._detectors[order].search(text, at)
                if later is not None:
                    left.append((later.start, order, later))
            waiting = left

    def pieces(self, text: str) -> Iterator[list[Span]]:
        """What is found in the text, for one piece of it after the other."""
        at, size = 0, max(PIECE, self.reach)
        for sure in range(size, len(text) + size, size):
            before, found = max(0, at - CONTEXT), []
            piece = text[before : sure + self.reach]
            for span in self.spans(piece, at - before):
                if before + span.start >= sure:
                    break
                at = before + span.end
                if span.run is not None and at == before + len(piece):
                    rest = span.run.match(text, at)
                    at = rest.end() if rest is not None else at
                found.append(span._replace(start=before + span.start, end=at))
            at = max(at, sure)
            yield found

    def open_from(self, text: str, at: int) -> int:
        """The first place from `at` on of which more text may decide whether something begins there, and what."""
        end = len(text)
        return min([one.open_from(text, max(at, end - one.reach)) for one in self._detectors], default=end)


def run_from(text: str, at: int, characters: str) -> int:
    """Where the characters of one set begin that the text ends in, `at` at the earliest."""
    return at + len(text[at:].rstrip(characters))
