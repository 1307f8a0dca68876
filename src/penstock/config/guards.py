"""What is looked for in what a feature sends: `input` in `[features.NAME]`."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Literal

from .keys import Fault, Section, key

#: What personal data may be looked for.
PII_KINDS = ("email", "phone", "iban", "card", "ip", "national_id", "secret")
#: Where a text may have come from.
SOURCES = ("user", "tool_results", "documents")

_ACTIONS = ("off", "tag", "warn", "block")


def of_kinds(kinds: tuple[str, ...]) -> Fault | None:
    return _of_choices(kinds, PII_KINDS)


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
    pii_kinds: tuple[str, ...] = key(PII_KINDS, "which kinds that is about", fault=of_kinds)
    deny: tuple[str, ...] = key(
        (), "expressions of RE2; a call with a match in its users' turns is refused", fault=of_patterns
    )
    allow: tuple[str, ...] = key(
        (),
        "expressions of RE2; what one of them matches as a whole is nothing found, by any of these guards",
        fault=of_patterns,
    )
