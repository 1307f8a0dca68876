"""A server on a thread of its own, and callers that speak raw bytes to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from penstock.faces.gateway.limits import ServerLimits
from penstock.faces.gateway.server import Server, run_loop

#: Short deadlines, so that what never ends by itself ends soon.
QUICK = ServerLimits(
    header_read_s=0.4,
    body_idle_s=0.4,
    body_rate_min=100,
    body_rate_window_s=0.8,
    keep_alive_s=0.3,
    write_stall_s=0.6,
    linger_s=0.3,
    sweep_s=0.05,
)
_STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) [^\r\n]*\r\n")


class WallClock:
    def now(self) -> float:
        return time.monotonic()

    def wall_us(self) -> int:
        return time.time_ns() // 1000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Running:
    """A server under test; `server.port` is bound once it is handed out."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop: asyncio.AbstractEventLoop | None = None
        self.is_up = threading.Event()
        self.fault: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        async def main() -> None:
            self.loop = asyncio.get_running_loop()
            await self.server.run(signals=False)

        try:
            run_loop(main())
        except BaseException as error:
            self.fault = error
        finally:
            self.is_up.set()

    def tell(self, what: Callable[[], object]) -> None:
        """Run `what` on the server's own loop."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(what)

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):
            self.tell(self.server.drain)
        self.thread.join(10)
        assert not self.thread.is_alive(), "the server did not come to its end"

    def dial(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.port), timeout=5)

    def say(self, *parts: bytes) -> bytes:
        """Everything a connection answers until the server closes it."""
        with self.dial() as caller:
            for part in parts:
                with contextlib.suppress(ConnectionError):
                    caller.sendall(part)
            return heard(caller)


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[Running]:
    numbers = itertools.count()
    options.setdefault("limits", QUICK)
    options.setdefault("grace_s", 3.0)
    server = Server(app, "127.0.0.1", 0, clock=WallClock(), new_id=lambda: f"req_{next(numbers)}", **options)
    running = Running(server)
    server.ready = lambda host, port: running.is_up.set()
    running.thread.start()
    running.is_up.wait(10)
    assert running.fault is None, running.fault
    try:
        yield running
    finally:
        running.stop()
        assert running.fault is None, running.fault


def heard(caller: socket.socket) -> bytes:
    """What comes until the other side closes. Raises TimeoutError where it never does."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := caller.recv(65536):
            parts.append(part)
    return b"".join(parts)


def heard_until(caller: socket.socket, end: bytes) -> bytes:
    """What comes until it ends with `end`, or the other side closes."""
    answer = b""
    while not answer.endswith(end):
        part = caller.recv(65536)
        if not part:
            break
        answer += part
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in _STATUS.findall(answer)]


def error_in(answer: bytes) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    return body


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the method, the path and the body's length; raises nothing."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return
        length += len(message["body"])
        more = message["more_body"]
    body = b"%b %b %d" % (scope["method"].encode(), scope["raw_path"], length)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
