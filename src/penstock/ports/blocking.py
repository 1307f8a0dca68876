"""The real ports, blocking: every await answers at once, in the caller's own thread."""

from __future__ import annotations

import atexit
import contextvars
import os
import random
import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from ..drive import run
from . import Race

T = TypeVar("T")

#: How long a program that ends waits for what was begun beside its calls, in seconds.
GRACE_S = 5.0


class BlockingClock:
    """The machine's clocks; `sleep` blocks the thread."""

    now = staticmethod(time.monotonic)

    @staticmethod
    def wall_us() -> int:
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251  (blocking is this port's whole point)


class SystemChance:
    """Randomness seeded by the operating system, anew in every forked child; keys come from `secrets`."""

    def __init__(self) -> None:
        self._random = random.Random()
        os.register_at_fork(after_in_child=self._random.seed)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def id(self, prefix: str) -> str:
        return f"{prefix}_{time.time_ns() // 1_000_000:012x}{self._random.getrandbits(56):014x}"

    def token(self, size_bytes: int) -> str:
        """Random bytes as text, fit for a key."""
        return secrets.token_urlsafe(size_bytes)


class ThreadTasks:
    """Threads. One that loses cannot be cancelled: it is given up once it has come, or failed."""

    def __init__(self) -> None:
        self._beside: set[threading.Thread] = set()

    def beside(self, work: Callable[[], Awaitable[None]]) -> None:
        def worked() -> None:
            try:
                run(_awaited(work))
            finally:
                self._beside.discard(threading.current_thread())

        if not self._beside:  # the first of them: by now all that it needs is there, and closes after this
            atexit.unregister(self.drain)
            atexit.register(self.drain)
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(worked,), daemon=True)
        self._beside.add(thread)
        thread.start()

    def drain(self, within_s: float = GRACE_S) -> None:
        """Wait for what was begun beside calls, so long at most. What has not ended by then ends with the process."""
        ends = time.monotonic() + within_s
        for thread in tuple(self._beside):
            thread.join(max(0.0, ends - time.monotonic()))

    async def first(self, one: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[T]], race: Race[T]) -> T:
        return _Runners(race).run(one, other)


class _Runners(Generic[T]):
    def __init__(self, race: Race[T]) -> None:
        self._race = race
        self._turn = threading.Condition()
        self._came: dict[int, T | BaseException] = {}
        self._is_over = False

    def run(self, one: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[T]]) -> T:
        with self._turn:
            self._begin(0, one)
            self._turn.wait_for(lambda: self._came, self._race.after_s)
            if not self._came:
                self._begin(1, other)
                self._turn.wait_for(lambda: self._good() is not None or len(self._came) == 2)
            self._is_over = True
            place = self._good()
            kept = self._came.pop(0 if place is None else place)
            losers = [came for came in self._came.values() if not isinstance(came, BaseException)]
        for came in losers:
            self._lose(came)
        if isinstance(kept, BaseException):
            raise kept
        return kept

    def _good(self) -> int | None:
        for place, came in sorted(self._came.items()):
            if not isinstance(came, BaseException) and self._race.is_good(came):
                return place
        return None

    def _begin(self, place: int, work: Callable[[], Awaitable[T]]) -> None:
        context = contextvars.copy_context()  # tags live there
        threading.Thread(target=context.run, args=(self._work, place, work), daemon=True).start()

    def _work(self, place: int, work: Callable[[], Awaitable[T]]) -> None:
        came: T | BaseException
        try:
            came = run(_awaited(work))
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            came = error
        with self._turn:
            is_late = self._is_over
            self._came[place] = came
            self._turn.notify_all()
        if is_late and not isinstance(came, BaseException):
            self._lose(came)

    def _lose(self, came: T) -> None:
        run(_awaited(lambda: self._race.lost(came)))


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
