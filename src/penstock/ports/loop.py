"""The real ports on an event loop, where they differ from the blocking ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from . import Race
from .blocking import GRACE_S, BlockingClock

T = TypeVar("T")


class LoopClock(BlockingClock):
    """The machine's clocks; `sleep` suspends the task."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class LoopTasks:
    """Tasks of the loop."""

    def __init__(self) -> None:
        self._beside: set[asyncio.Future[None]] = set()  # the loop itself keeps no task alive

    def beside(self, work: Callable[[], Awaitable[None]]) -> None:
        task = asyncio.ensure_future(work())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def drained(self, within_s: float = GRACE_S) -> int:
        """Wait for what was begun beside calls on this loop, so long at most; how many had to be cancelled then."""
        loop = asyncio.get_running_loop()
        own = [task for task in self._beside if task.get_loop() is loop]
        if not own:
            return 0
        _, late = await asyncio.wait(own, timeout=max(0.0, within_s))
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        return len(late)

    async def first(self, one: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[T]], race: Race[T]) -> T:
        began = [asyncio.ensure_future(one())]
        kept: asyncio.Future[T] | None = None
        try:
            await asyncio.wait(began, timeout=race.after_s)
            if not began[0].done():
                began.append(asyncio.ensure_future(other()))
            open_tasks = set(began)
            while open_tasks:
                done, open_tasks = await asyncio.wait(open_tasks, return_when=asyncio.FIRST_COMPLETED)
                kept = next((task for task in began if task in done and _is_good(task, race)), None)
                if kept is not None:
                    return kept.result()
            kept = began[0]
            return kept.result()
        finally:
            for task in began:
                if task is not kept:
                    await _given_up(task, race)


def _is_good(task: asyncio.Future[T], race: Race[T]) -> bool:
    return not task.cancelled() and task.exception() is None and race.is_good(task.result())


async def _given_up(task: asyncio.Future[T], race: Race[T]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled() and task.exception() is None:
        await race.lost(task.result())
