"""The simulator inside a simulated world: the same answers, in virtual time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.call import Timeouts
from penstock.errors import UpstreamFailed
from penstock.ports import Outgoing
from penstock.ports.simulated import HungUp, World
from penstock.simulator import Faults, Pace, Simulator
from penstock.simulator.upstream import SimulatorUpstream

ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Tell me of the river."}],
}


def a_simulator(world: World, **options: Any) -> tuple[Simulator, SimulatorUpstream]:
    simulator = Simulator(clock=lambda: world.wall_us() / 1e6, **options)
    return simulator, SimulatorUpstream(simulator, world)


def a_request(simulator: Simulator, *, first_byte_s: float = 600.0, **changes: Any) -> Outgoing:
    headers = (
        (b"x-api-key", simulator.key.encode()),
        (b"anthropic-version", b"2026-10-21"),
        (b"content-type", b"application/json"),
    )
    body = json.dumps({**ASK, **changes}).encode()
    return Outgoing("POST", "http://sim", "/v1/messages", headers, body, Timeouts(first_byte_s=first_byte_s))


async def whole(upstream: SimulatorUpstream, request: Outgoing) -> tuple[int, list[bytes]]:
    incoming = await upstream.send(request)
    chunks = []
    while True:
        try:
            chunks.append(await incoming.source.__anext__())
        except StopAsyncIteration:
            return incoming.status, chunks


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_takes_its_time_and_no_real_time(stream: bool) -> None:
    world = World(1)
    simulator, upstream = a_simulator(world, pace=Pace(first_token_ms=2_000, tokens_per_s=10))
    task = world.spawn(whole(upstream, a_request(simulator, stream=stream)))
    world.run()
    status, chunks = task.result
    (entry,) = simulator.books
    assert status == 200 and entry.ending == "whole" and entry.output_tokens > 20
    assert world.now() == pytest.approx(2 + entry.output_tokens / 10, rel=0.2)
    assert (b"message_stop" in chunks[-1]) if stream else (json.loads(b"".join(chunks))["stop_reason"] == "end_turn")


def test_who_hangs_up_is_charged_for_what_was_made() -> None:
    world = World(2)
    simulator, upstream = a_simulator(world, pace=Pace(tokens_per_s=10))

    async def hang_up_early() -> None:
        incoming = await upstream.send(a_request(simulator, stream=True))
        try:
            while True:
                await incoming.source.__anext__()
        except HungUp:
            await incoming.source.aclose()
            raise

    world.hang_up(world.spawn(hang_up_early()), after_s=2)
    world.run()
    cut = next(iter(simulator.books))
    again = world.spawn(whole(upstream, a_request(simulator, stream=True)))
    world.run()
    assert again.is_done
    full = list(simulator.books)[1]
    assert cut.ending == "caller gone" and 0 < cut.output_tokens < full.output_tokens
    assert 0 < cut.cost_nano < full.cost_nano


@pytest.mark.parametrize(
    ("fault", "code"), [("reset", "reset"), ("hang", "first_byte_timeout"), ("reset_mid", "reset"), ("cut", "cut")]
)
def test_broken_answers_fail_as_a_pool_fails(fault: str, code: str) -> None:
    world = World(3)
    simulator, upstream = a_simulator(world, faults=Faults(**{fault: 1.0}))
    task = world.spawn(whole(upstream, a_request(simulator, first_byte_s=30, stream=True)))
    world.run()
    assert isinstance(task.error, UpstreamFailed) and task.error.code == code


def test_the_same_seed_gives_the_same_bytes() -> None:
    def body(seed: int) -> bytes:
        world = World(4)
        simulator, upstream = a_simulator(world, seed=seed)
        task = world.spawn(whole(upstream, a_request(simulator, stream=True)))
        world.run()
        return b"".join(task.result[1])

    assert body(7) == body(7) != body(8)
