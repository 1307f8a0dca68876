"""The real ports on an event loop, where they differ from the blocking ones."""

from __future__ import annotations

import asyncio

from .blocking import BlockingClock


class LoopClock(BlockingClock):
    """The machine's clocks; `sleep` suspends the task."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
