"""Upstream connections without an event loop: the blocking twin of `pool`.

Its methods are `async def` but never suspend (see `drive`). Sockets do not block either: every wait is a poll
against a deadline, which also lets an answer be read while a long request is still going out.
"""

from __future__ import annotations

import os
import ssl
import threading
import time
import weakref
from collections.abc import Callable

from ..call import Timeouts
from ..errors import UpstreamFailed
from . import Incoming, Outgoing
from .http1 import serialise
from .line import Line, connect
from .origin import Origin, PoolLimits, failure, read_origin, reason


class SocketPool:
    """The `Upstream` of blocking callers; any number of threads may share it.

    Framing, timeouts, codes and the one retry of a stale connection are those of `LoopPool`. `now` gives
    monotonic seconds. A forked child closes its copies of the sockets and starts with none.
    """

    def __init__(
        self,
        limits: PoolLimits | None = None,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits or PoolLimits()
        self._tls = tls
        self._now = now
        self._sites: dict[str, _Site] = {}
        self._is_closed = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_forgetter(weakref.ref(self)))

    async def send(self, request: Outgoing) -> Incoming:
        site = self._sites.get(request.url)
        if site is None:
            made = _Site(read_origin(request.url), self._limits, self._now)
            site = self._sites.setdefault(request.url, made)
        if self._is_closed:
            raise failure("closed", site.origin)
        head = serialise(request.method, request.path, request.headers, site.origin.field, len(request.body))
        began = self._now()
        body = self._exchange(site, request, head, began, may_reuse=True)
        if body is None:
            body = self._exchange(site, request, head, began, may_reuse=False)
        if body is None or body.line.answers.headers is None:
            raise AssertionError("a fresh connection is never stale")
        return Incoming(body.status, body.line.answers.headers, body)

    async def aclose(self) -> None:
        """Close every connection; bodies still open fail with `closed`. Twice is safe."""
        self._is_closed = True
        for site in list(self._sites.values()):
            site.close()

    def _exchange(
        self, site: _Site, request: Outgoing, head: bytes, began: float, *, may_reuse: bool
    ) -> SocketBody | None:
        line = self._acquire(site, request.timeouts, began, may_reuse=may_reuse)
        body = SocketBody(site, line, request.timeouts, began)
        sent_at = self._now()
        try:
            line.start(head, request.body, is_head=request.method == "HEAD")
            body.read_head(sent_at)
        except UpstreamFailed as error:
            is_early = self._now() - sent_at <= self._limits.stale_s
            if error.code == "reset" and line.uses > 1 and is_early and not line.answers.is_begun:
                return None
            raise
        return body

    def _acquire(self, site: _Site, timeouts: Timeouts, began: float, *, may_reuse: bool) -> Line:
        wait_s = min(timeouts.first_byte_s, timeouts.total_s)
        line = site.take(began + wait_s, wait_s, may_reuse=may_reuse)
        if line is not None:
            return line
        try:
            connect_s = min(timeouts.connect_s, began + timeouts.total_s - self._now())
            line = connect(site.origin, self._context() if site.origin.is_tls else None, connect_s, self._now)
        except BaseException:
            site.dropped(None)
            raise
        site.opened(line)
        return line

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            tls = ssl.create_default_context()
            tls.set_alpn_protocols(["http/1.1"])
            self._tls = tls
        return self._tls

    def forget_parent(self) -> None:
        """In a forked child: close the inherited descriptors, which says nothing to the other end."""
        sites, self._sites = self._sites, {}
        for site in sites.values():
            site.forget()


def _forgetter(pool: weakref.ref[SocketPool]) -> Callable[[], None]:
    def forget() -> None:
        inherited = pool()
        if inherited is not None:
            inherited.forget_parent()

    return forget


class SocketBody:
    """The `Source` of one answer's body."""

    __slots__ = ("_began", "_first", "_is_over", "_site", "_timeouts", "line", "status")

    def __init__(self, site: _Site, line: Line, timeouts: Timeouts, began: float) -> None:
        self.line = line
        self.status = 0
        self._site, self._timeouts, self._began = site, timeouts, began
        self._first = b""
        self._is_over = False

    def read_head(self, sent_at: float) -> None:
        """Block until the head is in. Raises UpstreamFailed."""
        answers, limit_s = self.line.answers, self._timeouts.first_byte_s
        while answers.headers is None:
            self._first = self._read(sent_at + limit_s, "first_byte_timeout", limit_s)
        self.status = answers.status

    async def __anext__(self) -> bytes:
        if self._first:
            chunk, self._first = self._first, b""
            return chunk
        idle_s = self._timeouts.idle_s
        while not self._is_over:
            chunk = self._read(self._site.now() + idle_s, "idle_timeout", idle_s)
            if chunk:
                return chunk
        raise StopAsyncIteration

    async def within(self, seconds: float) -> bytes | None:
        """The next chunk; None where none comes in that time. Ends and raises as `__anext__`."""
        if not self._first and not self._is_over and not self.line.may_read(self._site.now() + seconds):
            return None
        return await self.__anext__()

    async def aclose(self) -> None:
        self._first = b""
        if not self._is_over:
            self._drop()

    def _drop(self) -> None:
        self._is_over = True
        self._site.dropped(self.line)

    def _read(self, due: float, code: str, limit_s: float) -> bytes:
        """The body bytes of one read; settles the connection where the answer ends or fails."""
        answers, origin = self.line.answers, self._site.origin
        total_at = self._began + self._timeouts.total_s
        if total_at < due:
            due, code, limit_s = total_at, "total_timeout", self._timeouts.total_s
        if answers.fault is not None:
            self._drop()
            raise failure("bad_answer", origin, answers.fault)
        try:
            data = self.line.read(due)
            if self._site.is_closed:
                raise failure("closed", origin)
        except TimeoutError as error:
            self._drop()
            raise failure(code, origin, limit_s=limit_s) from error
        except OSError as error:
            self._drop()
            raise failure("closed" if self._site.is_closed else "reset", origin, reason(error)) from error
        except BaseException:
            self._drop()
            raise
        if not data:
            self._drop()
            ended = answers.end()
            if ended is not None:
                raise failure(ended, origin, "no answer came" if ended == "reset" else "")
            return b""
        body = answers.feed(data)
        if answers.fault is not None:
            if not body or answers.headers is None:
                self._drop()
                raise failure("bad_answer", origin, answers.fault)
        elif answers.is_whole:
            self._is_over = True
            self._site.freed(self.line)
        return body


class _Site:
    """The connections to one origin. `_count` has those being opened in it, `_open` has not."""

    def __init__(self, origin: Origin, limits: PoolLimits, now: Callable[[], float]) -> None:
        self.origin, self._limits, self.now = origin, limits, now
        self.is_closed = False
        self._turn = threading.Condition(threading.Lock())
        self._count = 0
        self._open: set[Line] = set()
        self._idle: list[Line] = []

    def take(self, until: float, wait_s: float, *, may_reuse: bool) -> Line | None:
        """An idle connection, or None with leave to open one. Raises UpstreamFailed (first_byte_timeout)."""
        with self._turn:
            self._expire()
            while True:
                if self.is_closed:
                    raise failure("closed", self.origin)
                while self._idle:
                    line = self._idle.pop()
                    if may_reuse and line.is_quiet():
                        return line
                    self._discard(line)
                if self._count < self._limits.connections_max:
                    self._count += 1
                    return None
                left_s = until - self.now()
                if left_s <= 0:
                    detail = "every connection was taken, see connections_max"
                    raise failure("first_byte_timeout", self.origin, detail, limit_s=wait_s)
                self._turn.wait(left_s)

    def opened(self, line: Line) -> None:
        with self._turn:
            self._open.add(line)

    def freed(self, line: Line) -> None:
        """An answer is whole: keep the connection if it can serve again."""
        with self._turn:
            if self.is_closed or not line.is_reusable or len(self._idle) >= self._limits.idle_max:
                self._discard(line)
            else:
                line.idle_since = self.now()
                self._idle.append(line)
            self._turn.notify()

    def dropped(self, line: Line | None) -> None:
        """A connection is over, or None: it could not be opened."""
        with self._turn:
            if line is None:
                self._count -= 1
            else:
                self._discard(line)
            self._turn.notify()

    def close(self) -> None:
        with self._turn:
            self.is_closed = True
            for line in list(self._open):
                self._discard(line)
            self._idle.clear()
            self._turn.notify_all()

    def forget(self) -> None:
        for line in self._open:
            line.forget()

    def _expire(self) -> None:
        oldest = self.now() - self._limits.keep_s
        while self._idle and self._idle[0].idle_since <= oldest:
            self._discard(self._idle.pop(0))

    def _discard(self, line: Line) -> None:
        if line in self._open:
            self._open.remove(line)
            self._count -= 1
        line.close()
