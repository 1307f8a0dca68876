"""What a feature wants looked for in its input, and what is to become of a call in which it is."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ..config.guards import InputConfig
from . import injection
from .credentials import credentials
from .finding import Detector, Finder, Span
from .parts import USER, Part, Path
from .patterns import Patterns
from .personal import Colons, Emails, Lettered, Numbers


def personal(kinds: tuple[str, ...]) -> Finder:
    """A finder of personal data and credentials of these kinds: email phone iban card ip national_id secret."""
    detectors: list[Detector] = [*credentials()] if "secret" in kinds else []
    if "email" in kinds:
        detectors.append(Emails())
    if {"iban", "national_id"} & set(kinds):
        detectors.append(Lettered(kinds))
    if {"ip", "national_id", "card", "phone"} & set(kinds):
        detectors.append(Numbers(kinds))
    if "ip" in kinds:
        detectors.append(Colons())
    return Finder(detectors)


@dataclass(slots=True)
class Looked:
    """What a look at one call's input found.

    `characters` is how many all the texts have; `longest`, the most that one user turn has as text of its own. `signs`,
    `personal` and `denied` are how often what was found: values are not kept. `edits` is what to scrub, by place.
    """

    characters: int = 0
    longest: int = 0
    signs: Counter[str] = field(default_factory=Counter)
    personal: Counter[str] = field(default_factory=Counter)
    denied: int = 0
    edits: dict[Path, list[Span]] = field(default_factory=dict)


class Screen:
    """The guards of one feature's input, made once. Raises ImportError or ValueError where patterns cannot be used."""

    def __init__(self, config: InputConfig) -> None:
        self.config = config
        self._personal = personal(config.pii_kinds) if config.pii != "off" else None
        self._denied = Patterns(config.deny) if config.deny else None
        self._allowed = Patterns(config.allow) if config.allow else None
        self.guards = tuple(
            name
            for name, is_on in (
                ("length", bool(config.characters_max)),
                ("injection", config.injection != "off"),
                ("pii", config.pii != "off"),
                ("deny", bool(config.deny)),
            )
            if is_on
        )

    def look(self, parts: list[Part]) -> Looked:
        """Look through the texts of one call. Time is by their length, whatever they hold."""
        looked = Looked()
        lengths: Counter[str | int] = Counter()
        for part in parts:
            looked.characters += len(part.text)
            if part.source == USER:
                lengths[part.path[0]] += len(part.text)
            if self.config.injection != "off" and part.source in self.config.untrusted:
                found = injection.signs(part.text, is_users=part.source == USER, is_allowed=self._is_allowed)
                looked.signs.update(name for name, _ in found)
            if not part.is_fixed:
                self._look_for_matches(part, looked)
        looked.longest = max(lengths.values(), default=0)
        return looked

    def _look_for_matches(self, part: Part, looked: Looked) -> None:
        text = part.text
        if self._personal is not None:
            spans = [one for one in self._personal.spans(text) if not self._is_allowed(text[one.start : one.end])]
            looked.personal.update(span.kind for span in spans)
            if spans:
                looked.edits[part.path] = spans
        if self._denied is not None:
            looked.denied += sum(not self._is_allowed(words) for words in self._denied.all(text))

    def _is_allowed(self, words: str) -> bool:
        return self._allowed is not None and self._allowed.is_whole(words)
