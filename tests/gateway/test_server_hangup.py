"""A caller that hangs up ends its call at once; what the app answers goes out as it was sent."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import threading
from typing import Any

import pytest

from gateway.serving import error_in, heard, heard_until, serving, statuses

GET = b"GET /a HTTP/1.1\r\nHost: gateway\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\n\r\nhi"
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]}


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


class Streaming:
    """Sends one chunk and then waits for ever; notes how it ended."""

    def __init__(self, *, begins: bool = True, takes_over: bool = False) -> None:
        self.begins, self.takes_over = begins, takes_over
        self.ends: list[str] = []
        self.ended = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        gone = asyncio.Event()
        if self.takes_over:
            scope["state"]["hangup"] = gone.set
        await receive()
        try:
            if self.begins:
                await send(START)
                await send(part(b"one"))
            await gone.wait()
            await send(part(b"two"))
            self.ends.append((await receive())["type"])
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        finally:
            self.ended.set()


@pytest.mark.parametrize("begins", [True, False], ids=["mid-stream", "before the head"])
@pytest.mark.parametrize("sent", [GET, POST], ids=["get", "post"])
@pytest.mark.parametrize("way", ["close", "reset", "half-close"])
def test_a_hang_up_cancels_the_call(begins: bool, sent: bytes, way: str, caplog: pytest.LogCaptureFixture) -> None:
    app = Streaming(begins=begins)
    with serving(app) as running:
        caller = running.dial()
        caller.sendall(sent)
        if begins:
            heard_until(caller, b"3\r\none\r\n")
        if way == "reset":
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if way == "half-close":
            caller.shutdown(socket.SHUT_WR)
        else:
            caller.close()
        assert app.ended.wait(5)
        caller.close()
    assert app.ends == ["cancelled"]
    assert not caplog.records, "a hang-up is no error"


def test_an_app_that_takes_hang_ups_over_is_called_back_and_goes_on() -> None:
    app = Streaming(takes_over=True)
    with serving(app) as running:
        with running.dial() as caller:
            caller.sendall(POST)
            heard_until(caller, b"3\r\none\r\n")
        assert app.ended.wait(5)
    assert app.ends == ["http.disconnect"]


def test_two_hundred_callers_vanish_and_nothing_is_left_of_them() -> None:
    ends: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(part(b"one"))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    with serving(app) as running:
        callers = [running.dial() for _ in range(200)]
        for caller in callers:
            caller.sendall(GET)
        for caller in callers:
            heard_until(caller, b"3\r\none\r\n")
            caller.close()
    assert len(ends) == 200
    assert not running.server.state.connections
    assert not running.server.state.tasks


def test_work_after_a_complete_answer_is_not_cancelled_by_the_hang_up() -> None:
    done = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"content-length", b"2")]})
        await send(part(b"ok", more=False))
        await asyncio.sleep(0.2)
        done.set()

    with serving(app) as running:
        with running.dial() as caller:
            caller.sendall(GET)
            heard_until(caller, b"ok")
        assert done.wait(5)


def test_each_chunk_leaves_when_it_is_sent() -> None:
    follow = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(part(b"one"))
        while not follow.is_set():  # noqa: ASYNC110  another thread's event
            await asyncio.sleep(0.01)
        await send(part(b""))
        await send(part(b"two"))
        await send(part(b"", more=False))

    with serving(app) as running, running.dial() as caller:
        caller.sendall(GET)
        first = heard_until(caller, b"3\r\none\r\n")
        assert first.endswith(b"transfer-encoding: chunked\r\n\r\n3\r\none\r\n")
        follow.set()
        assert heard_until(caller, b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"


def test_a_head_leaves_before_its_body() -> None:
    with serving(HeadOnly()) as running, running.dial() as caller:
        caller.sendall(GET)
        assert statuses(heard_until(caller, b"\r\n\r\n")) == [200]


class HeadOnly:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([], 500),
        ([part(b"no head")], 500),
        ([{**START, "headers": [(b"x-a", b"b\r\nx-c: d")]}], 500),
        ([{**START, "headers": [(b"x a", b"b")]}], 500),
        ([{**START, "headers": [(b"transfer-encoding", b"chunked")]}], 500),
        ([START, START], 200),
        ([START, part(b"one")], 200),
        ([{**START, "headers": [(b"content-length", b"2")]}, part(b"one")], 200),
        ([{**START, "headers": [(b"content-length", b"2")]}, part(b"o", more=False)], 200),
    ],
    ids=["nothing", "no head", "split field", "bad name", "own framing", "two heads", "unended", "long", "short"],
)
def test_an_app_that_breaks_the_protocol_never_sends_a_whole_looking_answer(
    messages: list[dict[str, Any]], status: int
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        for message in messages:
            await send(message)

    with serving(app) as running:
        answer = running.say(GET)
    if status == 500:
        assert statuses(answer) == [500]
        assert error_in(answer)["error"]["type"] == "api_error"
    else:
        assert b"0\r\n\r\n" not in answer
        assert len(answer.partition(b"\r\n\r\n")[2]) != 2


def test_an_error_of_the_app_is_logged_by_place_and_answered_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the caller's secret")

    with caplog.at_level(logging.INFO), serving(app) as running:
        answer = running.say(GET)
    assert statuses(answer) == [500]
    assert b"secret" not in answer
    assert "secret" not in caplog.text
    assert "ValueError at " in caplog.text


def test_an_answer_before_the_whole_body_closes_the_connection_but_is_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "status": 401, "headers": [(b"content-length", b"2")]})
        await send(part(b"no", more=False))

    with serving(app) as running:
        answer = running.say(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n", b"a" * 3_000_000, GET)
    assert statuses(answer) == [401]
    assert b"connection: close\r\n" in answer
    assert answer.endswith(b"no")


def test_a_head_request_gets_the_head_alone_and_the_connection_stays() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": [(b"content-length", b"2")]})
        await send(part(b"" if scope["raw_path"] == b"/empty" else b"ok", more=False))

    with serving(app) as running:
        answer = running.say(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD /empty HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
    assert statuses(answer) == [200, 200, 200]
    assert answer.count(b"content-length: 2") == 3
    assert answer.count(b"ok") == 1


def test_an_answer_without_a_length_ends_with_the_connection_for_http_1_0() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(part(b"one"))
        await send(part(b"two", more=False))

    with serving(app) as running:
        answer = running.say(b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nonetwo")
    assert b"chunked" not in answer


@pytest.mark.parametrize(("own", "count"), [([], 1), ([(b"Date", b"Fri, 20 Nov 2026 20:00:00 GMT")], 1)])
def test_an_answer_has_one_date_and_names_no_server(own: list[tuple[bytes, bytes]], count: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({**START, "headers": own})
        await send(part(b"", more=False))

    with serving(app) as running, running.dial() as caller:
        caller.sendall(GET)
        head = heard_until(caller, b"0\r\n\r\n").lower()
    assert head.count(b"\r\ndate: ") == count
    assert b"\r\nserver:" not in head


def test_the_scope_is_what_asgi_says() -> None:
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(scope))
        await send({**START, "headers": [(b"content-length", b"0")]})
        await send(part(b"", more=False))

    with serving(app) as running, running.dial() as caller:
        caller.sendall(
            b"GET /v1/%C3%A9?beta=true&x=%20 HTTP/1.1\r\nHost: a\r\nX-Api-Key: K\r\n"
            b"X-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n"
        )
        heard(caller)
        own = caller.getsockname()
    scope = seen[0]
    assert scope["type"] == "http"
    assert scope["path"] == "/v1/é"
    assert scope["raw_path"] == b"/v1/%C3%A9"
    assert scope["query_string"] == b"beta=true&x=%20"
    assert scope["headers"] == [
        (b"host", b"a"),
        (b"x-api-key", b"K"),
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"connection", b"close"),
    ]
    assert scope["client"] == own, "a caller may not say where it calls from"
    assert scope["server"] == ("127.0.0.1", running.server.port)
