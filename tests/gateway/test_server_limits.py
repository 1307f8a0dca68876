"""Slow, large and many: what one caller may not do to the others, and what an ordinary one may."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.serving import QUICK, Running, echo, error_in, heard, heard_until, serving, statuses
from penstock.faces.gateway.limits import ServerLimits

GET = b"GET /a HTTP/1.1\r\nHost: gateway\r\n\r\n"
HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: gateway\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def drip(caller: socket.socket, byte: bytes, every_s: float = 0.05) -> bytes:
    """Send `byte` again and again until the server answers or closes; what it answered."""
    caller.settimeout(every_s)
    for _ in range(200):
        try:
            caller.sendall(byte)
            answer = caller.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
        caller.settimeout(5)
        return answer + (heard(caller) if answer else b"")
    raise AssertionError("the server never closed the connection")


def test_a_dripped_head_is_closed() -> None:
    with serving(echo) as running, running.dial() as caller:
        caller.sendall(GET[:-2] + b"X-A: ")
        answer = drip(caller, b"a")
        assert statuses(answer) == [408]
        assert error_in(answer)["error"]["type"] == "timeout_error"


def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    with serving(echo) as running:
        assert running.say() == b""


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving(echo) as running:
        assert statuses(running.say(GET)) == [200]


def test_dripped_empty_lines_do_not_keep_a_connection() -> None:
    with serving(echo) as running, running.dial() as caller:
        assert drip(caller, b"\r\n") == b""


@pytest.mark.parametrize("head", [HEAD + b"Content-Length: 500\r\n\r\n", CHUNKED], ids=["length", "chunks"])
def test_a_body_that_stalls_is_refused(head: bytes) -> None:
    with serving(echo) as running:
        answer = running.say(head)
        assert statuses(answer) == [408]
        assert error_in(answer)["error"]["details"]["error_code"] == "request_timeout"


@pytest.mark.parametrize(
    ("head", "byte"),
    [(HEAD + b"Content-Length: 500\r\n\r\n", b"a"), (CHUNKED, b"1\r\na\r\n")],
    ids=["length", "chunks"],
)
def test_a_dripped_body_is_refused_though_it_never_pauses(head: bytes, byte: bytes) -> None:
    with serving(echo) as running, running.dial() as caller:
        caller.sendall(head)
        answer = drip(caller, byte)
        assert statuses(answer) == [408]
        assert error_in(answer)["error"]["details"]["error_code"] == "request_too_slow"


@pytest.mark.parametrize(
    "flood",
    [
        b"1;" + b"a" * 300_000,
        b"1;a=b\r\nx\r\n" + (b"1;" + b"a" * 500 + b"\r\nx\r\n") * 500,
        b"0\r\nX: " + b"a" * 300_000,
    ],
    ids=["one extension", "many extensions", "trailer"],
)
def test_framing_without_data_is_bounded(flood: bytes) -> None:
    with serving(echo) as running:
        answer = running.say(CHUNKED, flood[:1000], flood[1000:], b"\r\n\r\n")
        assert statuses(answer) == [400]


def test_a_slow_body_that_keeps_the_pace_is_served() -> None:
    with serving(echo) as running, running.dial() as caller:
        caller.sendall(HEAD + b"Content-Length: 1000\r\nConnection: close\r\n\r\n")
        for _ in range(20):
            caller.sendall(b"a" * 50)
            time.sleep(0.05)
        assert heard(caller).endswith(b"POST /v1/messages 1000")


def test_time_in_which_the_app_does_not_read_is_not_the_callers() -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(1.2)
        await echo(scope, receive, send)

    size = 3_000_000
    with serving(late) as running:
        answer = running.say(HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size, b"a" * size)
    assert answer.endswith(b"POST /v1/messages %d" % size)


def test_a_caller_awaiting_100_continue_is_not_slow() -> None:
    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.9)
        await echo(scope, receive, send)

    with serving(late) as running, running.dial() as caller:
        caller.sendall(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert heard_until(caller, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(b"hi")
        assert heard(caller).endswith(b"POST /v1/messages 2")


def test_ordinary_callers_are_undisturbed_among_two_hundred_slow_ones() -> None:
    with (
        serving(echo, limits=replace(QUICK, header_read_s=2, body_idle_s=2)) as running,
        contextlib.ExitStack() as stack,
    ):
        slow = [stack.enter_context(running.dial()) for _ in range(200)]
        for number, caller in enumerate(slow):
            caller.sendall(GET[:-2] if number % 2 else HEAD + b"Content-Length: 9\r\n\r\n1")
        for _ in range(50):
            with running.dial() as caller:
                caller.sendall(GET)
                assert heard_until(caller, b"GET /a 0").endswith(b"GET /a 0")
        for caller in slow:
            assert statuses(heard(caller)) == [408]


def test_one_connection_too_many_is_told_so_and_the_others_go_on() -> None:
    limits = replace(QUICK, connections_max=3, keep_alive_s=5, header_read_s=5)
    with serving(echo, limits=limits) as running, contextlib.ExitStack() as stack:
        held = [stack.enter_context(running.dial()) for _ in range(3)]
        for caller in held:
            caller.sendall(GET)
            heard_until(caller, b"GET /a 0")
        answer = running.say(GET)
        assert statuses(answer) == [503]
        assert b"retry-after: 1\r\n" in answer
        assert error_in(answer)["error"]["type"] == "overloaded_error"
        held[0].sendall(GET)
        assert heard_until(held[0], b"GET /a 0").endswith(b"GET /a 0")


def test_a_large_upload_reads_its_refusal_instead_of_a_reset() -> None:
    asked: list[str] = []

    def body_bytes_max(path: str) -> int:
        asked.append(path)
        return 1000

    with serving(echo, body_bytes_max=body_bytes_max, limits=replace(QUICK, linger_s=5)) as running:
        client = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=5)
        client.request("POST", "/v1/files?beta=true", body=b"a" * 20_000_000)
        response = client.getresponse()
        assert response.status == 413
        assert b"request_too_large" in response.read()
        client.close()
    assert asked == ["/v1/files"]


def test_a_refusal_ends_the_request_the_app_was_reading() -> None:
    seen: list[str] = []
    reads = threading.Event()

    async def reader(scope: Any, receive: Any, send: Any) -> None:
        try:
            while (await receive())["type"] == "http.request":
                reads.set()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with serving(reader) as running, running.dial() as caller:
        caller.sendall(CHUNKED + b"2\r\nhi\r\n")
        assert reads.wait(5)
        caller.sendall(b"zz\r\n")
        assert statuses(heard(caller)) == [400]
    assert seen == ["cancelled"]


def test_a_caller_that_takes_nothing_is_cut() -> None:
    ended = threading.Event()

    async def torrent(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
        finally:
            ended.set()

    with serving(torrent) as running, running.dial() as caller:
        caller.sendall(GET)
        assert ended.wait(5)


def test_a_caller_that_takes_its_time_is_not_cut() -> None:
    size = 8_000_000

    async def large(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"a" * size})

    with serving(large, limits=replace(QUICK, write_stall_s=1)) as running, running.dial() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        caller.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        taken = 0
        for _ in range(30):
            time.sleep(0.05)
            taken += len(caller.recv(400_000, socket.MSG_WAITALL))
        taken += len(heard(caller))
    assert taken > size


def test_requests_sent_ahead_are_answered_in_order_up_to_a_bound() -> None:
    with serving(echo, limits=replace(QUICK, pipeline_max=5)) as running:
        answer = running.say(b"".join(GET.replace(b"/a", b"/%d" % n) for n in range(6)))
        assert statuses(answer) == [200] * 6
        places = [answer.index(b"GET /%d 0" % n) for n in range(6)]
        assert places == sorted(places)
        assert statuses(running.say(GET * 50)) == [200] * 6 + [400]


def test_back_pressure_holds_the_callers_body_back() -> None:
    gate, held = threading.Event(), []

    async def shut(scope: Any, receive: Any, send: Any) -> None:
        while not gate.is_set():  # noqa: ASYNC110  another thread's event
            await asyncio.sleep(0.02)
        message = await receive()
        held.append(len(message["body"]))
        while message.get("more_body"):
            message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    size = 10_000_000

    def speak(running: Running, answers: list[bytes]) -> None:
        answers.append(running.say(HEAD + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % size, b"a" * size))

    answers: list[bytes] = []
    with serving(shut) as running:
        thread = threading.Thread(target=speak, args=(running, answers))
        thread.start()
        time.sleep(0.3)
        gate.set()
        thread.join(5)
    assert statuses(answers[0]) == [200]
    assert held[0] < 1_000_000


def test_deadlines_are_rounded_up_to_whole_sweeps() -> None:
    assert ServerLimits().ticks(10) == 11
    assert ServerLimits(sweep_s=0.5).ticks(0.7) == 3
