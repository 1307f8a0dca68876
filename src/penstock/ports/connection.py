"""One keep-alive connection on an event loop, and the exchange it carries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from ..call import Headers, Timeouts
from ..errors import UpstreamFailed
from .http1 import Answers
from .origin import Origin, failure, reason

#: Reading stops where a consumer has this many bytes waiting, and goes on once it is down to LOW.
HIGH_BYTES = 262_144
LOW_BYTES = 65_536

_SLICE_BYTES = 65_536  # bodies up to this go out with their head in one write
_TICK_S = 0.001  # loops keep time in whole milliseconds


class Exchange:
    """A request on its way and the answer to it; the `Source` of that answer's body.

    Chunks are what single reads brought, so a stream's events arrive as the upstream sent them.
    """

    __slots__ = (
        "_chunks",
        "_waiter",
        "connection",
        "error",
        "headers",
        "held_bytes",
        "is_over",
        "is_paused",
        "is_stale",
        "status",
        "timeouts",
        "total_at",
    )

    def __init__(self, connection: Connection, timeouts: Timeouts, total_at: float) -> None:
        self.connection: Connection | None = connection
        self.timeouts = timeouts
        self.total_at = total_at
        self.status = 0
        self.headers: Headers | None = None
        self.error: UpstreamFailed | None = None
        self.held_bytes = 0
        self.is_over = self.is_paused = self.is_stale = False
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for `status` and `headers`. Raises UpstreamFailed; cancelling hangs up."""
        while self.headers is None:
            if self.error is not None:
                raise self.error
            await self._news()

    async def __anext__(self) -> bytes:
        while True:
            if self._chunks:
                chunk = self._chunks.popleft()
                self.held_bytes -= len(chunk)
                if self.is_paused and self.held_bytes <= LOW_BYTES and self.connection is not None:
                    self.connection.resume()
                return chunk
            if self.error is not None:
                raise self.error
            if self.is_over:
                raise StopAsyncIteration
            await self._news()

    async def within(self, seconds: float) -> bytes | None:
        """The next chunk; None where none comes in that time. Ends and raises as `__anext__`."""
        if not self._chunks and self.error is None and not self.is_over and self.connection is not None:
            timer = self.connection.loop.call_later(seconds, self.wake)
            try:
                await self._news()
            finally:
                timer.cancel()
            if not self._chunks and self.error is None and not self.is_over:
                return None
        return await self.__anext__()

    async def aclose(self) -> None:
        """Give the answer up: an unfinished one hangs up on the upstream at once."""
        self._chunks.clear()
        self._hang_up()

    async def _news(self) -> None:
        connection = self.connection
        if connection is None:
            raise AssertionError("an open exchange has a connection")
        self._waiter = connection.loop.create_future()
        try:
            await self._waiter
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        self.is_over = True
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abort()
        self.wake()

    def put(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        self.held_bytes += len(chunk)

    def wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def finish(self, error: UpstreamFailed | None = None) -> None:
        """No more will come."""
        if not self.is_over:
            self.is_over, self.error = True, error
            self.connection = None
            self.wake()


class Connection(asyncio.Protocol):
    """A socket to one origin: `made`, `freed` after each exchange it survives, and `lost` are called with it."""

    __slots__ = (
        "_answers",
        "_freed",
        "_is_writable",
        "_lost",
        "_made",
        "_seen_at",
        "_sent_at",
        "_stale_s",
        "_timer",
        "_timer_at",
        "_transport",
        "_unsent",
        "_uses",
        "exchange",
        "idle_since",
        "loop",
        "origin",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        stale_s: float,
        freed: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        made: Callable[[Connection], None],
    ) -> None:
        self.loop, self.origin = loop, origin
        self._stale_s, self._freed, self._lost, self._made = stale_s, freed, lost, made
        self._answers = Answers()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._seen_at = self._sent_at = self.idle_since = 0.0
        self._unsent: memoryview | None = None
        self._is_writable = True
        self._uses = 0
        self.exchange: Exchange | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def fileno(self) -> int:
        """The socket's descriptor, -1 where there is none."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if sock is None else cast(int, sock.fileno())

    def start(self, head: bytes, body: bytes, timeouts: Timeouts, began: float, *, is_head: bool) -> Exchange:
        """Send a request; the connection must be open and idle. `began` on the loop's clock."""
        transport = self._transport
        if transport is None:
            raise AssertionError("the connection is not open")
        exchange = self.exchange = Exchange(self, timeouts, began + timeouts.total_s)
        self._answers.begin(is_head=is_head)
        self._uses += 1
        self._sent_at = now = self.loop.time()
        due = min(now + timeouts.first_byte_s, exchange.total_at)
        if self._timer is None or self._timer_at > due:
            self._arm(due)
        if len(body) <= _SLICE_BYTES:
            transport.write(head + body if body else head)
        else:
            transport.write(head)
            self._unsent = memoryview(body)
            self._pump()
        return exchange

    def resume(self) -> None:
        """Read on after back-pressure; the time stood still is not the upstream's."""
        exchange, transport = self.exchange, self._transport
        if exchange is None or transport is None or transport.is_closing():
            return
        exchange.is_paused = False
        self._seen_at = self.loop.time()
        self._watch_idle(exchange)
        transport.resume_reading()

    def abort(self) -> None:
        """Close at once, without a word."""
        exchange, self.exchange, self._unsent = self.exchange, None, None
        if exchange is not None:
            exchange.finish(failure("closed", self.origin))
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._made(self)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # an idle connection has nothing to say: what comes would answer the next request
            self.abort()
            return
        self._seen_at = self.loop.time()
        answers = self._answers
        body = answers.feed(data)
        if body:
            exchange.put(body)
        if exchange.headers is None and answers.headers is not None:
            exchange.status, exchange.headers = answers.status, answers.headers
            if not answers.is_whole:
                self._watch_idle(exchange)
        if answers.fault is not None:
            self._fail(failure("bad_answer", self.origin, answers.fault))
        elif answers.is_whole:
            self._finish(exchange)
        else:
            exchange.wake()
            if exchange.held_bytes > HIGH_BYTES and not exchange.is_paused and self._transport is not None:
                exchange.is_paused = True
                self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._transport = self._unsent = None
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            answers = self._answers
            is_early = self.loop.time() - self._sent_at <= self._stale_s
            exchange.is_stale = self._uses > 1 and is_early and not answers.is_begun
            exchange.finish(self._verdict(exc))
        self._lost(self)

    def pause_writing(self) -> None:
        self._is_writable = False

    def resume_writing(self) -> None:
        self._is_writable = True
        self._pump()

    def _verdict(self, exc: Exception | None) -> UpstreamFailed | None:
        if exc is not None:
            return failure("reset", self.origin, reason(exc))
        code = self._answers.end()
        if code is None:
            return None
        return failure(code, self.origin, "no answer came" if code == "reset" else "")

    def _pump(self) -> None:
        transport = self._transport
        while self._unsent is not None and self._is_writable and transport is not None:
            transport.write(self._unsent[:_SLICE_BYTES])
            rest = self._unsent[_SLICE_BYTES:]
            self._unsent = rest if rest else None

    def _finish(self, exchange: Exchange) -> None:
        self.exchange = None
        exchange.finish()
        transport = self._transport
        if transport is None:
            return
        if self._answers.is_reusable and self._unsent is None and not transport.get_write_buffer_size():
            self._freed(self)
        else:
            self.abort()

    def _fail(self, error: UpstreamFailed) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.finish(error)
        self.abort()

    # One timer per connection, pushed on when it fires rather than with every chunk.

    def _watch_idle(self, exchange: Exchange) -> None:
        due = min(self._seen_at + exchange.timeouts.idle_s, exchange.total_at)
        if self._timer is None or self._timer_at > due:
            self._arm(due)

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        self._timer = self.loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        exchange = self.exchange
        if exchange is None:
            return
        timeouts = exchange.timeouts
        if exchange.headers is None:
            due, code, limit_s = self._sent_at + timeouts.first_byte_s, "first_byte_timeout", timeouts.first_byte_s
        elif exchange.is_paused:
            due, code, limit_s = exchange.total_at, "total_timeout", timeouts.total_s
        else:
            due, code, limit_s = self._seen_at + timeouts.idle_s, "idle_timeout", timeouts.idle_s
        if exchange.total_at < due:
            due, code, limit_s = exchange.total_at, "total_timeout", timeouts.total_s
        if self.loop.time() + _TICK_S >= due:
            self._fail(failure(code, self.origin, limit_s=limit_s))
        else:
            self._arm(due)
