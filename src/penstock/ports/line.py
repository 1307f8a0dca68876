"""One keep-alive connection without an event loop."""

from __future__ import annotations

import math
import select
import socket
import ssl
from collections.abc import Callable
from typing import Any

from .http1 import Answers
from .origin import Origin, failure, reason

_READ_BYTES = 65_536
_WANTS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Line:
    """A connected socket. Reads wait until a deadline on the clock `now`, and send what is still unsent."""

    __slots__ = ("_is_torn", "_now", "_poll", "_sock", "_unsent", "answers", "idle_since", "uses")

    def __init__(self, sock: socket.socket, now: Callable[[], float]) -> None:
        self._sock, self._now = sock, now
        self._poll = select.poll()
        self._unsent: list[memoryview] = []
        self._is_torn = False
        self.answers = Answers()
        self.uses = 0
        self.idle_since = 0.0

    @property
    def is_reusable(self) -> bool:
        return self.answers.is_reusable and not self._unsent and not self._is_torn

    def is_quiet(self) -> bool:
        """Whether an idle connection is still open, and nothing came over it that nobody asked for."""
        try:
            self._poll.register(self._sock, select.POLLIN)
            if not self._poll.poll(0):
                return True
            self._sock.recv(1)
        except _WANTS:  # TLS housekeeping
            return True
        except (OSError, ValueError):
            return False
        return False

    def start(self, head: bytes, body: bytes, *, is_head: bool) -> None:
        """Begin to send a request; what the socket does not take now goes out during reads."""
        self.uses += 1
        self.answers.begin(is_head=is_head)
        if len(body) <= _READ_BYTES:
            self._unsent = [memoryview(head + body)]
        else:
            self._unsent = [memoryview(head), memoryview(body)]
        self._push()

    def read(self, until: float) -> bytes:
        """What one read brings, empty at the end. Raises TimeoutError at `until`, OSError."""
        sock = self._sock
        is_ready = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        while True:
            if not is_ready:
                self._wait(until, select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if self._unsent:
                self._push()
            try:
                return sock.recv(_READ_BYTES)
            except _WANTS:
                is_ready = False

    def may_read(self, until: float) -> bool:
        """Whether something can be read before `until`. Raises nothing: a read will meet what is wrong."""
        if isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0:
            return True
        try:
            self._wait(until, select.POLLIN)
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Hang up; a thread that waits on this connection wakes up."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except (OSError, ValueError):
            pass
        self._sock.close()

    def forget(self) -> None:
        """Close the descriptor without a word to the other end."""
        self._sock.close()

    def _wait(self, until: float, events: int) -> None:
        left_s = until - self._now()
        if left_s <= 0:
            raise TimeoutError
        try:
            self._poll.register(self._sock, events)
        except ValueError as error:
            raise ConnectionAbortedError("the connection was closed here") from error
        if not self._poll.poll(math.ceil(left_s * 1000)):
            raise TimeoutError

    def _push(self) -> None:
        while self._unsent:
            piece = self._unsent[0][:_READ_BYTES]
            try:
                sent = self._sock.send(piece)
            except _WANTS:
                return
            except OSError:
                # The upstream reads no more, but may have answered: the read that follows will tell.
                self._unsent = []
                self._is_torn = True
                return
            rest = self._unsent[0][sent:]
            if rest:
                self._unsent[0] = rest
            else:
                self._unsent.pop(0)


def connect(origin: Origin, tls: ssl.SSLContext | None, connect_s: float, now: Callable[[], float]) -> Line:
    """A connected line. Raises UpstreamFailed: connect_timeout after `connect_s` seconds, connect_failed."""
    until = now() + connect_s
    try:
        sock = _dial(origin, until, now)
        if tls is None:
            return Line(sock, now)
        try:
            return Line(_secure(sock, tls, origin, until, now), now)
        except BaseException:
            sock.close()
            raise
    except TimeoutError as error:
        raise failure("connect_timeout", origin, limit_s=connect_s) from error
    except OSError as error:
        raise failure("connect_failed", origin, reason(error)) from error


def _dial(origin: Origin, until: float, now: Callable[[], float]) -> socket.socket:
    """Try the addresses in turn, each with its share of the time left."""
    found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    for index, (family, _, _, _, address) in enumerate(found):
        try:
            return _open(family, address, (until - now()) / (len(found) - index))
        except OSError:
            if index == len(found) - 1:
                raise
    raise OSError("the name has no address")


def _open(family: socket.AddressFamily, address: Any, limit_s: float) -> socket.socket:
    if limit_s <= 0:
        raise TimeoutError
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(limit_s)
        sock.connect(address)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def _secure(
    sock: socket.socket, tls: ssl.SSLContext, origin: Origin, until: float, now: Callable[[], float]
) -> ssl.SSLSocket:
    secured = tls.wrap_socket(sock, server_hostname=origin.host, do_handshake_on_connect=False)
    waiting = select.poll()
    try:
        while True:
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                waiting.register(secured, select.POLLIN)
            except ssl.SSLWantWriteError:
                waiting.register(secured, select.POLLOUT)
            left_s = until - now()
            if left_s <= 0 or not waiting.poll(math.ceil(left_s * 1000)):
                raise TimeoutError
    except BaseException:
        secured.close()
        raise
