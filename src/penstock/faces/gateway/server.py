"""The HTTP server under the gateway: binds, serves, drains.

uvicorn's httptools protocol does the parsing and the flow control; the limits, the watchdogs, hang-up cancellation
and the drain are ours (`connection.py`, `exchange.py`), because no server at hand has them.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, TypeVar

from uvicorn.config import Config
from uvicorn.server import ServerState

from ...errors import ConfigError
from ...ports import Clock
from .connection import Connection, Phase
from .exchange import App
from .limits import ServerLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger("penstock.gateway.server")

T = TypeVar("T")

#: Time for cancelled calls to settle, and for last bytes to leave, once the grace is over.
_SETTLE_S = 5.0
_BODY_BYTES_MAX = 32 * 1024 * 1024
_BACKLOG = 2048


class CannotListen(ConfigError):
    """The address cannot be had: `code` is port_taken, port_forbidden, bad_host or cannot_listen."""


class Server:
    """Serves one ASGI application on one address until it is told to drain.

    `new_id` names refusals (`request_id`); `body_bytes_max` is asked per path as sent, for requests that have a body;
    `reload` is called on SIGHUP. The counts in `refused` are by error code.
    """

    def __init__(
        self,
        app: App,
        host: str = "127.0.0.1",
        port: int = 8787,
        *,
        clock: Clock,
        new_id: Callable[[], str],
        limits: ServerLimits = ServerLimits(),  # noqa: B008  frozen
        body_bytes_max: Callable[[str], int] = lambda path: _BODY_BYTES_MAX,
        ready: Callable[[str, int], None] = lambda host, port: None,
        reload: Callable[[], None] = lambda: None,
        grace_s: float = 30.0,
    ) -> None:
        self.host, self.port = host, port
        self.clock, self.new_id, self.limits, self.body_bytes_max = clock, new_id, limits, body_bytes_max
        self.ready, self.reload, self.grace_s = ready, reload, grace_s
        self.state = ServerState()
        self.refused: Counter[str] = Counter()
        self.is_draining = False
        self._grace_ends: float | None = None
        self.tick = 0
        self.date_line = b""
        self.ticks = {
            Phase.FRESH: limits.ticks(limits.header_read_s),
            Phase.IDLE: limits.ticks(limits.keep_alive_s),
            Phase.HEAD: limits.ticks(limits.header_read_s),
            Phase.BODY: limits.ticks(limits.body_idle_s),
            Phase.PARTING: limits.ticks(limits.linger_s),
        }
        self.window_ticks = limits.ticks(limits.body_rate_window_s)
        self.stall_ticks = limits.ticks(limits.write_stall_s)
        self._config = Config(
            app, loop="none", ws="none", lifespan="off", interface="asgi3", log_config=None, proxy_headers=False
        )
        self._is_forced = False
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, *, signals: bool = True) -> None:
        """Serve until `drain` is called or SIGTERM or SIGINT comes, then drain. Raises CannotListen.

        With `signals`, and in the main thread, SIGTERM and SIGINT drain, a second one forces, SIGHUP reloads.
        """
        loop = asyncio.get_running_loop()
        self._config.load()
        sockets = await bound(self.host, self.port)
        listeners = []
        try:
            for sock in sockets:
                listeners.append(
                    await loop.create_server(lambda: Connection(self, self._config, loop), sock=sock, backlog=_BACKLOG)
                )
        except OSError as error:
            for sock in sockets:
                sock.close()
            raise cannot_listen(self.host, self.port, error) from error
        self.port = sockets[0].getsockname()[1]
        self._sweep(loop)
        with self._signals(loop) if signals else _nothing():
            try:
                self.ready(self.host, self.port)
                while not self.is_draining:
                    await self._change()
            finally:
                self.is_draining = True
                for listener in listeners:
                    listener.close()
                await self._drained()
                if self._timer is not None:
                    self._timer.cancel()

    def drain(self) -> None:
        """Stop accepting, let running calls end within `grace_s`, then return from `run`. A second call forces."""
        if self.is_draining:
            self._is_forced = True
        else:
            self._grace_ends = self.clock.now() + self.grace_s
        self.is_draining = True
        self._changed.set()

    @property
    def grace_left_s(self) -> float:
        """How long what is still under way may take, once it drains; nothing where it is forced."""
        if self._grace_ends is None or self._is_forced:
            return 0.0
        return max(0.0, self._grace_ends - self.clock.now())

    def on_change(self) -> None:
        if self.is_draining:
            self._changed.set()

    def on_task_done(self, task: asyncio.Task[None]) -> None:
        self.state.tasks.discard(task)
        if self.is_draining:
            self._changed.set()

    async def _change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    async def _drained(self) -> None:
        tasks, connections = self.state.tasks, self.state.connections
        try:
            async with asyncio.timeout(self.grace_s):
                while tasks and not self._is_forced:
                    await self._change()
        except TimeoutError:
            pass
        if tasks:
            log.warning("%d calls were still running at the end of the grace period and are cancelled", len(tasks))
        for task in tuple(tasks):
            task.cancel()
        try:
            async with asyncio.timeout(_SETTLE_S):
                while tasks:
                    await self._change()
                for connection in tuple(connections):
                    connection.close_if_idle()  # type: ignore[union-attr]
                while connections and not self._is_forced:
                    await self._change()
        except TimeoutError:
            log.warning("%d calls and %d connections did not end and are cut", len(tasks), len(connections))
        for connection in tuple(connections):
            connection.cut()  # type: ignore[union-attr]

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self.limits.sweep_s, self._sweep, loop)
        self.tick += 1
        self.date_line = b"date: %b\r\n" % formatdate(self.clock.wall_us() // 1_000_000, usegmt=True).encode()
        for connection in tuple(self.state.connections):
            connection.sweep(self.tick)  # type: ignore[union-attr]

    @contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGTERM: self.drain,
            signal.SIGINT: self.drain,
            signal.SIGHUP: self.reload,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` on a new event loop, uvloop's where it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        with asyncio.Runner() as runner:
            return runner.run(main)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


async def bound(host: str, port: int) -> list[socket.socket]:
    """Sockets bound to every address of `host`, all on one port. Raises CannotListen."""
    sockets: list[socket.socket] = []
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            try:
                sock = socket.socket(family, kind, protocol)
            except OSError:
                continue  # a family this machine does not have
            sockets.append(sock)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                sock.bind((address[0], port, *address[2:]))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or len(sockets) == 1:
                    raise
                sockets.pop().close()  # named, but not on this machine: the other address will do
            port = sockets[0].getsockname()[1]
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, "no address")
    except (OSError, OverflowError, UnicodeError) as error:
        for sock in sockets:
            sock.close()
        raise cannot_listen(host, port, error) from error
    return sockets


def cannot_listen(host: str, port: int, error: Exception) -> CannotListen:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    number = getattr(error, "errno", None)
    if isinstance(error, socket.gaierror | UnicodeError) or number == errno.EADDRNOTAVAIL:
        return CannotListen(
            f"{host!r} is not an address of this machine.",
            code="bad_host",
            fix="Use --host 127.0.0.1 (this machine only) or --host 0.0.0.0 (all its addresses).",
        )
    if number == errno.EADDRINUSE:
        return CannotListen(
            f"Cannot listen on {where}: the port is taken.",
            code="port_taken",
            fix="Stop what uses it, or choose another with --port (0 takes any free one).",
        )
    if number in (errno.EACCES, errno.EPERM):
        return CannotListen(
            f"Cannot listen on {where}: not permitted.", code="port_forbidden", fix="Choose a --port above 1023."
        )
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return CannotListen(f"Cannot listen on {where}: {reason}.", code="cannot_listen", fix="Check --host and --port.")
