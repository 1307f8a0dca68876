"""What befalls bytes on their way: Toxiproxy's eight, as changes to an answer's steps, in real or virtual time.

Numbers are those of `faults.KINDS`: milliseconds, kilobytes per second or bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from .delivery import Head, Pause, Piece, Step, Stop
from .dice import Dice
from .faults import Fault


def poisoned(steps: Iterator[Step], fault: Fault, dice: Dice) -> Iterator[Step]:
    """The steps as they come through a bad line."""
    name = fault.name
    if name == "down":
        yield Stop.CLOSE
    elif name == "latency":
        yield from _late(steps, fault.number(100) / 1000, dice)
    elif name == "bandwidth":
        yield from _narrow(steps, max(1.0, fault.number(10)) * 1000)
    elif name == "slow_close":
        yield from _reluctant(steps, fault.number(1000) / 1000)
    elif name == "slicer":
        yield from _sliced(steps, max(1, int(fault.number(64))), dice)
    elif name == "limit_data":
        yield from _limited(steps, int(fault.number(256)))
    elif name == "reset_peer":
        yield from _until(steps, fault.number(0) / 1000, Stop.RESET)
    else:
        wait_s = fault.number(1000) / 1000
        yield from _until(steps, 0.0, Stop.CLOSE, wait_s) if wait_s else iter([Stop.SILENCE])


def _late(steps: Iterator[Step], wait_s: float, dice: Dice) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, Head | Piece):
            yield Pause(wait_s * (1 + dice.random.random() / 2))
        yield step


def _narrow(steps: Iterator[Step], bytes_per_s: float) -> Iterator[Step]:
    """A tenth of a second's worth at a time."""
    size = max(1, int(bytes_per_s / 10))
    for step in steps:
        if not isinstance(step, Piece):
            yield step
            continue
        for at in range(0, len(step.data), size):
            piece = step.data[at : at + size]
            yield Pause(len(piece) / bytes_per_s)
            yield Piece(piece, is_last=step.is_last and at + size >= len(step.data))


def _reluctant(steps: Iterator[Step], wait_s: float) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, Piece) and step.is_last:
            yield Piece(step.data)
            step = Stop.END
        if isinstance(step, Stop):
            yield Pause(wait_s)
        yield step


def _sliced(steps: Iterator[Step], size: int, dice: Dice) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, Piece):
            yield step
            continue
        at = 0
        while at < len(step.data):
            end = at + max(1, size // 2 + dice.random.randrange(size + 1))
            yield Piece(step.data[at:end], is_last=step.is_last and end >= len(step.data))
            yield Pause(0.0005)
            at = end


def _limited(steps: Iterator[Step], left: int) -> Iterator[Step]:
    for step in steps:
        if not isinstance(step, Piece):
            yield step
            continue
        if len(step.data) >= left:
            yield Piece(step.data[:left])
            yield Stop.CLOSE
            return
        left -= len(step.data)
        yield step


def _until(steps: Iterator[Step], left_s: float, stop: Stop, then_s: float = 0.0) -> Iterator[Step]:
    """The steps of the first `left_s` seconds; what takes no time is not waited for. Then a silence, then `stop`."""
    if left_s > 0:
        for step in steps:
            if isinstance(step, Pause):
                if step.seconds >= left_s:
                    break
                left_s -= step.seconds
            elif isinstance(step, Piece) and step.is_last:
                break  # the end is never reached
            yield step
        yield Pause(left_s)
    if then_s:
        yield Pause(then_s)
    yield stop
