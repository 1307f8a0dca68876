"""What a feature wants looked for in its input, and what is to become of a call in which it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..config.guards import InputConfig
from . import injection
from .credentials import credentials
from .finding import PIECE, Detector, Finder, Span
from .names import KINDS, Names
from .parts import USER, Part, Path
from .patterns import Patterns
from .personal import Colons, Emails, Lettered, Numbers


def personal(kinds: tuple[str, ...]) -> Finder:
    """A finder of personal data and credentials of these kinds: email phone iban card ip national_id secret."""
    return Finder(detectors(kinds))


def detectors(kinds: tuple[str, ...], model: str = "") -> list[Detector]:
    """What finds these kinds, each detector some of them; `model` is for person and place. Raises ConfigError."""
    found: list[Detector] = [*credentials()] if "secret" in kinds else []
    if "email" in kinds:
        found.append(Emails())
    if {"iban", "national_id"} & set(kinds):
        found.append(Lettered(kinds))
    if {"ip", "national_id", "card", "phone"} & set(kinds):
        found.append(Numbers(kinds))
    if "ip" in kinds:
        found.append(Colons())
    if KINDS & set(kinds):
        found.append(Names(kinds, model))
    return found


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
        self._personal = Finder(detectors(config.pii_kinds, config.pii_model)) if config.pii != "off" else None
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

    def look(self, parts: Iterable[Part]) -> Looked:
        """Look through the texts of one call. Time is by their length, whatever they hold."""
        looked = Looked()
        for _ in self.steps(parts, looked):
            continue
        return looked

    def steps(self, parts: Iterable[Part], looked: Looked) -> Iterator[None]:
        """The same in steps of some milliseconds at most; what they find is noted in `looked`."""
        lengths: Counter[Path] = Counter()
        for part in parts:
            looked.characters += len(part.text)
            if part.source == USER:
                lengths[part.turn] += len(part.text)
                looked.longest = max(looked.longest, lengths[part.turn])
            if self.config.injection != "off" and part.source in self.config.untrusted:
                is_users = part.source == USER
                for sign in injection.steps(part.text, is_users=is_users, is_allowed=self._is_allowed):
                    if sign is None:
                        yield
                    else:
                        looked.signs[sign[0]] += 1
            if not part.is_fixed:
                yield from self._look_for_matches(part, looked)

    def _look_for_matches(self, part: Part, looked: Looked) -> Iterator[None]:
        text = part.text
        if self._personal is not None:
            for piece in self._personal.pieces(text):
                spans = [one for one in piece if not self._is_allowed(text[one.start : one.end])]
                if spans:
                    looked.personal.update(span.kind for span in spans)
                    looked.edits.setdefault(part.path, []).extend(spans)
                if len(text) > PIECE:
                    yield
        if self._denied is not None:
            looked.denied += sum(not self._is_allowed(words) for words in self._denied.all(text))

    def _is_allowed(self, words: str) -> bool:
        return self._allowed is not None and self._allowed.is_whole(words)
