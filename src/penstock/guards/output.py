"""What a feature wants looked for in its answers, and what becomes of an answer in which it is."""

from __future__ import annotations

from collections import Counter

from ..config.guards import OutputConfig
from .finding import Detector, Finder, Span
from .literals import scrubbed
from .parts import replaced
from .patterns import Patterns
from .screen import detectors
from .stream import Matcher

#: The kind of what `deny` finds; all others are kinds of personal data.
DENIED = "denied"


class Sieve:
    """The guards of one feature's answers, made once. Raises ImportError or ValueError for patterns of no use."""

    def __init__(self, config: OutputConfig) -> None:
        self.config = config
        self.denied = Patterns(config.deny, DENIED) if config.deny else None
        found: list[Detector] = [self.denied] if self.denied is not None else []
        if config.pii != "off":
            found += detectors(config.pii_kinds, config.pii_model)
        self.finder = Finder(found)
        self._allowed = Patterns(config.allow) if config.allow else None
        self.guards = tuple(
            name
            for name, is_on in (
                ("deny", bool(config.deny)),
                ("pii", config.pii != "off"),
                ("classifier", config.question is not None),
            )
            if is_on
        )

    def done(self, kind: str) -> str:
        """What becomes of an answer in which a thing of this kind was found: tag | warn | scrub | block."""
        return self.config.denied if kind == DENIED else self.config.pii

    def is_allowed(self, span: Span, words: str) -> bool:
        """Whether it counts as nothing. Of a credential that still goes on nobody can tell, so none of them does."""
        return self._allowed is not None and span.run is None and self._allowed.is_whole(words)


class Sifting:
    """One answer's way through a sieve.

    `characters` is how many were looked at, `found` how often which kind; values are not kept. `texts` are those of the
    answer, where a classifier is to read them. `is_blocked`: the caller is not to have the answer.
    """

    def __init__(self, sieve: Sieve) -> None:
        self._sieve = sieve
        self.guards_inputs = sieve.config.tool_inputs
        self._keeps_texts = sieve.config.question is not None
        self.characters = 0
        self.found: Counter[str] = Counter()
        self.texts: list[str] = []
        self.is_blocked = self.is_scrubbed = False

    @property
    def blocking(self) -> list[str]:
        """The kinds found for which the answer is blocked."""
        return [kind for kind in self.found if self._sieve.done(kind) == "block"]

    @property
    def warns(self) -> list[str]:
        """The kinds found of which the caller is to be told."""
        return [kind for kind in self.found if self._sieve.done(kind) == "warn"]

    def matcher(self) -> Matcher:
        """For one text that comes in chunks."""
        return Matcher(self._sieve.finder, self._judged)

    def noted(self, text: str) -> str:
        """Count a text, or the next chunk of one, that is going to be looked at."""
        self.characters += len(text)
        if self._keeps_texts:
            self.texts.append(text)
        return text

    def spans(self, text: str) -> list[Span]:
        """What is to be scrubbed from a whole text."""
        found = self._sieve.finder.spans(text)
        return [span for span in found if self._judged(span, text[span.start : span.end]) is not None]

    def inputs(self, json: bytes) -> bytes:
        """The input of a tool call as the caller may have it: JSON, or the beginning of it where it broke off."""
        return scrubbed(json, self._spans_counted)

    def _spans_counted(self, text: str) -> list[Span]:
        self.characters += len(text)
        return self.spans(text)

    def _judged(self, span: Span, words: str) -> str | None:
        if self._sieve.is_allowed(span, words):
            return None
        self.found[span.kind] += 1
        done = self._sieve.done(span.kind)
        if done == "block":
            self.is_blocked = True
        elif done == "scrub":
            self.is_scrubbed = True
        else:
            return None
        return replaced(span)
