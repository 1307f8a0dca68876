"""What is begun beside calls: it goes on without them, keeps its context, and has so long to end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

from penstock.ports.blocking import ThreadTasks
from penstock.ports.loop import LoopTasks
from penstock.ports.simulated import SimulatedTasks, World

NAME = contextvars.ContextVar("NAME", default="none")


def test_on_a_loop_it_is_waited_for_and_cancelled_where_it_takes_too_long() -> None:
    ended: list[str] = []

    async def work(name: str, seconds: float) -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            ended.append(f"{name} cancelled")
            raise
        ended.append(name)

    async def main() -> tuple[int, int]:
        tasks = LoopTasks()
        tasks.beside(lambda: work("quick", 0.02))
        assert not ended, "nothing is waited for"
        first = await tasks.drained(5)
        tasks.beside(lambda: work("slow", 60))
        return first, await tasks.drained(0.02)

    assert asyncio.run(main()) == (0, 1)
    assert ended == ["quick", "slow cancelled"]


def test_a_loop_waits_for_its_own_alone() -> None:
    tasks, is_there, may_go = LoopTasks(), threading.Event(), threading.Event()

    async def other() -> None:
        async def work() -> None:
            await asyncio.to_thread(may_go.wait, 5)

        tasks.beside(work)
        is_there.set()
        await tasks.drained()

    thread = threading.Thread(target=lambda: asyncio.run(other()))
    thread.start()
    assert is_there.wait(5)
    assert asyncio.run(tasks.drained(5)) == 0
    may_go.set()
    thread.join(5)
    assert not thread.is_alive()


def test_in_threads_it_has_the_context_of_its_call_and_is_joined() -> None:
    tasks, found = ThreadTasks(), []

    async def work() -> None:
        time.sleep(0.05)  # noqa: ASYNC251  (the blocking driver's)
        found.append((NAME.get(), threading.current_thread() is threading.main_thread()))

    token = NAME.set("call")
    tasks.beside(work)
    NAME.reset(token)
    assert not found
    tasks.drain()
    assert found == [("call", False)]

    async def endless() -> None:
        time.sleep(1)  # noqa: ASYNC251

    tasks.beside(endless)
    began = time.monotonic()
    tasks.drain(0.05)
    assert time.monotonic() - began < 0.8


def test_in_a_world_it_is_a_task_and_elsewhere_done_at_once() -> None:
    world, found = World(1), []

    async def work() -> None:
        await world.sleep(2.0)
        found.append(world.now())

    async def call() -> None:
        SimulatedTasks(world).beside(work)
        found.append(world.now())

    world.spawn(call())
    world.run()
    assert found == [0.0, 2.0]
