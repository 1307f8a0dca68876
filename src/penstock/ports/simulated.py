"""Seeded ports in virtual time: the same core, every interleaving, nothing slept for.

A `World` runs coroutines that park on its clock; when all are parked, time jumps to the next one due. The same
seed gives the same world, step for step, so a failing seed is a reproduction.
"""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar, cast

import msgspec

from ..drive import run
from ..errors import UpstreamFailed
from . import Clock, Incoming, Outgoing, Race

T = TypeVar("T")

#: 2026-11-20T00:00:00Z, when every world begins.
EPOCH_US = 1_795_132_800_000_000


class HungUp(BaseException):
    """Thrown into a task whose caller has gone, as a loop throws its cancellation."""


class Task:
    """One coroutine in a world. After the run, `result` or `error` says how it ended."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self.coroutine = coroutine
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_done = False
        self.step = 0
        self.hangup = False


class _Parked:
    """Awaited, it hands the scheduler the number of seconds to wait."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __await__(self) -> Generator[float, None, None]:
        yield self.seconds


class World:
    """Virtual time, seeded chance and the scheduler."""

    def __init__(self, seed: int) -> None:
        self.seed, self.random = seed, Random(seed)
        self._now_s = 0.0
        self._due: list[tuple[float, float, int, Task]] = []
        self._count = 0
        self.tasks: list[Task] = []

    def now(self) -> float:
        return self._now_s

    def wall_us(self) -> int:
        return EPOCH_US + round(self._now_s * 1_000_000)

    async def sleep(self, seconds: float) -> None:
        await _Parked(seconds)

    def uniform(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def id(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}_{self._count:012x}{self.random.getrandbits(56):014x}"

    def spawn(self, coroutine: Coroutine[Any, Any, Any], *, after_s: float = 0.0) -> Task:
        task = Task(coroutine)
        self.tasks.append(task)
        self._schedule(task, after_s)
        return task

    def hang_up(self, task: Task, *, after_s: float) -> None:
        """Throw `HungUp` into the task once this time has passed, unless it has ended by then."""

        async def later() -> None:
            await self.sleep(after_s)
            if not task.is_done:
                task.hangup = True
                self._schedule(task, 0.0)

        self.spawn(later())

    def run(self) -> None:
        """Until nothing is due. Time never runs backwards; ties are broken by the seed."""
        while self._due:
            due_s, _, step, task = heapq.heappop(self._due)
            if task.is_done or step != task.step:
                continue  # overtaken by a hang-up
            self._now_s = max(self._now_s, due_s)
            self._step(task)

    def _schedule(self, task: Task, after_s: float) -> None:
        task.step += 1
        heapq.heappush(self._due, (self._now_s + after_s, self.random.random(), task.step, task))

    def _step(self, task: Task) -> None:
        try:
            if task.hangup:
                task.hangup = False
                wait_s = task.coroutine.throw(HungUp())
            else:
                wait_s = task.coroutine.send(None)
        except StopIteration as stop:
            task.result, task.is_done = stop.value, True
        except BaseException as error:  # noqa: BLE001  (kept for the law that asks how each task ended)
            task.error, task.is_done = error, True
        else:
            self._schedule(task, wait_s)


class SimulatedTasks:
    """Two tasks of a world. Where the clock is no world, `one` alone is asked, as if it were always in time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def beside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Where the clock is no world, it is done at once: nothing parks there."""
        world = self._clock
        if type(world) is World:
            world.spawn(_awaited(work))
        else:
            run(_awaited(work))

    async def first(self, one: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[T]], race: Race[T]) -> T:
        world = self._clock
        if type(world) is not World:
            return await one()
        began = [world.spawn(_awaited(one))]
        await _until(world, lambda: began[0].is_done, race.after_s)
        if not began[0].is_done:
            began.append(world.spawn(_awaited(other)))
        try:
            await _until(
                world, lambda: all(task.is_done for task in began) or any(_is_good(task, race) for task in began)
            )
        except HungUp:
            for task in began:
                world.hang_up(task, after_s=0.0)
            raise
        kept = next((task for task in began if _is_good(task, race)), began[0])
        for task in began:
            if task is not kept and not task.is_done:
                world.hang_up(task, after_s=0.0)
            elif task is not kept and task.error is None:
                await race.lost(task.result)
        if kept.error is not None:
            raise kept.error
        return cast(T, kept.result)


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


async def _until(world: World, holds: Callable[[], bool], at_most_s: float = 86_400.0) -> None:
    ends = world.now() + at_most_s
    while not holds() and world.now() < ends:
        await world.sleep(min(0.005, ends - world.now()))


def _is_good(task: Task, race: Race[T]) -> bool:
    return task.is_done and task.error is None and race.is_good(task.result)


class Scripted(msgspec.Struct, frozen=True):
    """What a simulated upstream does with one request.

    `chunks` follow the head, `gap_s` apart; then the body ends as framed, or with `breaks` as an UpstreamFailed of
    that code. With `status` 0 there is no head at all, only the failure.
    """

    status: int = 200
    headers: tuple[tuple[bytes, bytes], ...] = ((b"content-type", b"application/json"),)
    chunks: tuple[bytes, ...] = ()
    head_s: float = 0.1
    gap_s: float = 0.01
    breaks: str | None = None


@dataclass
class Served:
    """One request as the simulated upstream saw it, and what became of its answer."""

    request: Outgoing
    script: Scripted
    sent: list[bytes] = field(default_factory=list)
    has_head: bool = False
    is_released: bool = False


class SimulatedUpstream:
    """Answers by script; keeps the books the laws compare with."""

    def __init__(self, world: World, script: Callable[[Outgoing], Scripted]) -> None:
        self._world, self._script = world, script
        self.served: list[Served] = []

    async def send(self, request: Outgoing) -> Incoming:
        script = self._script(request)
        served = Served(request, script)
        self.served.append(served)
        try:
            await self._world.sleep(script.head_s)
        except HungUp:
            served.is_released = True
            raise
        if script.status == 0:
            served.is_released = True
            raise _failure(script.breaks or "reset")
        served.has_head = True
        return Incoming(script.status, script.headers, _Body(self._world, served))

    async def aclose(self) -> None:
        return None


class _Body:
    def __init__(self, world: World, served: Served) -> None:
        self._world, self._served = world, served
        self._left: Sequence[bytes] = served.script.chunks

    async def __anext__(self) -> bytes:
        if self._served.is_released:
            raise StopAsyncIteration
        await self._world.sleep(self._served.script.gap_s)
        if not self._left:
            self._served.is_released = True
            if self._served.script.breaks is not None:
                raise _failure(self._served.script.breaks)
            raise StopAsyncIteration
        chunk, self._left = self._left[0], self._left[1:]
        self._served.sent.append(chunk)
        return chunk

    async def within(self, seconds: float) -> bytes | None:
        if self._served.script.gap_s > seconds and not self._served.is_released:
            await self._world.sleep(seconds)
            return None
        return await self.__anext__()

    async def aclose(self) -> None:
        self._served.is_released = True


def _failure(code: str) -> UpstreamFailed:
    return UpstreamFailed(f"The simulated upstream failed: {code}.", code=code)
