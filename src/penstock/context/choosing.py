"""What of a conversation goes to the model, decided as it was at each earlier call.

A conversation comes whole each time, and nothing is kept about it. So its past is gone through call by call: where it
passed a limit, something was taken out, a step more than needed; and it stays out. So the same conversation, one turn
longer, has the same beginning, which caches have and thinking is bound to, until the next step.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from .turns import Attachment, Conversation, Moment

#: Attachments used in the last exchanges go after older exchanges do, not before.
_FRESH_EXCHANGES = 3
#: What stands for an attachment, in tokens.
PLACEHOLDER_TOKENS = 40


class Limits(NamedTuple):
    """What may stay; None for any number. Tokens are weights, without correction; `step` is a share of each limit.

    `room` is for what will stand for the rest. `cuts_within`: an exchange that goes on with tools may lose the ones
    before it for the sake of `tokens`; else only for the sake of the model's `window`.
    """

    turns: int | None
    tokens: int | None
    window: int | None
    attachments: int | None
    keep_first: int
    step: float
    room: int = 0
    cuts_within: bool = True


class Weighed(NamedTuple):
    """What turns, attachments and all that is not turns weigh."""

    frame: int
    turns: list[int]
    attachments: list[int]


class Choice(NamedTuple):
    """Exchanges and attachments to leave out, by number; what stays weighs `tokens`; `is_over`: still too much."""

    exchanges: list[int]
    attachments: list[int]
    tokens: int
    is_over: bool


#: How much an exchange is worth at a call of a later one; the least goes first.
Worth = Callable[[int, int], float]


def oldest(exchange: int, at: int) -> float:
    """The older, the less."""
    return float(exchange)


def chosen(talk: Conversation, weighed: Weighed, limits: Limits, worth: Worth = oldest) -> Choice:
    """Go through the calls of a conversation, the last of which is under way."""
    going = _Going(talk, weighed, limits, worth)
    for moment in talk.moments:
        going.on(moment)
    return Choice(sorted(going.gone), sorted(going.away), going.held, going.is_over)


class _Going:
    """A conversation, up to one of its calls. `held` is what of it stays, in tokens."""

    def __init__(self, talk: Conversation, weighed: Weighed, limits: Limits, worth: Worth) -> None:
        self._talk, self._weighed, self._limits, self._worth = talk, weighed, limits, worth
        self._sizes = [sum(weighed.turns[at] for at in talk.members(one)) for one in range(len(talk.begins))]
        self._end = self._attached = 0
        self.held, self.gone, self.away = weighed.frame, set[int](), set[int]()
        self.is_over = False

    def on(self, moment: Moment) -> None:
        """The call at this moment."""
        self.held += sum(self._weighed.turns[self._end : moment.end])
        self._end, self._exchange = moment.end, moment.exchange
        asked = range(moment.end - 1, -1, -1)
        self._answered = next((at for at in asked if self._talk.turns[at]["role"] == "assistant"), -1)
        while self._attached < len(self._talk.attachments) and self._of(self._attached).turn < moment.end:
            self._attached += 1
        self._keep_turns()
        is_short = self._keep_attachments()
        limits = self._limits
        tokens = limits.tokens if moment.is_first or limits.cuts_within else limits.window
        if tokens is not None and self.held > tokens - limits.room:
            self._keep_tokens(tokens - limits.room)
        self.is_over = not is_short or (limits.tokens is not None and self.held > limits.tokens)

    def _keep_turns(self) -> None:
        most, limits = self._limits.turns, self._limits
        if most is None:
            return
        kept = self._exchange + 1 - len(self.gone) - min(limits.keep_first, self._exchange)
        if kept < most + max(1, math.ceil(most * limits.step)):
            return
        for exchange in self._by_worth()[: kept - most]:
            self._leave(exchange)

    def _keep_attachments(self) -> bool:
        most = self._limits.attachments
        here = [at for at in range(self._attached) if self._is_here(at)] if most is not None else []
        if most is None or len(here) <= most:
            return True
        left = len(here)
        for at in self._least_used(here, 1):
            if left <= most - int(most * self._limits.step):
                break
            self._put_away(at)
            left -= 1
        return left <= most

    def _keep_tokens(self, most: int) -> None:
        target = most * (1.0 - self._limits.step)
        here = [at for at in range(self._attached) if self._is_here(at)]
        for at in self._least_used(here, _FRESH_EXCHANGES):
            if self.held <= target:
                return
            if self._weighed.attachments[at] > PLACEHOLDER_TOKENS:
                self._put_away(at)
        for exchange in self._by_worth():
            if self.held <= target:
                return
            self._leave(exchange)

    def _by_worth(self) -> list[int]:
        """The exchanges that may go, the least worth first: never the one under way."""
        may_go = [one for one in range(self._limits.keep_first, self._exchange) if one not in self.gone]
        return sorted(may_go, key=lambda exchange: self._worth(exchange, self._exchange))

    def _least_used(self, here: list[int], exchanges: int) -> list[int]:
        """Attachments not used in so many last exchanges, the longest ago first; then results of the one under way."""
        idle = [at for at in here if self._used(at) <= self._exchange - exchanges]
        own = [at for at in here if self._limits.cuts_within and self._is_answered_result(at)]
        return [*sorted(idle, key=lambda at: (self._used(at), at)), *own]

    def _used(self, attachment: int) -> int:
        """The last exchange so far that it was of use in."""
        uses = self._of(attachment).uses
        return self._talk.of[uses[bisect_left(uses, self._end) - 1]]

    def _is_answered_result(self, attachment: int) -> bool:
        """Whether it came from a tool in the exchange under way, and the model has gone on since: screenshots."""
        attached = self._of(attachment)
        return len(attached.places) > 1 and attached.turn < self._answered and attached.exchange == self._exchange

    def _leave(self, exchange: int) -> None:
        within = [at for at in range(self._attached) if self._of(at).exchange == exchange]
        saved = sum(self._saved(at) for at in within if at in self.away)
        self.held -= self._sizes[exchange] - saved
        self.gone.add(exchange)

    def _put_away(self, attachment: int) -> None:
        self.held -= self._saved(attachment)
        self.away.add(attachment)

    def _saved(self, attachment: int) -> int:
        return self._weighed.attachments[attachment] - PLACEHOLDER_TOKENS

    def _is_here(self, attachment: int) -> bool:
        return attachment not in self.away and self._of(attachment).exchange not in self.gone

    def _of(self, attachment: int) -> Attachment:
        return self._talk.attachments[attachment]
