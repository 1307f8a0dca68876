"""Starting, draining, reloading and ending."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.serving import WallClock, echo, error_in, heard, heard_until, serving, statuses
from penstock.errors import ConfigError
from penstock.faces.gateway.server import CannotListen, Server

GET = b"GET /a HTTP/1.1\r\nHost: gateway\r\n\r\n"


class Held:
    """Answers `/a` in two halves, the second once `go` is set; echoes anything else."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.cancelled = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/a":
            await echo(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        try:
            while not self.go.is_set():  # noqa: ASYNC110  another thread's event
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await send({"type": "http.response.body", "body": b"two"})


def test_a_drain_lets_running_calls_end_and_refuses_new_ones() -> None:
    app = Held()
    with serving(app, grace_s=10) as running:
        callers = [running.dial() for _ in range(20)]
        for caller in callers:
            caller.sendall(GET)
            heard_until(caller, b"3\r\none\r\n")
        idle = running.dial()
        idle.sendall(GET.replace(b"/a", b"/b"))
        heard_until(idle, b"GET /b 0")

        running.tell(running.server.drain)
        while not running.server.is_draining:
            pass
        idle.sendall(GET)
        answer = heard(idle)
        assert statuses(answer) == [503]
        assert b"retry-after: 2\r\n" in answer
        assert b"x-should-retry: true\r\n" in answer
        assert error_in(answer)["error"]["type"] == "overloaded_error"
        assert error_in(answer)["error"]["details"]["error_code"] == "draining"
        assert running.server.is_draining
        with pytest.raises(ConnectionRefusedError):
            running.dial()

        app.go.set()
        for caller in callers:
            assert heard(caller).endswith(b"3\r\ntwo\r\n0\r\n\r\n")
            caller.close()
        idle.close()
        running.thread.join(5)
        assert not running.thread.is_alive()
    assert app.cancelled == 0


def test_what_outlasts_the_grace_is_cancelled() -> None:
    app = Held()
    with serving(app, grace_s=0.2) as running, running.dial() as caller:
        caller.sendall(GET)
        heard_until(caller, b"3\r\none\r\n")
        running.tell(running.server.drain)
        assert not heard(caller).endswith(b"0\r\n\r\n"), "a cut answer must not look whole"
        running.thread.join(5)
        assert not running.thread.is_alive()
    assert app.cancelled == 1


def test_a_call_cancelled_before_its_head_is_told_why() -> None:
    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    with serving(stuck, grace_s=0.2) as running, running.dial() as caller:
        caller.sendall(GET)
        running.tell(lambda: asyncio.get_running_loop().call_later(0.1, running.server.drain))
        answer = heard(caller)
    assert statuses(answer) == [503]
    assert error_in(answer)["error"]["details"]["error_code"] == "draining"


def test_a_second_drain_does_not_wait_for_the_grace() -> None:
    app = Held()
    with serving(app, grace_s=60) as running, running.dial() as caller:
        caller.sendall(GET)
        heard_until(caller, b"3\r\none\r\n")
        running.tell(running.server.drain)
        running.tell(running.server.drain)
        running.thread.join(5)
        assert not running.thread.is_alive()
    assert app.cancelled == 1


def test_an_idle_server_ends_at_once_and_closes_its_connections() -> None:
    with serving(echo, grace_s=60) as running, running.dial() as caller:
        caller.sendall(GET)
        heard_until(caller, b"GET /a 0")
        running.stop()
        assert heard(caller) == b""


def begin(host: str, port: int) -> None:
    server = Server(echo, host, port, clock=WallClock(), new_id=lambda: "req")
    server.ready = lambda host, port: server.drain()
    asyncio.run(server.run(signals=False))


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: the port is taken") as caught:
            begin("127.0.0.1", port)
    assert caught.value.code == "port_taken"
    assert "--port" in caught.value.fix
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid", "a..b"])
def test_a_host_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(CannotListen) as caught:
        begin(host, 0)
    assert caught.value.code == "bad_host"
    assert host in str(caught.value)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(CannotListen):
        begin("127.0.0.1", port)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may listen anywhere")
def test_a_forbidden_port_is_named() -> None:
    with pytest.raises(CannotListen) as caught:
        begin("127.0.0.1", 1)
    assert caught.value.code == "port_forbidden"


def test_all_addresses_of_a_name_share_one_port() -> None:
    seen: list[tuple[str, int]] = []
    server = Server(echo, "localhost", 0, clock=WallClock(), new_id=lambda: "req")

    def ready(host: str, port: int) -> None:
        seen.append((host, port))
        for family, *_ in {info[:1] for info in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)}:
            with socket.socket(family) as caller:
                if caller.connect_ex(("localhost", port)) == 0:
                    seen.append(("reached", port))
        server.drain()

    server.ready = ready
    asyncio.run(server.run(signals=False))
    assert seen[0][0] == "localhost"
    assert seen[0][1] > 0
    assert ("reached", seen[0][1]) in seen


PROGRAM = """
import asyncio, sys, time
sys.path[:0] = sys.argv[1:]
from gateway.serving import QUICK, WallClock
from penstock.faces.gateway.server import Server, run_loop

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await asyncio.sleep(1.0 if scope["path"] == "/a" else 60)
    await send({"type": "http.response.body", "body": b"two"})

server = Server(
    app, "127.0.0.1", 0, clock=WallClock(), new_id=lambda: "req", limits=QUICK, grace_s=60,
    ready=lambda host, port: print(port, flush=True), reload=lambda: print("reloaded", flush=True),
)
run_loop(server.run())
print("ended", flush=True)
"""


@pytest.fixture
def program() -> Any:
    tests = Path(__file__).parents[1]
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(tests), str(tests.parent / "src")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield child
    child.kill()
    child.communicate()


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals as POSIX has them")
def test_sighup_reloads_and_sigterm_drains_and_the_process_ends_well(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    port = int(program.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        caller.sendall(GET)
        heard_until(caller, b"3\r\none\r\n")
        program.send_signal(signal.SIGHUP)
        assert program.stdout.readline() == "reloaded\n"
        program.send_signal(signal.SIGTERM)
        assert heard(caller).endswith(b"3\r\ntwo\r\n0\r\n\r\n")
    assert program.stdout.readline() == "ended\n"
    assert program.wait(5) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals as POSIX has them")
def test_a_second_interrupt_ends_the_process_without_waiting(program: subprocess.Popen[str]) -> None:
    assert program.stdout is not None
    port = int(program.stdout.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=5) as caller:
        caller.sendall(GET.replace(b"/a", b"/long"))
        heard_until(caller, b"3\r\none\r\n")
        program.send_signal(signal.SIGINT)
        with pytest.raises(
            (ConnectionRefusedError, ConnectionResetError)
        ):  # reset: it was queued as the listener closed
            while True:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
        program.send_signal(signal.SIGINT)
        assert not heard(caller).endswith(b"0\r\n\r\n")
    assert program.wait(5) == 0
