"""What a change of how calls are made is to the tool: a rule that says of each call how it would have been."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

import msgspec

from .rows import Row

Confidence = Literal["high", "medium", "low"]


class Key(NamedTuple):
    """What a piece of advice is about: its kind, the feature, and what else tells it from others of the kind."""

    kind: str
    feature: str | None
    label: str


class Words(msgspec.Struct, frozen=True):
    """How a piece of advice is put. `confidence` is by the rule that `why` tells."""

    confidence: Confidence
    why: str
    evidence: str
    risk: str
    change: str


class Tally(msgspec.Struct):
    """The calls a change would touch. Money in nano-dollars; `examples` are those that would have saved most, as
    (saving, call id)."""

    calls: int = 0
    cost_nano: int = 0
    saved_nano: int = 0
    examples: list[tuple[int, str]] = msgspec.field(default_factory=list)


class Change(Protocol):
    """One rule. It sees calls oldest first, all of them, and may remember what it has seen."""

    kind: str

    def of(self, row: Row) -> tuple[str, Row] | None:
        """The call as it would have been, and the label it counts under; None where nothing would change."""
        ...

    def words(self, key: Key, tally: Tally) -> Words:
        """How the advice of this key is put, after all calls were seen."""
        ...


def percent(part: int, whole: int) -> str:
    """`12.5 %`; of nothing it is 0."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def counted(number: int, noun: str) -> str:
    """`1 call`, `2,000 calls`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
