"""Faults on demand: by seeded share, by trigger, by request header."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields

from .dice import Dice
from .problems import invalid

HEADER = "x-simulator-fault"

ANSWERED = ("overloaded", "rate_limited", "error_500", "html_502", "unavailable_503", "spend_cap")
"""Faults that are a whole answer by themselves."""
BEFORE = ("reset", "hang")
"""Faults before any byte of an answer."""
DURING = ("reset_mid", "cut", "truncate", "truncate_half", "error_mid", "error_first", "ping_only", "slow", "empty_200")
"""Faults of an answer that had begun well."""
NAMES = (*ANSWERED, *BEFORE, *DURING)


@dataclass(frozen=True, slots=True)
class Faults:
    """The share of requests, 0 to 1, that each fault befalls; together at most 1.

    overloaded       529, as recorded
    rate_limited     429 with retry-after and the rate limit headers; argument: seconds
    error_500        500 `api_error`
    html_502         502 of the edge, HTML, no request id
    unavailable_503  503 of the edge, text
    spend_cap        429 with error code and no retry-after: waiting does not help
    reset            the connection is reset before an answer
    hang             no answer at all, until the caller goes
    reset_mid        the connection is reset after some events; argument: how many
    cut              the connection ends after some events, without the end of the framing; argument: how many
    truncate         the body ends cleanly after some events, without `message_stop`; argument: how many
    truncate_half    the same, in the middle of an event; argument: how many whole events before
    error_mid        an `error` event after some events, then the end; argument: how many
    error_first      status 200, then nothing but an `error` event
    ping_only        status 200, then pings for ever; argument: seconds between them
    slow             a silence after the first piece; argument: seconds
    empty_200        status 200 and no body
    """

    overloaded: float = 0.0
    rate_limited: float = 0.0
    error_500: float = 0.0
    html_502: float = 0.0
    unavailable_503: float = 0.0
    spend_cap: float = 0.0
    reset: float = 0.0
    hang: float = 0.0
    reset_mid: float = 0.0
    cut: float = 0.0
    truncate: float = 0.0
    truncate_half: float = 0.0
    error_mid: float = 0.0
    error_first: float = 0.0
    ping_only: float = 0.0
    slow: float = 0.0
    empty_200: float = 0.0

    def __post_init__(self) -> None:
        shares = [getattr(self, one.name) for one in fields(self)]
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise ValueError(f"Faults: shares must lie between 0 and 1 and sum to at most 1, not to {sum(shares)}")

    def draw(self, dice: Dice) -> Fault | None:
        """The fault of one request. One draw whatever the shares, so that changing one moves no other draw."""
        at = dice.random.random()
        for one in fields(self):
            at -= getattr(self, one.name)
            if at < 0:
                return Fault(one.name)
        return None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to commit. `amount` is events or seconds, by kind; None takes the fault's own default."""

    name: str
    amount: float | None = None

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"unknown fault {self.name!r}; one of: {', '.join(NAMES)}")

    def number(self, default: float) -> float:
        return default if self.amount is None else self.amount


def read_fault(text: str) -> Fault:
    """A fault as `NAME` or `NAME:NUMBER`. Raises ValueError for any other text."""
    name, _, amount = text.strip().partition(":")
    return Fault(name, float(amount) if amount else None)


class Dealer:
    """Decides each request's fault: what was triggered first, then what its header asks, then the shares."""

    def __init__(self, shares: Faults, *, may_ask: bool) -> None:
        self.shares = shares
        self._may_ask = may_ask
        self._queue: deque[Fault] = deque()

    def trigger(self, fault: Fault, count: int) -> None:
        """Let the next `count` requests meet this fault. May be called from any thread."""
        self._queue.extend([fault] * count)

    def deal(self, headers: dict[str, str], dice: Dice) -> Fault | None:
        """Raises Problem 400 for a fault header that names none."""
        drawn = self.shares.draw(dice)
        if self._queue:
            return self._queue.popleft()
        if self._may_ask and HEADER in headers:
            try:
                return read_fault(headers[HEADER])
            except ValueError as fault:
                raise invalid(f"{HEADER}: {fault}") from None
        return drawn
