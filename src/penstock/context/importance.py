"""How much an exchange is worth: a heuristic, by signs that can be counted. It understands nothing.

Recency counts most: four points for the exchange just before, halved every four exchanges. One point for a question of
the user's, one for a tool that failed (what failed need not be tried again), two for words of deciding and requiring,
less up to one point the more room it takes. `#keep` in the user's words outweighs everything.
"""

from __future__ import annotations

import math

from .choosing import Worth
from .turns import Conversation, blocks_of, words_of

#: What a caller writes into a user's turn to have its exchange kept.
MARK = "#keep"

_DECIDING = (
    *("decid", "decision", "agree", "require", "deadline", "remember", "important", "prefer", "constraint"),
    *("instead", "never", "always", "must ", "do not", "don't", "my name is"),
)
_MARKED, _DECIDED, _ASKED, _FAILED, _RECENT = 100.0, 2.0, 1.0, 1.0, 4.0
_HALVED_EVERY = 4.0
#: An exchange of so many characters loses a whole point.
_LONG = 20_000


def worth_of(talk: Conversation) -> Worth:
    """The worth of a conversation's exchanges. Each is looked at once."""
    known: dict[int, float] = {}

    def worth(exchange: int, at: int) -> float:
        if exchange not in known:
            known[exchange] = _said(talk, exchange)
        return known[exchange] + _RECENT * math.pow(0.5, (at - exchange - 1) / _HALVED_EVERY)

    return worth


def _said(talk: Conversation, exchange: int) -> float:
    """What an exchange is worth by what is said in it."""
    turns = [talk.turns[at] for at in talk.members(exchange)]
    asked = "\n".join(words_of(turn) for turn in turns if turn["role"] == "user")
    answered = "\n".join(words_of(turn) for turn in turns if turn["role"] == "assistant")
    has_failed = any(block.get("is_error") is True for turn in turns for block in blocks_of(turn))
    points = _MARKED if MARK in asked else 0.0
    points += _ASKED * ("?" in asked) + _FAILED * has_failed
    words = f"{asked} {answered}".lower()
    points += _DECIDED * any(word in words for word in _DECIDING)
    characters = sum(len(talk.raws[at]) for at in talk.members(exchange))
    return points - min(1.0, characters / _LONG)
