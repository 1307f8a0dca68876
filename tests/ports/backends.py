"""The upstream backends, each with the driver it is made for; one suite runs over all of them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from penstock import drive
from penstock.call import Headers, Timeouts
from penstock.errors import UpstreamFailed
from penstock.ports import Outgoing, Upstream
from penstock.ports.origin import PoolLimits
from penstock.ports.pool import LoopPool
from penstock.ports.sockets import SocketPool

T = TypeVar("T")
QUICK = Timeouts(connect_s=2.0, first_byte_s=4.0, idle_s=4.0, total_s=8.0)


@dataclass
class Heard:
    """All that came of one request."""

    status: int = 0
    headers: Headers = ()
    chunks: list[bytes] = field(default_factory=list)
    error: UpstreamFailed | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def code(self) -> str | None:
        return None if self.error is None else self.error.code


@dataclass(frozen=True)
class Backend:
    name: str
    make: Callable[..., Upstream]
    run: Callable[[Any], Any]

    @property
    def is_loop(self) -> bool:
        return self.name != "sockets"

    def play(
        self,
        scenario: Callable[[Upstream], Awaitable[T]],
        limits: PoolLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> T:
        """Run a scenario with a pool of its own, closed afterwards."""

        async def body() -> T:
            pool = self.make(limits, tls)
            try:
                return await scenario(pool)
            finally:
                await pool.aclose()

        result: T = self.run(body())
        return result

    def hear(self, url: str, *, tls: ssl.SSLContext | None = None, **request: Any) -> Heard:
        """One request, read to its end."""
        return self.play(lambda pool: hear(pool, url, **request), tls=tls)

    async def until(self, event: threading.Semaphore | threading.Event) -> bool:
        """Wait for a server thread, less long than any timeout of QUICK, without holding up the loop."""
        wait = event.wait if isinstance(event, threading.Event) else event.acquire
        if self.is_loop:
            return await asyncio.to_thread(wait, timeout=2.0)
        return wait(timeout=2.0)

    async def sleep(self, seconds: float) -> None:
        if self.is_loop:
            await asyncio.sleep(seconds)
        else:
            threading.Event().wait(seconds)


def outgoing(
    url: str,
    *,
    method: str = "POST",
    path: str = "/v1/messages",
    headers: Headers = ((b"x-one", b"1"),),
    body: bytes = b"{}",
    timeouts: Timeouts = QUICK,
) -> Outgoing:
    return Outgoing(method, url, path, headers, body, timeouts)


async def hear(pool: Upstream, url: str, **request: Any) -> Heard:
    heard = Heard()
    try:
        incoming = await pool.send(outgoing(url, **request))
        heard.status, heard.headers = incoming.status, incoming.headers
        while True:
            try:
                heard.chunks.append(await incoming.source.__anext__())
            except StopAsyncIteration:
                return heard
    except UpstreamFailed as error:
        heard.error = error
    return heard


def _uvloop_run(main: Any) -> Any:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _aio(limits: PoolLimits | None, tls: ssl.SSLContext | None) -> Upstream:
    pytest.importorskip("aiohttp")
    from penstock.ports.aio import AioPool

    return AioPool(limits, tls)


BACKENDS = [
    Backend("pool-asyncio", LoopPool, asyncio.run),
    Backend("pool-uvloop", LoopPool, _uvloop_run),
    Backend("aio", _aio, asyncio.run),
    Backend("sockets", SocketPool, drive.run),
]
