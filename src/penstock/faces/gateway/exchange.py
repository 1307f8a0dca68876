"""One request and its answer on a connection: the ASGI side of the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ...errors import Rendered
from . import refusals

if TYPE_CHECKING:
    from uvicorn._types import HTTPScope

    from .connection import Connection

log = logging.getLogger("penstock.gateway.server")

Message = MutableMapping[str, Any]
App = Callable[..., Any]

STATUS_LINE = {
    status: b"HTTP/1.1 %d %s\r\n" % (status, HTTPStatus(status).phrase.encode())
    if status in set(HTTPStatus)
    else b"HTTP/1.1 %d \r\n" % status
    for status in range(100, 1000)
}
_TOKEN = bytes(c for c in range(33, 127) if c not in b'"(),/:;<=>?@[\\]{}')
_FIELD = bytes(c for c in range(256) if (c >= 32 and c != 127) or c == 9)
_NO_BODY = frozenset({204, 304})


class Exchange:
    """Runs the app for one request, and writes what it sends.

    If the caller hangs up before the answer is complete, the app's task is cancelled, unless the app has set
    `scope["state"]["hangup"]` to a callable: that one is called instead, once, and the task goes on (its `send` then
    does nothing). An answer without an end of its own asks `scope["state"]["is_draining"]()` when to end.
    """

    __slots__ = (
        "chunked",
        "connection",
        "head",
        "held",
        "is_complete",
        "is_gone",
        "is_started",
        "keeps_alive",
        "left",
        "more_body",
        "news",
        "parts",
        "scope",
        "task",
        "wants_continue",
    )

    def __init__(self, connection: Connection, scope: HTTPScope, *, wants_continue: bool, keeps_alive: bool):
        self.connection = connection
        self.scope = scope
        self.news = asyncio.Event()
        self.parts: list[bytes] = []
        self.held = 0
        self.more_body = True
        self.wants_continue = wants_continue
        self.keeps_alive = keeps_alive
        self.is_gone = False
        self.is_started = False
        self.is_complete = False
        self.chunked = False
        self.left = 0
        self.task: asyncio.Task[None] | None = None

    def hang_up(self) -> None:
        """The caller is gone, or what it sends is broken: nobody will read the rest of the answer."""
        if self.is_gone or self.is_complete:
            return
        self.is_gone = True
        self.news.set()
        hangup = self.scope["state"]["hangup"]
        if hangup is not None:
            hangup()
        elif self.task is not None:
            self.task.cancel()

    async def run(self, app: App) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            if not self.is_gone:
                self._fail(self.connection.worded(refusals.draining()))
            raise
        except Exception as error:
            log.error("the gateway application failed: %s", placed(error))
            if not self.is_gone:
                self._fail(self.connection.worded(error))
        else:
            if not self.is_complete and not self.is_gone:
                log.error("the gateway application returned before its answer was complete")
                self._fail(self.connection.worded(RuntimeError("incomplete answer")))
        finally:
            self.task = None

    def _fail(self, answer: Rendered) -> None:
        """End the exchange ourselves: with an answer if none has begun, else by cutting the connection."""
        if self.is_complete:
            return
        if self.is_started:
            self.connection.cut()
            return
        status, headers, body = answer
        self.keeps_alive = False
        self._start(status, (*headers, (b"content-length", b"%d" % len(body))))
        self._write_body(body, False)

    async def receive(self) -> Message:
        connection = self.connection
        if not self.is_gone and not self.is_complete:
            if self.wants_continue:
                self.wants_continue = False
                connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.flow.resume_reading()
            if not self.parts and not self.news.is_set():
                await self.news.wait()
        self.news.clear()
        if self.is_gone or self.is_complete:
            return {"type": "http.disconnect"}
        body, self.parts, self.held = b"".join(self.parts), [], 0
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        if self.is_gone:
            return
        flow = self.connection.flow
        if flow.write_paused:
            await flow.drain()
            if self.is_gone:
                return
        kind = message["type"]
        if kind == "http.response.body" and self.is_started and not self.is_complete:
            self._write_body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start" and not self.is_started:
            self._start(message["status"], message.get("headers", ()))
        else:
            raise RuntimeError(f"the ASGI message {kind} came out of order")

    def _start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        if not self.connection.may_keep(self):
            self.keeps_alive = False
        lines = [STATUS_LINE[status]]
        names, values = [], []
        length: int | None = None
        says_close = False
        for name, value in headers:
            name = name.lower()
            names.append(name)
            values.append(value)
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                says_close = says_close or b"close" in value.lower()
            elif name == b"transfer-encoding":
                raise RuntimeError("an answer's framing is the server's business, not the application's")
            lines += (name, b": ", value, b"\r\n")
        if b"".join(names).translate(None, _TOKEN) or b"".join(values).translate(None, _FIELD):
            raise RuntimeError("an answer has a header field that is not valid HTTP")
        self.is_started = True
        self.wants_continue = False
        if b"date" not in names:
            lines.append(self.connection.gateway.date_line)
        if says_close:
            self.keeps_alive = False
        elif not self.keeps_alive:
            lines.append(b"connection: close\r\n")
        if length is not None:
            self.left = 0 if self.scope["method"] == "HEAD" or status in _NO_BODY else length
        elif self.scope["method"] != "HEAD" and status not in _NO_BODY:
            if self.scope["http_version"] == "1.1":
                self.chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:  # HTTP/1.0 knows no chunks: the body ends with the connection
                self.left = -1
        lines.append(b"\r\n")
        if self.left > 0:
            self.head = b"".join(lines)  # the body of a known length follows at once: one write for both
        else:
            self.connection.transport.write(b"".join(lines))

    def _write_body(self, body: bytes, more: bool) -> None:
        write = self.connection.transport.write
        if self.chunked:
            if not more:
                write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n")
            elif body:
                write(b"%x\r\n%b\r\n" % (len(body), body))
        elif self.left < 0:
            write(body)
        elif self.left:
            self.left -= len(body)
            if self.left < 0:
                raise RuntimeError("the body is longer than its content-length")
            if self.head or body:
                write(self.head + body)
                self.head = b""
        elif body and self.scope["method"] != "HEAD":
            raise RuntimeError("the body is longer than its content-length")
        if not more:
            if self.left > 0:
                raise RuntimeError("the body is shorter than its content-length")
            self.is_complete = True
            self.news.set()
            self.connection.on_answered(self)


def placed(error: BaseException) -> str:
    """An error's type and place, without its words: those may quote what the caller sent."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "unknown place"
    return f"{type(error).__name__} at {where}"
