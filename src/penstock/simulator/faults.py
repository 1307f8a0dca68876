"""Faults on demand: what there is, and how one is named."""

from __future__ import annotations

from dataclasses import dataclass

from .dice import Dice


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. `number` says what a number after its name means, empty where it takes none.

    `when`: "answered" (it is the answer), "before" (no byte of an answer), "during" (an answer breaks off),
    "said" (the model ends otherwise), "altered" (a whole answer of unusual shape), "socket" (the way bytes travel).
    """

    name: str
    when: str
    says: str
    number: str = ""


KINDS = (
    Kind("overloaded", "answered", "529, as recorded"),
    Kind("rate_limited", "answered", "429 with retry-after and the rate limit headers", "seconds, 1"),
    Kind("ramp_limited", "answered", "429 for usage that grows too fast, with retry-after", "seconds, 30"),
    Kind("crowded", "answered", "429 for too many connections at once, without numbers"),
    Kind("over_limit", "answered", "429 for a request that alone is more than the limit: x-should-retry false"),
    Kind("spend_cap", "answered", "429 with an error code and no retry-after: waiting does not help"),
    Kind("own_cap", "answered", "400 for the customer's own spend limit"),
    Kind("error_500", "answered", "500 api_error, x-should-retry false as recorded"),
    Kind("error_504", "answered", "504 timeout_error"),
    Kind("html_502", "answered", "502 of the edge: HTML, no request id"),
    Kind("unavailable_503", "answered", "503 of the edge: text, no request id"),
    Kind("too_large_413", "answered", "413 of the edge, no rate limit headers"),
    Kind("retry_lie", "answered", "529 that says x-should-retry: false, which wins"),
    Kind("reset", "before", "the connection is reset before an answer"),
    Kind("hang", "before", "no answer at all, until the caller goes"),
    Kind("reset_mid", "during", "the connection is reset after some events", "events, half"),
    Kind("cut", "during", "the connection closes after some events, the framing unfinished", "events, half"),
    Kind("truncate", "during", "the body ends cleanly after some events, without message_stop", "events, half"),
    Kind("truncate_half", "during", "the same, in the middle of an event", "whole events before, half"),
    Kind("error_mid", "during", "an `error` event after some events, then the end", "events, half"),
    Kind("error_first", "during", "status 200, then nothing but an `error` event"),
    Kind("ping_only", "during", "status 200, then pings for ever", "seconds between, 1"),
    Kind("slow", "during", "a silence after the first piece", "seconds, 5"),
    Kind("slow_pings", "during", "the same silence, with a ping each second", "seconds, 5"),
    Kind("empty_200", "during", "status 200 and no body"),
    Kind("refusal", "said", "a refusal before any output: 200, counts in usage, nothing charged"),
    Kind("refusal_mid", "said", "a refusal after some output, which is charged"),
    Kind("empty_turn", "said", "end_turn with nothing said"),
    Kind("pause_turn", "said", "stop_reason pause_turn"),
    Kind("context_full", "said", "stop_reason model_context_window_exceeded, half way"),
    Kind("redacted", "said", "a redacted_thinking block before the answer"),
    Kind("new_things", "altered", "an event, a block, a delta, a usage field and a stop reason nobody knows yet"),
    Kind("pings", "altered", "a ping between any two events"),
    Kind("crlf", "altered", "lines that end in CR LF"),
    Kind("torn", "altered", "chunks that end anywhere, within words and characters"),
    Kind("many_deltas", "altered", "message_delta three times, each with the totals so far"),
    Kind("bare_delta", "altered", "a message_delta whose usage has output_tokens alone"),
    Kind("latency", "socket", "every piece is late", "milliseconds, 100, and up to half as much again"),
    Kind("bandwidth", "socket", "so many bytes a second", "kilobytes per second, 10"),
    Kind("slow_close", "socket", "the end comes late", "milliseconds, 1000"),
    Kind("timeout", "socket", "bytes stop, and after a while the connection closes", "milliseconds, 1000; 0 never"),
    Kind("reset_peer", "socket", "the connection is reset after a while", "milliseconds, 0"),
    Kind("slicer", "socket", "pieces are cut into slices, a little apart", "bytes, 64"),
    Kind("limit_data", "socket", "the connection closes after so many bytes of body", "bytes, 256"),
    Kind("down", "socket", "connections are closed as soon as they speak"),
)

_BY_NAME = {kind.name: kind for kind in KINDS}
NAMES = tuple(_BY_NAME)


class Faults:
    """The share of requests, 0 to 1, that each fault befalls: `Faults(overloaded=0.1, reset=0.01)`; together at most 1.

    Raises ValueError for an unknown name or shares that cannot be.
    """

    __slots__ = ("_shares",)

    def __init__(self, **shares: float) -> None:
        for name, share in shares.items():
            check_name(name)
            if not 0 <= share <= 1:
                raise ValueError(f"Faults: {name} is {share}; a share lies between 0 and 1")
        if sum(shares.values()) > 1 + 1e-9:
            raise ValueError(f"Faults: the shares sum to {sum(shares.values())}; they sum to at most 1")
        self._shares = tuple((name, shares[name]) for name in NAMES if shares.get(name))

    def draw(self, dice: Dice) -> Fault | None:
        """The fault of one request, by one draw whatever the shares."""
        at = dice.random.random()
        for name, share in self._shares:
            at -= share
            if at < 0:
                return Fault(name)
        return None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault to commit. `amount` is what its kind's `number` says; None takes the default named there."""

    name: str
    amount: float | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.amount is not None:
            if not self.kind.number:
                raise ValueError(f"fault {self.name} takes no number")
            if not 0 <= self.amount < 1e9:
                raise ValueError(f"fault {self.name}: {self.amount:g} is no number of {self.kind.number}")

    @property
    def kind(self) -> Kind:
        return _BY_NAME[self.name]

    def number(self, default: float) -> float:
        return default if self.amount is None else self.amount


def check_name(name: str) -> None:
    """Raises ValueError where there is no such fault."""
    if name not in _BY_NAME:
        raise ValueError(f"unknown fault {name!r}; one of: {', '.join(NAMES)}")


def read_fault(text: str) -> Fault:
    """A fault as `NAME` or `NAME:NUMBER`. Raises ValueError for any other text."""
    name, colon, amount = text.strip().partition(":")
    try:
        return Fault(name, float(amount) if colon else None)
    except ValueError as fault:
        if colon and not amount.replace(".", "", 1).isdigit():
            raise ValueError(f"fault {text.strip()!r}: {amount!r} is no number") from None
        raise fault
