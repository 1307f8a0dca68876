"""Open-loop load: calls come when they come, whether or not earlier ones have been answered."""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import time
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .exchange import Exchange
from .subjects import Subject
from .traffic import request

_CONNECTIONS_AHEAD = 16
_GRACE_S = 5.0

T = TypeVar("T")


@dataclass
class Waits:
    """How long calls waited, from the moment each was due, in seconds."""

    whole_s: list[float] = field(default_factory=list)
    first_token_s: list[float] = field(default_factory=list)
    errors: int = 0


def run_precisely(work: Coroutine[Any, Any, T]) -> T:
    """Run on a loop whose timers have microseconds: epoll and uvloop round up to the next millisecond."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            return runner.run(work)
        finally:
            gc.enable()
            gc.unfreeze()


async def offer(subject: Subject, body: bytes, *, per_s: float, seconds: float, seed: int) -> Waits:
    """Offer calls to a subject at random moments, `per_s` on average."""
    waits, idle, loop = Waits(), [], asyncio.get_running_loop()
    message = request(f"127.0.0.1:{subject.port}", subject.key, body)
    under_way, is_drained = 0, asyncio.Event()

    def ended(exchange: Exchange, is_whole: bool) -> None:
        nonlocal under_way
        under_way -= 1
        if not under_way:
            is_drained.set()
        if not is_whole:
            waits.errors += 1
            exchange.transport.close()
            return
        waits.whole_s.append(time.monotonic() - exchange.due_s)
        if exchange.first_token_s is not None:
            waits.first_token_s.append(exchange.first_token_s - exchange.due_s)
        idle.append(exchange)

    async def connect() -> Exchange:
        _, exchange = await loop.create_connection(lambda: Exchange(ended), "127.0.0.1", subject.port)
        return exchange

    idle += [await connect() for _ in range(_CONNECTIONS_AHEAD)]
    dice = random.Random(seed)
    due_s = time.monotonic() + 0.05
    until_s = due_s + seconds
    while due_s < until_s:
        if (early_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(early_s)
        exchange = idle.pop() if idle else await connect()
        under_way += 1
        is_drained.clear()
        exchange.send(message, due_s)
        due_s += dice.expovariate(per_s)
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await is_drained.wait()
    waits.errors += under_way
    for exchange in idle:
        exchange.transport.close()
    return waits
