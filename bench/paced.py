"""Many streams at once, each a delta every 20 ms, and how late the deltas arrive."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop

from .exchange import Exchange
from .stub import PacedStub, Wheel
from .subjects import Subject
from .traffic import request, request_body

_STAMP = re.compile(rb'"text":"(\d{19})"')
#: Streams begin over this long, as callers do, not all at once.
_RAMP_S = 2.0

T = TypeVar("T")


@dataclass
class Lags:
    """What the callers of some streams saw."""

    lag_ns: list[int] = field(default_factory=list)
    streams: int = 0
    errors: int = 0
    subject_cpu_s: float = 0.0
    wall_s: float = 0.0
    stub_late_ms: float = 0.0


class _PacedExchange(Exchange):
    lags: Lags

    def saw(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.lags.lag_ns += [now - int(stamp) for stamp in _STAMP.findall(data)]
        if b"event: error" in data:
            self.lags.errors += 1
        super().saw(data)


@asynccontextmanager
async def paced_stub() -> AsyncIterator[tuple[int, Wheel]]:
    """A paced upstream on the running loop: its port, and its wheel."""
    wheel = Wheel()
    server = await asyncio.get_running_loop().create_server(lambda: PacedStub(wheel), "127.0.0.1", 0, backlog=4096)
    turning = asyncio.create_task(wheel.run())
    try:
        yield server.sockets[0].getsockname()[1], wheel
    finally:
        turning.cancel()
        with suppress(asyncio.CancelledError):
            await turning
        server.close()


async def hold(subject: Subject, wheel: Wheel, *, streams: int, seconds: float) -> Lags:
    """Keep so many streams open on a subject for some seconds, after a ramp that does not count."""
    lags, loop = Lags(), asyncio.get_running_loop()
    message = request(f"127.0.0.1:{subject.port}", subject.key, request_body(is_stream=True))
    exchanges: set[Exchange] = set()
    is_over = False

    def ended(exchange: Exchange, is_whole: bool) -> None:
        if is_over:
            return
        if is_whole:
            lags.streams += 1
            exchange.send(message, time.monotonic())
        else:
            lags.errors += 1
            exchanges.discard(exchange)

    def make() -> Exchange:
        exchange = _PacedExchange(ended)
        exchange.lags = lags
        return exchange

    for _ in range(streams):
        _, exchange = await loop.create_connection(make, "127.0.0.1", subject.port)
        exchanges.add(exchange)
        exchange.send(message, time.monotonic())
        await asyncio.sleep(_RAMP_S / streams)
    gc.collect()
    lags.lag_ns.clear()
    lags.streams = 0
    wheel.late_ms_max = 0.0
    began_s, used_s = time.monotonic(), subject.cpu_s()
    await asyncio.sleep(seconds)
    lags.wall_s, lags.subject_cpu_s = time.monotonic() - began_s, subject.cpu_s() - used_s
    lags.stub_late_ms = wheel.late_ms_max
    is_over = True
    for exchange in exchanges:
        exchange.transport.abort()
    await asyncio.sleep(0.2)
    return lags


def run_fast(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop with the collector out of the way."""
    gc.collect()
    gc.disable()
    try:
        return uvloop.run(work)
    finally:
        gc.enable()
