"""How an answer leaves, as steps: pure, so that a socket and a simulated world can both take them.

Whoever takes the steps does what each says before asking for the next, so a generator's side effects happen in order
and at their time. It closes the generator if the caller goes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .answer import Answer
from .dice import Dice
from .faults import Fault
from .headers import Header
from .pace import MeasuredPace, Pace
from .stream import PING, event, grouped

_OVERLOADED = b'{"type":"error","error":{"details":null,"type":"overloaded_error","message":"Overloaded"}%b}'
_RID = b',"request_id":"%b"'


@dataclass(frozen=True, slots=True)
class Head:
    """Send status and header fields; `length` is the body's content-length where it has one."""

    status: int
    headers: list[Header]
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """Send some of the body; with `is_last`, the body ends with it."""

    data: bytes
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds."""

    seconds: float


class Stop(Enum):
    """How the answer stops; nothing follows."""

    END = "the body ends as framed"
    CLOSE = "the connection is closed where it is"
    RESET = "the connection is reset"
    SILENCE = "nothing more until the caller goes"


Step = Head | Piece | Pause | Stop


def delivered(answer: Answer, pace: Pace | MeasuredPace, dice: Dice) -> Iterator[Step]:
    """A whole answer, at a pace; only what a model has made takes its time."""
    pace = pace.drawn(answer.model, dice) if answer.output_tokens else Pace()
    if (wait_s := pace.first_token_ms / 1000 + answer.delay_s) > 0:
        yield Pause(wait_s)
    yield Head(answer.status, answer.headers, sum(map(len, answer.parts)) if answer.has_length else None)
    pieces = grouped(answer.parts, dice) if answer.is_stream else answer.parts
    wait_s = 0.0
    if pace.tokens_per_s and answer.output_tokens:
        wait_s = answer.output_tokens / pace.tokens_per_s / max(1, len(pieces))
    last = len(pieces) - 1
    for at, piece in enumerate(pieces):
        if wait_s and (at or not answer.is_stream):
            yield Pause(wait_s)
        yield Piece(piece, is_last=at == last)
    if not pieces:
        yield Stop.END


def failed(answer: Answer, fault: Fault, request_id: str, dice: Dice) -> Iterator[Step]:
    """An answer that goes wrong on the way, as `fault` says."""
    if fault.name == "hang":
        yield Stop.SILENCE
        return
    if fault.name == "reset":
        yield Stop.RESET
        return
    yield Head(answer.status, answer.headers)
    if fault.name == "empty_200":
        yield Stop.END
    elif fault.name == "error_first":
        yield Piece(event("error", _OVERLOADED % b"", dice))
        yield Stop.END
    elif fault.name == "ping_only":
        while True:
            yield Pause(max(0.001, fault.number(1.0)))
            yield Piece(PING)
    elif fault.name in ("slow", "slow_pings"):
        yield from _paused(answer, fault.number(5.0), dice, has_pings=fault.name == "slow_pings")
    else:
        yield from _broken(answer, fault, request_id, dice)


def _paused(answer: Answer, wait_s: float, dice: Dice, *, has_pings: bool) -> Iterator[Step]:
    parts = _parts(answer)
    head = 4 if answer.is_stream else 1
    yield Piece(b"".join(parts[:head]))
    while has_pings and answer.is_stream and wait_s > 1:
        yield Pause(1.0)
        yield Piece(PING)
        wait_s -= 1
    yield Pause(wait_s)
    for piece in grouped(parts[head:], dice):
        yield Piece(piece)
    yield Stop.END


def _broken(answer: Answer, fault: Fault, request_id: str, dice: Dice) -> Iterator[Step]:
    parts = _parts(answer)
    kept = min(int(fault.number(len(parts) // 2)), len(parts) - 1)
    for piece in grouped(parts[:kept], dice):
        yield Piece(piece)
    if fault.name == "reset_mid":
        yield Stop.RESET
    elif fault.name == "cut":
        yield Stop.CLOSE
    elif fault.name == "truncate":
        yield Stop.END
    elif fault.name == "truncate_half":
        yield Piece(parts[kept][: len(parts[kept]) // 2])
        yield Stop.END
    else:
        data = _OVERLOADED % (_RID % request_id.encode())
        yield Piece(event("error", data, dice) if answer.is_stream else data)
        yield Stop.END


def _parts(answer: Answer) -> list[bytes]:
    """What can be sent in part: a stream's events, or a JSON body in two halves."""
    if answer.is_stream or len(answer.parts) > 1:
        return answer.parts
    whole = b"".join(answer.parts)
    return [whole[: len(whole) // 2], whole[len(whole) // 2 :]]
