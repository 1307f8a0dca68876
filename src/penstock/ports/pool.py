"""Upstream connections on an event loop: a small keep-alive pool on httptools.

One pool may be used from several loops, one after the other or side by side: each gets connections of its own.
Those of a loop that was closed are left to the garbage collector, and those inherited by a fork are let go
without their loop, so that nobody else's sockets are disturbed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from collections import deque
from collections.abc import Callable

from ..errors import UpstreamFailed
from . import Incoming, Outgoing
from .connection import Connection, Exchange
from .dial import dial
from .http1 import serialise
from .origin import Origin, PoolLimits, failure, read_origin


class LoopPool:
    """The `Upstream` of services: HTTP/1.1, TLS by the system's trust store, `tls` to replace it.

    A request goes out once. The exception is a reused connection that turns out to have been closed while
    idle (see `PoolLimits.stale_s`): then it goes out once more on a fresh one. Cancelling `send`, or closing an
    unfinished body, closes the socket at once, so that the upstream stops working.
    """

    def __init__(self, limits: PoolLimits | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits or PoolLimits()
        self._tls = tls
        self._sides: dict[asyncio.AbstractEventLoop, _Side] = {}
        self._side: _Side | None = None
        self._is_closed = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forgetter(weakref.ref(self)))

    async def send(self, request: Outgoing) -> Incoming:
        loop = asyncio.get_running_loop()
        side = self._side
        if side is None or side.loop is not loop:
            side = self._side_of(loop)
        site = side.sites.get(request.url)
        if site is None:
            site = side.sites[request.url] = _Site(read_origin(request.url), side, self._limits)
        if self._is_closed:
            raise failure("closed", site.origin)
        head = serialise(request.method, request.path, request.headers, site.origin.field, len(request.body))
        began = loop.time()
        exchange = await self._exchange(site, request, head, began, may_reuse=True)
        if exchange is None:
            exchange = await self._exchange(site, request, head, began, may_reuse=False)
        if exchange is None or exchange.headers is None:
            raise AssertionError("a fresh connection is never stale")
        return Incoming(exchange.status, exchange.headers, exchange)

    async def aclose(self) -> None:
        """Close every connection; bodies still open fail with `closed`. Twice is safe."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        for loop, side in list(self._sides.items()):
            if loop is here:
                side.close()
            elif not loop.is_closed():
                loop.call_soon_threadsafe(side.close)
        self._sides.clear()
        self._side = None

    async def _exchange(
        self, site: _Site, request: Outgoing, head: bytes, began: float, *, may_reuse: bool
    ) -> Exchange | None:
        """One try: None where the connection turned out stale and the request may be sent again."""
        connection = site.pop() if may_reuse else None
        if connection is None:
            connection = await self._acquire(site, request, began, may_reuse=may_reuse)
        exchange = connection.start(head, request.body, request.timeouts, began, is_head=request.method == "HEAD")
        try:
            await exchange.head()
        except UpstreamFailed:
            if exchange.is_stale:
                return None
            raise
        return exchange

    async def _acquire(self, site: _Site, request: Outgoing, began: float, *, may_reuse: bool) -> Connection:
        """A connection of the site's: a free one, a new one, or the next that becomes free."""
        timeouts = request.timeouts
        wait_s = min(timeouts.first_byte_s, timeouts.total_s)
        has_waited = False
        while True:
            if not may_reuse:
                site.drop_idle()
            elif has_waited and (connection := site.pop()) is not None:
                return connection
            if site.may_open():
                break
            await site.wait(began + wait_s, wait_s, is_first=has_waited)
            has_waited = True
        if self._is_closed:
            raise failure("closed", site.origin)
        site.count += 1
        left_s = timeouts.total_s - (site.side.loop.time() - began)
        try:
            return await dial(
                site.side.loop,
                site.origin,
                site.make,
                self._context() if site.origin.is_tls else None,
                min(timeouts.connect_s, left_s),
            )
        except BaseException:
            site.count -= 1
            site.wake()
            raise

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    def _side_of(self, loop: asyncio.AbstractEventLoop) -> _Side:
        for other in [each for each in self._sides if each.is_closed()]:
            del self._sides[other]
        found = self._sides.get(loop)
        if found is None:
            found = self._sides[loop] = _Side(loop)
        self._side = found
        return found

    def forget_parent(self) -> None:
        """In a forked child: point the inherited descriptors elsewhere.

        Closing the sockets through their loop would unregister the parent's, which share a selector
        with them; keeping them open would keep the upstream from seeing the parent hang up.
        """
        spare = os.open(os.devnull, os.O_RDWR)
        for side in self._sides.values():
            for connection in () if side.loop.is_closed() else side.connections:
                descriptor = connection.fileno()
                if descriptor >= 0:
                    os.dup2(spare, descriptor, inheritable=False)
        os.close(spare)
        self._sides, self._side = {}, None


def _forgetter(pool: weakref.ref[LoopPool]) -> Callable[[], None]:
    def forget() -> None:
        inherited = pool()
        if inherited is not None:
            inherited.forget_parent()

    return forget


class _Side:
    """What a pool has on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.sites: dict[str, _Site] = {}

    @property
    def connections(self) -> list[Connection]:
        return [connection for site in self.sites.values() for connection in site.open]

    def close(self) -> None:
        for site in self.sites.values():
            site.close()


class _Site:
    """The connections to one origin on one loop. `count` has those being opened in it, `open` has not."""

    def __init__(self, origin: Origin, side: _Side, limits: PoolLimits) -> None:
        self.origin, self.side, self._limits = origin, side, limits
        self.count = 0
        self.open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None

    def make(self) -> Connection:
        return Connection(self.side.loop, self.origin, self._limits.stale_s, self._freed, self._lost, self.open.add)

    def pop(self) -> Connection | None:
        """The connection used last, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and self.side.loop.time() - connection.idle_since < self._limits.keep_s:
                return connection
            connection.abort()
        return None

    def may_open(self) -> bool:
        return self.count < self._limits.connections_max

    def drop_idle(self) -> None:
        """One was stale, so the others most likely are: give their places up."""
        while self._idle:
            self._idle.pop().abort()

    async def wait(self, until: float, wait_s: float, *, is_first: bool) -> None:
        """Wait for a place, in turn. Raises UpstreamFailed (first_byte_timeout)."""
        loop = self.side.loop
        waiter: asyncio.Future[None] = loop.create_future()
        if is_first:
            self._waiting.appendleft(waiter)
        else:
            self._waiting.append(waiter)
        timer = loop.call_at(until, _expire, waiter, self.origin, wait_s)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.wake()  # the turn was ours already: pass it on
            raise
        finally:
            timer.cancel()

    def wake(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(failure("closed", self.origin))
        for connection in list(self.open):
            connection.abort()

    def _freed(self, connection: Connection) -> None:
        if len(self._idle) >= self._limits.idle_max:
            connection.abort()
            return
        connection.idle_since = self.side.loop.time()
        self._idle.append(connection)
        if self._waiting:
            self.wake()
        if self._sweeper is None:
            self._sweeper = self.side.loop.call_later(self._limits.keep_s, self._sweep)

    def _lost(self, connection: Connection) -> None:
        self.count -= 1
        self.open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self.wake()

    def _sweep(self) -> None:
        """Close what has been idle too long: the bottom of the stack."""
        self._sweeper = None
        oldest = self.side.loop.time() - self._limits.keep_s
        expired = [connection for connection in self._idle if connection.idle_since <= oldest]
        self._idle = self._idle[len(expired) :]
        for connection in expired:
            connection.abort()
        if self._idle:
            due = self._idle[0].idle_since + self._limits.keep_s
            self._sweeper = self.side.loop.call_at(due, self._sweep)


def _expire(waiter: asyncio.Future[None], origin: Origin, wait_s: float) -> None:
    if not waiter.done():
        detail = "every connection was taken, see connections_max"
        waiter.set_exception(failure("first_byte_timeout", origin, detail, limit_s=wait_s))
