"""What is looked for in what a feature sends and gets: `input` and `output` in `[features.NAME]`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from .keys import Fault, Section, key

#: What personal data may be looked for.
PII_KINDS = ("email", "phone", "iban", "card", "ip", "national_id", "secret")
#: And what only a language model tells.
NAME_KINDS = ("person", "place")
#: Where a text may have come from.
SOURCES = ("user", "tool_results", "documents")

_ACTIONS = ("off", "tag", "warn", "block")
_DONE = ("tag", "warn", "scrub", "block")


def of_kinds(kinds: tuple[str, ...]) -> Fault | None:
    return _of_choices(kinds, (*PII_KINDS, *NAME_KINDS))


def of_sources(sources: tuple[str, ...]) -> Fault | None:
    return _of_choices(sources, SOURCES)


def _of_choices(given: tuple[str, ...], known: tuple[str, ...]) -> Fault | None:
    if given and set(given) <= set(known):
        return None
    return "lists what is none of its choices, or nothing", f"Choose from {', '.join(known)}."


def of_patterns(patterns: tuple[str, ...]) -> Fault | None:
    """Whether RE2 takes them. Its expressions cannot be slow, whoever writes the text they are about."""
    if not patterns:
        return None
    try:
        engine: Any = importlib.import_module("re2")
    except ImportError:
        return "needs RE2, which is not installed", "Run `pip install 'penstock[guards]'`."
    options = engine.Options()
    options.log_errors = False
    for number, pattern in enumerate(patterns, 1):
        try:
            is_empty = engine.compile(pattern, options).search("") is not None
        except engine.error:
            return f"has as number {number} what is no expression of RE2", "Look-around and back-references are none."
        if is_empty:
            return f"has as number {number} an expression that is about the empty text", "Say what must be there."
    return None


@dataclass(frozen=True, slots=True)
class InputConfig(Section):
    """The guards of a feature's input: `[features.NAME.input]`."""

    characters_max: int | None = key(
        None,
        "the most characters of text one user turn may have, documents and tools' results not counted; 0 for no "
        'limit; without it 10,000 where the `task` is "chat"',
        least=0,
    )
    injection: Literal["off", "tag", "warn", "block"] = key(
        "off", "what becomes of a call whose untrusted texts show signs of injected instructions", one_of=_ACTIONS
    )
    untrusted: tuple[str, ...] = key(
        ("tool_results", "documents"), "which texts that is about: user, tool_results, documents", fault=of_sources
    )
    pii: Literal["off", "tag", "scrub", "block"] = key(
        "off",
        "what becomes of a call with personal data or credentials in it",
        one_of=("off", "tag", "scrub", "block"),
    )
    pii_kinds: tuple[str, ...] = key(PII_KINDS, "which kinds that is about; person and place too", fault=of_kinds)
    pii_model: str = key("en_core_web_lg", "the model of spaCy that tells persons and places; a package, or a folder")
    deny: tuple[str, ...] = key(
        (), "expressions of RE2; a call with a match in its users' turns is refused", fault=of_patterns
    )
    allow: tuple[str, ...] = key(
        (),
        "expressions of RE2; what one of them matches as a whole is nothing found, by any of these guards",
        fault=of_patterns,
    )


@dataclass(frozen=True, slots=True)
class OutputConfig(Section):
    """The guards of a feature's answers: `[features.NAME.output]`."""

    deny: tuple[str, ...] = key((), "expressions of RE2 that no answer is to have a match of", fault=of_patterns)
    denied: Literal["tag", "warn", "scrub", "block"] = key(
        "block", "what becomes of an answer with such a match", one_of=_DONE
    )
    pii: Literal["off", "tag", "warn", "scrub", "block"] = key(
        "off", "what becomes of an answer with personal data or credentials in it", one_of=("off", *_DONE)
    )
    pii_kinds: tuple[str, ...] = key(PII_KINDS, "which kinds that is about; person and place too", fault=of_kinds)
    pii_model: str = key("en_core_web_lg", "the model of spaCy that tells persons and places; a package, or a folder")
    allow: tuple[str, ...] = key(
        (),
        "expressions of RE2; what one of them matches as a whole is nothing found; credentials are found all the same",
        fault=of_patterns,
    )
    tool_inputs: bool = key(
        True, "whether the inputs of tool calls are looked at too, each held back until it is whole"
    )
    streams: Literal["follow", "whole"] = key(
        "follow",
        '"follow" looks at a stream as it passes; "whole" holds it until its end, and looks at it then',
        one_of=("follow", "whole"),
    )
    hold_back: int = key(
        512, "the most characters of a stream that may be held back to see what they begin", least=16, most=65_536
    )
    question: str | None = key(
        None, "what a model is asked about each answer; it is to be answerable by yes (there is something) or no"
    )
    classifier: str = key("claude-haiku-4-5", "the model that is asked; the call pays for it")
    classified: Literal["tag", "warn", "block"] = key(
        "block", "what becomes of an answer to which it says yes", one_of=("tag", "warn", "block")
    )
    unclassified: Literal["pass", "block"] = key(
        "block", "what becomes of an answer where it gives none", one_of=("pass", "block")
    )
    batches: Literal["refuse", "unguarded"] = key(
        "refuse",
        "what becomes of batches, whose answers are not looked at",
        one_of=("refuse", "unguarded"),
    )

    @property
    def is_on(self) -> bool:
        """Whether anything is looked for."""
        return bool(self.deny) or self.pii != "off" or self.question is not None
