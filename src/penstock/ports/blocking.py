"""The real ports, blocking: every await answers at once, in the caller's own thread."""

from __future__ import annotations

import os
import random
import secrets
import time


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
