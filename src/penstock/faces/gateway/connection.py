"""One caller's connection: uvicorn's httptools protocol with the limits, watchdogs and strictness it lacks.

The parser (llhttp) is strict about framing; what it lets through is checked once per request, at the end of its head.
Deadlines cost nothing per request: a connection notes the number of the last sweep whenever its phase changes, and one
timer per server looks at all connections (`sweep`).

A refused connection is *parting*: it gets one API-shaped error, after the answers it is still owed, then its bytes
are thrown away until it closes or `linger_s` is over. Nothing is ever answered after a refusal.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ...errors import Refused, Rendered, rendered
from . import refusals
from .exchange import STATUS_LINE, Exchange
from .head import plain_head, read_fields, read_target

if TYPE_CHECKING:
    from .server import Server

#: Bytes on the wire allowed for each byte of body: chunk sizes, extensions and trailers are bounded by it.
_WIRE_PER_BODY_BYTE = 16
_REFUSED_METHODS = frozenset({"CONNECT", "TRACE"})


class Phase(IntEnum):
    """What the caller owes us next."""

    FRESH = 0  #: the first byte of its first request
    IDLE = 1  #: the first byte of another request, if it likes
    HEAD = 2
    BODY = 3
    BUSY = 4  #: nothing: an answer is under way
    PARTING = 5  #: nothing any more: it was refused, or is being closed


#: Looked up by name: an enum's own attribute lookup is slow before Python 3.12.
FRESH, IDLE, HEAD, BODY, BUSY, PARTING = Phase


class Connection(HttpToolsProtocol):
    cycle: Exchange  # type: ignore[assignment]
    pipeline: deque[Exchange]  # type: ignore[assignment]

    def __init__(self, gateway: Server, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, gateway.state, {}, loop)
        self.gateway = gateway
        self._is_draining = lambda: gateway.is_draining
        self.phase = FRESH
        self.since = gateway.tick
        self.active: Exchange | None = None
        self.headers = []
        self.parting: bytes | None = None
        self.is_deaf = False
        self._renew_parser()
        self._is_last = False
        self._is_upgrade = False
        self._fed = 0
        self._head_bytes = 0
        self._wire_bytes = 0
        self._body_bytes = 0
        self._body_bytes_max = 0
        self._window_since = 0
        self._window_bytes = 0
        self._unsent_bytes = 0
        self._unsent_since = 0

    def _renew_parser(self) -> None:
        self.parser = httptools.HttpRequestParser(self)

    # What the transport tells us

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        count, count_max = len(self.connections), self.gateway.limits.connections_max
        if count > count_max + count_max // 8 + 8:
            transport.abort()  # too many even to be told so
        elif count > count_max:
            self.refuse(refusals.full(count_max))

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        self.phase, self.is_deaf = PARTING, True
        self.parser = None  # type: ignore[assignment]
        self._hang_up()
        self.flow.resume_writing()
        self.gateway.on_change()

    def eof_received(self) -> None:
        """A caller that will send no more is taken to have hung up; returning None closes the transport."""
        self.is_deaf = True
        self._hang_up()

    def data_received(self, data: bytes) -> None:
        if self.is_deaf:
            return
        self._fed = len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            self._on_fault(error, data)
            return
        phase = self.phase
        if phase is BUSY:
            return
        header_bytes_max = self.gateway.limits.header_bytes_max
        if phase is BODY:
            self.since = self.gateway.tick
            self._wire_bytes += self._fed
            if self._wire_bytes > header_bytes_max + _WIRE_PER_BODY_BYTE * self._body_bytes:
                self.refuse(refusals.malformed("its chunks carry more framing than data", "Send larger chunks."))
        elif phase is not PARTING:
            self._head_bytes += self._fed
            if self._head_bytes > header_bytes_max:
                self.refuse(refusals.header_too_large(header_bytes_max))

    # What the parser tells us. A Refused raised here reaches `_on_fault`.

    def on_message_begin(self) -> None:
        if self._is_last:
            raise refusals.malformed("more data follows a request that was to be the last")
        # Bytes of an earlier request in the same read are not this one's.
        self._head_bytes = 0 if self.phase <= IDLE else -self._fed
        self.phase, self.since = HEAD, self.gateway.tick
        self.url = b""
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is HEAD:  # otherwise a trailer, which nobody asked for
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, limits, headers = self.parser, self.gateway.limits, self.headers
        if len(headers) > limits.header_count_max:
            raise refusals.too_many_headers(limits.header_count_max)
        if self._fed > limits.header_bytes_max or self._head_bytes + self._fed > limits.header_bytes_max:
            self._check_head_size(limits.header_bytes_max)
        method = parser.get_method().decode("ascii")
        if method in _REFUSED_METHODS:
            raise refusals.method_refused(method)
        if parser.should_upgrade():
            self._is_upgrade = True
            return
        version = parser.get_http_version()
        length, is_chunked, wants_continue = read_fields(headers, version)
        path, raw_path, query = read_target(self.url)
        if length or is_chunked:
            self._body_bytes_max = self.gateway.body_bytes_max(raw_path.decode("ascii"))
            if length > self._body_bytes_max:
                raise refusals.body_too_large(self._body_bytes_max)
        if len(self.pipeline) >= limits.pipeline_max:
            raise refusals.malformed("too many requests were sent ahead", "Wait for answers, or use more connections.")
        if self.gateway.is_draining:
            raise refusals.draining()
        keeps_alive = version == "1.1" and parser.should_keep_alive()
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "method": method,
            "scheme": self.scheme or "http",
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": headers,
            "server": self.server,
            "client": self.client,
            "state": {"hangup": None, "is_draining": self._is_draining},
        }
        self._is_last = not keeps_alive
        self.phase, self.since = BODY, self.gateway.tick
        self._wire_bytes = self._body_bytes = self._window_bytes = 0
        self._window_since = self.since
        self.cycle = Exchange(self, self.scope, wants_continue=wants_continue, keeps_alive=keeps_alive)
        self._begin(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._body_bytes_max:
            raise refusals.body_too_large(self._body_bytes_max)
        exchange = self.cycle
        if exchange.is_gone or exchange.is_complete:
            return
        exchange.parts.append(body)
        exchange.held += len(body)
        if exchange.held > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        exchange.news.set()

    def on_message_complete(self) -> None:
        if self._is_upgrade:
            return
        self.phase = BUSY
        self.cycle.more_body = False
        self.cycle.news.set()

    # Exchanges

    def _begin(self, exchange: Exchange) -> None:
        if self.active is None:
            self._start(exchange)
            return
        self.pipeline.append(exchange)
        self.flow.pause_reading()

    def _start(self, exchange: Exchange) -> None:
        self.active = exchange
        exchange.task = task = self.loop.create_task(exchange.run(self.app))
        self.tasks.add(task)
        task.add_done_callback(self.gateway.on_task_done)

    def may_keep(self, exchange: Exchange) -> bool:
        """Whether the connection may carry another request after this one: asked when its answer's head is written."""
        return not self.gateway.is_draining and not (self.phase is BODY and exchange is self.cycle)

    def on_answered(self, exchange: Exchange) -> None:
        """An answer is complete: go on with the next request, or close."""
        self.active = None
        if self.transport.is_closing():
            return
        if not exchange.keeps_alive:
            self._part(None, lingers=self.phase is not BUSY)
        elif self.pipeline:
            self._start(self.pipeline.popleft())
        elif self.parting is not None:
            self._part(self.parting)
        elif self.phase is BUSY:
            self.phase, self.since = IDLE, self.gateway.tick
        if not self.pipeline:
            self.flow.resume_reading()

    def _hang_up(self) -> None:
        active, self.active = self.active, None
        self.pipeline.clear()
        if active is not None:
            active.hang_up()

    # Refusing and closing

    def _check_head_size(self, bytes_max: int) -> None:
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > bytes_max:
            raise refusals.header_too_large(bytes_max)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Serve a request that offers an upgrade (as Java's client does, to HTTP/2) as if it had not.

        The parser stops at such a head and takes what follows for the other protocol, so the head is given to a new
        parser without the offer.
        """
        version = self.parser.get_http_version()
        head = plain_head(self.parser.get_method(), self.url, version, self.headers)
        self._is_upgrade = False
        self._renew_parser()
        self.data_received(head + rest)

    def _on_fault(self, error: httptools.HttpParserError, data: bytes) -> None:
        if self._is_last and self.phase is not BODY:
            self.is_deaf = True  # what follows the last request is no request
            return
        cause = error.__context__
        if isinstance(cause, Refused):
            self.refuse(cause)
        else:
            self.refuse(refusals.garbled(str(error), data))

    def worded(self, error: BaseException) -> Rendered:
        return rendered(error, self.gateway.new_id())

    def refuse(self, refusal: Refused) -> None:
        """Answer with `refusal` once the answers owed before it are out, then close."""
        if self.phase is PARTING or self.parting is not None:
            return
        self.gateway.refused[refusal.code] += 1
        self.is_deaf = True
        if self.phase is BODY:  # the request under way is the broken one: nobody else will answer it
            broken = self.cycle
            if broken is self.active:
                is_started = broken.is_started
                self._hang_up()
                if is_started:
                    self.cut()
                    return
            elif self.pipeline:
                self.pipeline.pop()
        answer = self._worded_whole(refusal)
        if self.active is None:
            self._part(answer)
        else:
            self.parting, self.phase = answer, BUSY

    def _worded_whole(self, refusal: Refused) -> bytes:
        status, headers, body = self.worded(refusal)
        lines = [STATUS_LINE[status]]
        lines += (b"%b: %b\r\n" % field for field in headers)
        lines += (self.gateway.date_line, b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body), body)
        return b"".join(lines)

    def _part(self, answer: bytes | None, *, lingers: bool = True) -> None:
        """Close, after `answer` where there is one. `lingers`: the caller may still be sending, so read on a while."""
        self.phase, self.is_deaf, self.since = PARTING, True, self.gateway.tick
        if answer is not None:
            self.transport.write(answer)
        if lingers and self.transport.can_write_eof():
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def close_if_idle(self) -> None:
        """The drain is over: close what holds no exchange."""
        if self.active is None:
            self.phase, self.since = PARTING, self.gateway.tick
            self.transport.close()

    def cut(self) -> None:
        self.transport.abort()

    # Deadlines

    def sweep(self, tick: int) -> None:
        """Look at this connection's deadlines. Called once per `sweep_s`."""
        unsent_bytes = self.transport.get_write_buffer_size()
        if unsent_bytes:
            self._watch_unsent(unsent_bytes, tick)
        elif self.phase is BUSY:
            return
        elif self.phase is BODY:
            self._watch_body(tick)
        elif self.phase is HEAD and self.flow.read_paused:
            self.since = tick
        elif tick - self.since > self.gateway.ticks[self.phase]:
            if self.phase is HEAD:
                self.refuse(refusals.too_slow("head of the request", self.gateway.limits.header_read_s))
            elif self.phase is PARTING:
                self.cut()
            else:
                self._part(None, lingers=False)

    def _watch_unsent(self, unsent_bytes: int, tick: int) -> None:
        if unsent_bytes != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since = unsent_bytes, tick
        elif tick - self._unsent_since > self.gateway.stall_ticks:
            self.cut()
        self.since = tick

    def _watch_body(self, tick: int) -> None:
        limits = self.gateway.limits
        if self.flow.read_paused or self.cycle.wants_continue:  # it is we who keep the caller from sending
            self.since = tick
            self._window_since += 1
        elif tick - self.since > self.gateway.ticks[BODY]:
            self.refuse(refusals.too_slow("rest of the body", limits.body_idle_s))
        elif tick - self._window_since >= self.gateway.window_ticks:
            if self._body_bytes - self._window_bytes < limits.body_rate_min * limits.body_rate_window_s:
                self.refuse(refusals.body_too_slow(limits.body_rate_min))
            self._window_since, self._window_bytes = tick, self._body_bytes
