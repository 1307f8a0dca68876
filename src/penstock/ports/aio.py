"""Upstream connections by aiohttp: slower than `pool`, at home in odd networks.

It takes proxies from the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY), which the other two do not.
aiohttp's own `trust_env` is not used: it asks again for every request, in a thread, and adds credentials from .netrc.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.request import getproxies, proxy_bypass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from ..call import Headers, Timeouts
from ..errors import UpstreamFailed
from . import Incoming, Outgoing
from .http1 import FIELDS_MAX, HEAD_MAX_BYTES, serialise, unsendable
from .origin import Origin, PoolLimits, failure, read_origin, reason

_READ_BYTES = 65_536
_SKIPPED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


@dataclass(slots=True)
class _Try:
    """One attempt as aiohttp's trace hooks see it."""

    limit: asyncio.Timeout
    first_byte_s: float
    total_at: float
    is_reused: bool = False
    sent_at: float = 0.0

    def connected(self, *, is_reused: bool) -> None:
        self.is_reused = is_reused
        self.sent_at = asyncio.get_running_loop().time()
        self.limit.reschedule(min(self.sent_at + self.first_byte_s, self.total_at))


class AioPool:
    """The `Upstream` for proxies and odd networks. Errors and the one stale retry are as in `LoopPool`.

    Where aiohttp shows less, less is promised: a stale retry cannot see whether part of a head had come, an answer
    that nobody asked for may be taken for the next request's, what a failing read brought may be lost with it, and
    a forked child keeps its copies of the sockets open.
    """

    def __init__(self, limits: PoolLimits | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._limits = limits or PoolLimits()
        self._tls = tls
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._inherited: list[aiohttp.ClientSession] = []
        self._origins: dict[str, tuple[Origin, str | None]] = {}
        self._is_closed = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forgetter(weakref.ref(self)))

    async def send(self, request: Outgoing) -> Incoming:
        found = self._origins.get(request.url)
        if found is None:
            origin = read_origin(request.url)
            found = self._origins[request.url] = origin, _proxy_of(origin)
        origin, proxy = found
        if self._is_closed:
            raise failure("closed", origin)
        # Refuses what must not go out; aiohttp writes its own head.
        serialise(request.method, request.path, request.headers, origin.field, len(request.body))
        loop = asyncio.get_running_loop()
        session = self._session_of(loop)
        total_at = loop.time() + request.timeouts.total_s
        response = await self._exchange(session, request, origin, proxy, total_at, may_retry=True)
        if response is None:
            response = await self._exchange(session, request, origin, proxy, total_at, may_retry=False)
        if response is None:
            raise AssertionError("only the first try may be stale")
        headers = tuple((name.lower(), value) for name, value in response.raw_headers)
        fault = _fault(response.status, headers)
        if fault is not None:
            response.close()
            raise failure("bad_answer", origin, fault)
        return Incoming(response.status, headers, _AioBody(self, response, origin, request.timeouts, total_at))

    async def aclose(self) -> None:
        """Close every connection of this loop; bodies still open fail with `closed`. Twice is safe."""
        self._is_closed = True
        here = asyncio.get_running_loop()
        for loop, session in list(self._sessions.items()):
            if loop is here:
                await session.close()
            elif not loop.is_closed():
                asyncio.run_coroutine_threadsafe(session.close(), loop)
        self._sessions.clear()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        request: Outgoing,
        origin: Origin,
        proxy: str | None,
        total_at: float,
        *,
        may_retry: bool,
    ) -> aiohttp.ClientResponse | None:
        timeouts, loop = request.timeouts, asyncio.get_running_loop()
        limit = asyncio.timeout_at(min(loop.time() + timeouts.connect_s + timeouts.first_byte_s, total_at))
        trial = _Try(limit, timeouts.first_byte_s, total_at)
        try:
            async with limit:
                return await session.request(
                    request.method,
                    URL(request.url.rstrip("/") + request.path, encoded=True),
                    headers=_decoded(request.headers),
                    data=request.body or None,
                    allow_redirects=False,
                    proxy=proxy,
                    timeout=aiohttp.ClientTimeout(sock_connect=timeouts.connect_s, ceil_threshold=1e9),
                    trace_request_ctx=trial,
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise failure("connect_timeout", origin, limit_s=timeouts.connect_s) from error
        except TimeoutError as error:
            is_total = loop.time() >= total_at
            code = "total_timeout" if is_total else "first_byte_timeout"
            limit_s = timeouts.total_s if is_total else timeouts.first_byte_s
            raise failure(code, origin, limit_s=limit_s) from error
        except (aiohttp.ClientError, OSError) as error:
            is_stale = trial.is_reused and loop.time() - trial.sent_at <= self._limits.stale_s
            if may_retry and is_stale and isinstance(error, (aiohttp.ServerDisconnectedError, OSError)):
                return None
            raise self._failed(error, origin, is_connected=trial.sent_at > 0) from error

    def _failed(self, error: Exception, origin: Origin, *, is_connected: bool) -> UpstreamFailed:
        if self._is_closed:
            return failure("closed", origin)
        if isinstance(error, aiohttp.ClientResponseError):
            return failure("bad_answer", origin, reason(error))
        if not is_connected or isinstance(error, aiohttp.ClientConnectorError):
            return failure("connect_failed", origin, reason(error))
        return failure("reset", origin, "no answer came")

    def _session_of(self, loop: asyncio.AbstractEventLoop) -> aiohttp.ClientSession:
        session = self._sessions.get(loop)
        if session is None:
            for other in [each for each in self._sessions if each.is_closed()]:
                left = self._sessions.pop(other)
                if left.connector is not None:
                    next(left.connector.close().__await__(), None)  # on a closed loop this only marks it
                left.detach()
            session = self._sessions[loop] = self._open_session()
        return session

    def _open_session(self) -> aiohttp.ClientSession:
        limits = self._limits
        hooks = aiohttp.TraceConfig()
        hooks.on_connection_reuseconn.append(_on_reused)
        hooks.on_connection_create_end.append(_on_created)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                limit_per_host=limits.connections_max,
                keepalive_timeout=limits.keep_s,
                ssl=self._tls or True,
                happy_eyeballs_delay=0.25,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_SKIPPED,
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
            max_line_size=HEAD_MAX_BYTES,
            max_field_size=HEAD_MAX_BYTES,
            trace_configs=[hooks],
        )

    def forget_parent(self) -> None:
        """In a forked child: keep the inherited sessions, unused, for closing them would disturb the parent's."""
        self._inherited.extend(self._sessions.values())
        self._sessions = {}


def _forgetter(pool: weakref.ref[AioPool]) -> Callable[[], None]:
    def forget() -> None:
        inherited = pool()
        if inherited is not None:
            inherited.forget_parent()

    return forget


async def _on_reused(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.connected(is_reused=True)


async def _on_created(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.connected(is_reused=False)


def _proxy_of(origin: Origin) -> str | None:
    if proxy_bypass(f"{origin.host}:{origin.port}"):
        return None
    return getproxies().get("https" if origin.is_tls else "http")


def _decoded(headers: Headers) -> CIMultiDict[str]:
    """Header fields as aiohttp takes them; it encodes them as UTF-8 again."""
    try:
        return CIMultiDict([(name.decode("ascii"), value.decode()) for name, value in headers])
    except UnicodeDecodeError as error:
        raise unsendable() from error


def _fault(status: int, headers: Headers) -> str | None:
    """What aiohttp lets pass and we do not."""
    names = [name for name, _ in headers]
    if len(headers) > FIELDS_MAX:
        return f"more than {FIELDS_MAX} header fields"
    if sum(len(name) + len(value) + 4 for name, value in headers) > HEAD_MAX_BYTES:
        return f"a head of more than {HEAD_MAX_BYTES} bytes"
    if b"transfer-encoding" in names and b"content-length" in names:
        return "Content-Length beside Transfer-Encoding"
    if names.count(b"content-length") > 1:
        return "Content-Length twice"
    return f"status {status}" if status < 200 else None


class _AioBody:
    """The `Source` of one answer's body."""

    __slots__ = ("_closed", "_is_over", "_lost_by", "_origin", "_pool", "_response", "_timeouts", "_total_at")

    def __init__(
        self, pool: AioPool, response: aiohttp.ClientResponse, origin: Origin, timeouts: Timeouts, total_at: float
    ) -> None:
        self._pool, self._response, self._origin = pool, response, origin
        self._timeouts, self._total_at = timeouts, total_at
        self._is_over = False
        self._lost_by: BaseException | None = None
        protocol = response.connection.protocol if response.connection is not None else None
        self._closed = None if protocol is None else protocol.closed
        if self._closed is not None:
            self._closed.remove_done_callback(_note)
            self._closed.add_done_callback(_note)
            self._closed.add_done_callback(self._lost)

    async def __anext__(self) -> bytes:
        if self._is_over:
            raise StopAsyncIteration
        try:
            chunk = await self._read()
        except BaseException:
            await self.aclose()
            raise
        return self._taken(chunk)

    async def within(self, seconds: float) -> bytes | None:
        """The next chunk; None where none comes in that time. Ends and raises as `__anext__`."""
        if self._is_over:
            raise StopAsyncIteration
        try:
            async with asyncio.timeout(seconds):
                chunk = await self._read()
        except TimeoutError:
            return None
        except BaseException:
            await self.aclose()
            raise
        return self._taken(chunk)

    def _taken(self, chunk: bytes) -> bytes:
        if chunk:
            return chunk
        self._settle()
        self._response.release()
        raise StopAsyncIteration

    async def _read(self) -> bytes:
        loop, timeouts, origin = asyncio.get_running_loop(), self._timeouts, self._origin
        try:
            async with asyncio.timeout_at(min(loop.time() + timeouts.idle_s, self._total_at)):
                return await self._response.content.readany()
        except TimeoutError as error:
            if loop.time() >= self._total_at:
                raise failure("total_timeout", origin, limit_s=timeouts.total_s) from error
            raise failure("idle_timeout", origin, limit_s=timeouts.idle_s) from error
        except (aiohttp.ClientError, aiohttp.http.HttpProcessingError, OSError) as error:
            raise self._failed(error) from error
        except RuntimeError as error:  # "Connection closed."
            if not self._pool.is_closed:
                raise
            raise failure("closed", origin) from error

    def _lost(self, closed: asyncio.Future[None]) -> None:
        """The connection is gone. After a bad chunk aiohttp closes it and leaves the reader waiting."""
        self._lost_by = closed.exception()
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.http.HttpProcessingError(message="bad chunk"))

    def _settle(self) -> None:
        self._is_over = True
        if self._closed is not None:
            self._closed.remove_done_callback(self._lost)
            self._closed = None

    def _failed(self, error: BaseException) -> UpstreamFailed:
        if self._pool.is_closed:
            return failure("closed", self._origin)
        if self._lost_by is not None:
            return failure("reset", self._origin, reason(self._lost_by))
        if isinstance(error, aiohttp.http.HttpProcessingError):
            return failure("bad_answer", self._origin, reason(error))
        return failure("cut", self._origin)

    async def aclose(self) -> None:
        self._settle()
        self._response.close()


def _note(closed: asyncio.Future[None]) -> None:
    """Mark the future's exception as seen: nobody waits for a connection that dies idle."""
    closed.exception()
