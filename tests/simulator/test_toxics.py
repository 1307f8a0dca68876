"""What befalls bytes on their way, in virtual time and over a real socket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest

from penstock.simulator import Running
from penstock.simulator.delivery import Head, Pause, Piece, Step, Stop
from penstock.simulator.dice import Dice
from penstock.simulator.faults import KINDS, read_fault
from penstock.simulator.toxics import poisoned

Got = tuple[int, dict[str, str], bytes]
WHOLE = [Head(200, []), Piece(b"a" * 600), Piece(b"b" * 400, is_last=True)]


def through(text: str, steps: list[Step] | None = None) -> list[Step]:
    return list(poisoned(iter(WHOLE if steps is None else steps), read_fault(text), Dice(1)))


def body(steps: list[Step]) -> bytes:
    return b"".join(step.data for step in steps if isinstance(step, Piece))


def waited_s(steps: list[Step]) -> float:
    return sum(step.seconds for step in steps if isinstance(step, Pause))


def is_ended(steps: list[Step]) -> bool:
    last = steps[-1]
    return last is Stop.END or (isinstance(last, Piece) and last.is_last) or isinstance(last, Pause)


def test_latency_is_for_each_piece_and_loses_nothing() -> None:
    steps = through("latency:200")
    assert body(steps) == body(WHOLE) and is_ended(steps)
    assert 0.6 <= waited_s(steps) <= 0.9
    assert isinstance(steps[0], Pause)


def test_bandwidth_takes_the_time_of_its_bytes() -> None:
    steps = through("bandwidth:2")
    assert body(steps) == body(WHOLE) and is_ended(steps)
    assert waited_s(steps) == pytest.approx(0.5)


def test_a_slow_close_is_late_at_the_end_alone() -> None:
    steps = through("slow_close:700")
    assert body(steps) == body(WHOLE) and steps[-1] is Stop.END
    assert waited_s(steps) == 0.7 and isinstance(steps[-2], Pause)


def test_a_slicer_cuts_and_loses_nothing() -> None:
    steps = through("slicer:10")
    pieces = [step for step in steps if isinstance(step, Piece)]
    assert body(steps) == body(WHOLE) and max(len(piece.data) for piece in pieces) <= 15
    assert [piece.is_last for piece in pieces].count(True) == 1 and pieces[-1].is_last


@pytest.mark.parametrize(("limit", "left"), [(0, 0), (256, 256), (600, 600), (999, 999)])
def test_limited_data_closes_after_its_bytes(limit: int, left: int) -> None:
    steps = through(f"limit_data:{limit}")
    assert len(body(steps)) == left and steps[-1] is Stop.CLOSE
    assert body(through("limit_data:5000")) == body(WHOLE)


def test_the_ends_of_a_line_that_dies() -> None:
    assert through("down") == [Stop.CLOSE]
    assert through("reset_peer") == [Stop.RESET]
    assert through("timeout:0") == [Stop.SILENCE]
    assert through("timeout:50") == [Pause(0.05), Stop.CLOSE]
    paced: list[Step] = [Head(200, []), Piece(b"a"), Pause(1.0), Piece(b"b"), Pause(1.0), Piece(b"c", is_last=True)]
    late = through("reset_peer:1500", paced)
    assert body(late) == b"ab" and late[-1] is Stop.RESET and waited_s(late) == 1.5


SOCKET = [kind.name for kind in KINDS if kind.when == "socket"]


@pytest.fixture
def whole(send: Callable[..., Got]) -> Callable[[Running, dict[str, Any], str], bytes]:
    def one(sim: Running, ask: dict[str, Any], fault: str) -> bytes:
        sim.trigger(fault)
        return send(sim, body={**ask, "stream": True})[2]

    return one


@pytest.mark.parametrize("fault", ["latency:1", "bandwidth:900", "slow_close:10", "slicer:30"])
def test_lines_that_are_only_slow_bring_all_of_it(
    sim: Running, ask: dict[str, Any], whole: Callable[..., bytes], fault: str
) -> None:
    got = whole(sim, ask, fault)
    assert got.startswith(b"event: message_start") and got.rstrip().endswith(b"}") and b"message_stop" in got


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("down", anthropic.APIConnectionError),
        ("reset_peer", anthropic.APIConnectionError),
        ("timeout:20", anthropic.APIConnectionError),
        ("timeout:0", anthropic.APITimeoutError),
        ("limit_data:300", httpx2.TransportError),
    ],
)
def test_lines_that_die_are_the_sdks_own_errors(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str, expected: type[Exception]
) -> None:
    sim.trigger(fault)
    with pytest.raises(expected):
        for _ in client.with_options(timeout=0.4).messages.create(**ask, stream=True):
            pass


def test_every_toxic_is_here() -> None:
    assert set(SOCKET) == {
        "latency",
        "down",
        "bandwidth",
        "slow_close",
        "timeout",
        "reset_peer",
        "slicer",
        "limit_data",
    }
