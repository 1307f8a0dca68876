"""An upstream whose every byte a test decides: blocking sockets, one thread per connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from typing import Self

OK = b"HTTP/1.1 200 OK\r\n"


class Peer:
    """One accepted connection; `number` counts from 1."""

    def __init__(self, sock: socket.socket, number: int, server: RawServer) -> None:
        self.sock, self.number, self.server = sock, number, server
        self._left = b""

    def head(self) -> bytes:
        """The next request's head; raises EOFError where the client has gone."""
        while b"\r\n\r\n" not in self._left:
            self._more()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        self.server.heads.append(head)
        self.server.asked.release()
        return head

    def body(self, head: bytes) -> bytes:
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        while len(self._left) < length:
            self._more()
        body, self._left = self._left[:length], self._left[length:]
        return body

    def request(self) -> bytes:
        """The next request's body."""
        return self.body(self.head())

    def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.sock.sendall(piece)

    def answer(self, body: bytes = b"ok", *fields: bytes) -> None:
        self.say(b"\r\n".join([OK[:-2], b"content-length: %d" % len(body), *fields, b"", body]))

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def drain(self) -> None:
        """Read until the client goes."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65_536):
                pass
        self.server.left.release()

    def _more(self) -> None:
        data = self.sock.recv(65_536)
        if not data:
            raise EOFError
        self._left += data


class RawServer:
    """Runs `handler` for each connection, then closes it.

    `asked` is released per request head, `left` whenever a handler ends or sees the client go.
    """

    def __init__(self, handler: Callable[[Peer], None], tls: ssl.SSLContext | None = None) -> None:
        self._handler, self._tls = handler, tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._peers: list[socket.socket] = []
        self.heads: list[bytes] = []
        self.connections = 0
        self.asked = threading.Semaphore(0)
        self.left = threading.Semaphore(0)
        self.failures: list[BaseException] = []

    @property
    def url(self) -> str:
        scheme, name = ("http", "127.0.0.1") if self._tls is None else ("https", "localhost")
        return f"{scheme}://{name}:{self._port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._listener, *self._peers):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        assert not self.failures, self.failures

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._peers.append(sock)
            threading.Thread(target=self._serve, args=(sock, self.connections), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._peers.append(sock)
            self._handler(Peer(sock, number, self))
        except (OSError, EOFError, ValueError):  # ValueError: the socket was shut down in mid-handshake
            pass
        except BaseException as failure:
            self.failures.append(failure)
        finally:
            sock.close()
            self.left.release()


def echo(peer: Peer) -> None:
    """Answer every request with its own body."""
    while True:
        peer.answer(peer.request())
