"""Other models: the newest of the same tier, and that of the tier below.

The same text is more tokens in the newer tokenizer: recorded requests had 1.15 to 1.3 times as many. 1.3 is taken; the
way back is taken as equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache

import msgspec

from ...wire.messages import Usage
from ...wire.models import Model, shipped
from .change import Confidence, Key, Tally, Words, counted
from .rows import Row

#: Tiers, cheapest first. Of the last not everybody may use models.
TIERS = ("haiku", "sonnet", "opus", "fable", "mythos")
_BELOW = {"sonnet": "haiku", "opus": "sonnet", "fable": "opus", "mythos": "opus"}
_FACTOR = (13, 10)


def tier(model: str) -> str | None:
    """The tier of a model, by its id; None for what is no model of ours."""
    found = shipped().find(model)
    return next((name for name in TIERS if found is not None and name in found.id.split("-")), None)


def _newest(models: Iterable[Model]) -> Model | None:
    return max(models, key=lambda one: one.released or date.min, default=None)


@cache
def _best_of(name: str) -> Model | None:
    """The newest model of a tier that is neither deprecated nor retired."""
    return _newest(one for one in shipped().all if one.state == "active" and tier(one.id) == name)


@cache
def successor(model: str) -> Model | None:
    """The newest active model of the same tier; None where `model` is that."""
    name, own = tier(model), shipped().find(model)
    if name is None or own is None or name == "mythos":
        return None
    best = _best_of(name)
    return None if best is None or best.id == own.id else best


@cache
def below(model: str) -> Model | None:
    """The newest active model of the tier below; None where there is none."""
    name = _BELOW.get(tier(model) or "")
    return None if name is None else _best_of(name)


@cache
def _is_longer(model: str, target: str) -> bool:
    """Whether the same text has more tokens on `target`."""
    own, other = shipped().find(model), shipped().find(target)
    return own is not None and other is not None and (own.tokenizer, other.tokenizer) == ("claude-3", "claude-4.7")


def _moved(row: Row, target: Model) -> Row | None:
    """The call on another model; None where that cannot take it, or not at its speed."""
    usage = row.usage
    if row.is_unpaid or usage.speed == "fast":
        return None
    if _is_longer(row.model, target.id):
        usage = _lengthened(usage)
    after = msgspec.structs.replace(row, model=target.id, usage=usage)
    is_too_long = after.prompt_tokens > target.context_tokens or usage.output_tokens > target.output_tokens_max
    return None if is_too_long else after


def _lengthened(usage: Usage) -> Usage:
    times, per = _FACTOR

    def more(tokens: int) -> int:
        return -(-tokens * times // per)

    return msgspec.structs.replace(
        usage,
        input_tokens=more(usage.input_tokens),
        cache_read_tokens=more(usage.cache_read_tokens),
        cache_write_5m_tokens=more(usage.cache_write_5m_tokens),
        cache_write_1h_tokens=more(usage.cache_write_1h_tokens),
        output_tokens=more(usage.output_tokens),
    )


def _counts(origin: str, target: str) -> str:
    if _is_longer(origin, target):
        return "with 1.3 times the tokens, the most that was recorded of the newer tokenizer"
    return "by the same tokens"


class Successor:
    """The newest model of the same tier. The label names both."""

    kind = "successor"

    def of(self, row: Row) -> tuple[str, Row] | None:
        target = successor(row.model)
        after = None if target is None else _moved(row, target)
        return None if target is None or after is None else (f"{row.origin} to {target.id}", after)

    def words(self, key: Key, tally: Tally) -> Words:
        origin, target = key.label.split(" to ")
        own = shipped().find(origin)
        is_longer = _is_longer(origin, target)
        confidence: Confidence = "medium" if is_longer else "high"
        ends = f" {origin} is {own.state}" if own is not None and own.state != "active" else ""
        if ends and own is not None and own.retires is not None:
            ends += f" and retires on {own.retires}"
        return Words(
            confidence,
            "High where both have one tokenizer, so that only prices differ; medium where tokens are estimated.",
            f"{counted(tally.calls, 'call')}, {_counts(origin, target)}.{ends}{'.' if ends else ''}",
            "Answers differ, and it may think unasked: compare it on your own prompts first.",
            f'Ask for "{target}".',
        )


class Smaller:
    """The newest model of the tier below. The label names both."""

    kind = "smaller_model"

    def of(self, row: Row) -> tuple[str, Row] | None:
        target = below(row.model)
        after = None if target is None else _moved(row, target)
        return None if target is None or after is None else (f"{row.origin} to {target.id}", after)

    def words(self, key: Key, tally: Tally) -> Words:
        origin, target = key.label.split(" to ")
        return Words(
            "low",
            "Always low: no evaluation of the smaller model on this feature is known here.",
            f"{counted(tally.calls, 'call')}, {_counts(origin, target)}.",
            "Answers may be worse, or take more calls: it may think and write more than the larger one did.",
            f'Ask for "{target}" for those calls of the feature that an evaluation finds good enough.',
        )
