"""Serves the simulator over HTTP: in a thread for tests, or blocking for the command line."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Unpack

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from .api import Served
from .app import Options, Simulator
from .faults import Fault
from .lean import Lean
from .script import Line
from .wire import EXTENSION

_BACKLOG = 4096


class _Protocol(HttpToolsProtocol):
    """Shows the application its connection, so that faults can reset it or cut it."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}


class Running:
    """A simulator that is being served: where it is, the key it takes, what it was asked."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self._simulator = simulator
        self.url = url
        self.key = simulator.key
        self.admin_key = simulator.admin_key
        self.books = simulator.books

    @property
    def requests(self) -> list[Served]:
        """The last requests, oldest first."""
        return list(self._simulator.requests)

    def say(self, line: Line) -> None:
        """Give the model something to say, before all it was given earlier: a `Cue`, a pair or a function."""
        self._simulator.script.add(line)

    def trigger(self, fault: str | Fault, count: int = 1) -> None:
        """Let the next `count` requests meet a fault: NAME or NAME:NUMBER. Raises ValueError for an unknown one."""
        self._simulator.trigger(fault, count)


class _Thread:
    """The server's own thread and event loop."""

    def __init__(self, simulator: Simulator, listener: socket.socket) -> None:
        self._simulator = simulator
        self._listener = listener
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="penstock-simulator", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        self._ready.wait()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await _host(self._simulator, self._listener, self._stop, self._ready.set)


@contextlib.contextmanager
def running(*, host: str = "127.0.0.1", port: int = 0, **options: Unpack[Options]) -> Iterator[Running]:
    """Serve a simulator in a background thread for the time of a `with` block.

    Port 0 takes any free one. The end of the block breaks open connections off. Raises OSError where the address
    cannot be had. `options` are those of `Options`.
    """
    simulator = Simulator(**options)
    with _listen(host, port) as listener:
        simulator.api.url = _url(listener)
        with _Thread(simulator, listener):
            yield Running(simulator, simulator.api.url)


def serve(host: str, port: int, ready: Callable[[Running], Any], **options: Unpack[Options]) -> None:
    """Serve a simulator until SIGINT or SIGTERM; to be called in the main thread.

    `ready` is called once, when the address is taken and calls are accepted. Raises OSError where the address
    cannot be had. `options` are those of `Options`.
    """
    simulator = Simulator(**options)
    with _listen(host, port) as listener:
        simulator.api.url = _url(listener)

        async def host_until_signal() -> None:
            stop, loop = asyncio.Event(), asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, stop.set)
            await _host(simulator, listener, stop, lambda: ready(Running(simulator, simulator.api.url)))

        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(host_until_signal())


async def _host(simulator: Simulator, listener: socket.socket, stop: asyncio.Event, ready: Callable[[], Any]) -> None:
    loop = asyncio.get_running_loop()
    if simulator.is_lean:
        lean = Lean(simulator)
        server = await loop.create_server(lean.protocol, sock=listener, backlog=_BACKLOG)
        await _until(stop, server, ready)
        lean.abort()
        return
    config = uvicorn.Config(
        simulator,
        http=_Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,
    )
    config.load()
    state = ServerState()
    server = await loop.create_server(lambda: _Protocol(config, state, {}, loop), sock=listener, backlog=_BACKLOG)
    await _until(stop, server, ready)
    for protocol in list(state.connections):
        protocol.transport.abort()
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=2)


async def _until(stop: asyncio.Event, server: asyncio.Server, ready: Callable[[], Any]) -> None:
    ready()
    await stop.wait()
    server.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's loop where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
