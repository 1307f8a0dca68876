"""Upstreams that break the rules, over every backend: a typed failure, never a wrong answer."""

from __future__ import annotations

import socket
import threading

import pytest
from backends import Backend
from raw_server import OK, Peer, RawServer, echo

from penstock.call import Timeouts
from penstock.errors import Refused

CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def saying(*pieces: bytes) -> RawServer:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(*pieces)

    return RawServer(handler)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"\x16\x03\x01 not http at all\r\n\r\n", id="garbage"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"HTTP/9.1 200 OK\r\nContent-Length: 0\r\n\r\n", id="unknown version"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="status not a number"),
        pytest.param(
            OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", id="CL and TE"
        ),
        pytest.param(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!", id="two lengths"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\nhi", id="negative length"),
        pytest.param(OK + b"Content-Length: 99999999999999999999\r\n\r\nhi", id="overflowing length"),
        pytest.param(OK + b"X-A: " + b"a" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n", id="giant field"),
        pytest.param(OK + b"X-A: 1\r\n" * 5_000 + b"Content-Length: 0\r\n\r\n", id="endless fields"),
        pytest.param(OK + b"X-A: 1\r\n" * 300 + b"Content-Length: 0\r\n\r\n", id="too many fields"),
        pytest.param(OK + b"X-A: 1\0 2\r\nContent-Length: 0\r\n\r\n", id="NUL in a field"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="switched"),
    ],
)
def test_bad_head_is_a_bad_answer(backend: Backend, said: bytes) -> None:
    with saying(said) as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.code) == (0, "bad_answer")
    assert server.connections == 1


@pytest.mark.parametrize("chunk", [b"zz\r\nhi\r\n", b"-2\r\nhi\r\n", b"2\r\nhiXX\r\n", b"fffffffffffffffff\r\n"])
def test_bad_chunk_is_a_bad_answer_after_what_came(backend: Backend, chunk: bytes) -> None:
    with saying(CHUNKED + b"5\r\nhello\r\n", chunk) as server:
        heard = backend.hear(server.url)
    assert heard.code == "bad_answer"
    if backend.name != "aio":  # aiohttp drops what came in the same read as the fault
        assert (heard.status, heard.body[:5]) == (200, b"hello")


def test_endless_interim_answers_end(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        while True:
            peer.say(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    with RawServer(handler) as server:
        heard = backend.hear(server.url, timeouts=Timeouts(first_byte_s=0.5))
    assert heard.code in ("bad_answer", "first_byte_timeout")


def test_short_body_is_cut_after_what_came(backend: Backend) -> None:
    with saying(OK + b"Content-Length: 10\r\n\r\nhello") as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body, heard.code) == (200, b"hello", "cut")


def test_chunks_without_their_end_are_cut_after_what_came(backend: Backend) -> None:
    with saying(CHUNKED + b"5\r\nhello\r\n") as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body, heard.code) == (200, b"hello", "cut")


def test_close_before_the_answer_is_a_reset(backend: Backend) -> None:
    with saying() as server:
        heard = backend.hear(server.url)
    assert heard.code == "reset"
    assert server.connections == 1, "a request on a fresh connection is sent once"


def test_close_within_the_head_is_a_reset(backend: Backend) -> None:
    with saying(OK + b"X-A: 1\r\n") as server:
        heard = backend.hear(server.url)
    assert heard.code == "reset"


def test_reset_before_the_answer_is_a_reset(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.reset()

    with RawServer(handler) as server:
        heard = backend.hear(server.url)
    assert heard.code == "reset"


def test_reset_within_the_body_is_a_reset(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(CHUNKED + b"5\r\nhello\r\n")
        threading.Event().wait(0.1)  # let the bytes be read: a reset may overtake them
        peer.reset()

    with RawServer(handler) as server:
        heard = backend.hear(server.url)
    assert heard.code == "reset"


def test_nobody_listening_is_a_failed_connect_that_names_the_origin_only(backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    heard = backend.hear(f"http://user:hunter2@127.0.0.1:{port}", path="/v1/messages?token=t0ken")
    assert heard.code == "connect_failed"
    said = str(heard.error)
    assert f"http://127.0.0.1:{port}" in said
    assert "hunter2" not in said and "t0ken" not in said


def test_unknown_host_is_a_failed_connect(backend: Backend) -> None:
    heard = backend.hear("http://no-such-host.invalid")
    assert heard.code == "connect_failed"


@pytest.mark.parametrize("url", ["ftp://host", "https://", "not a url", "http://host:notaport", "http://host/path"])
def test_url_that_is_no_origin_is_refused(backend: Backend, url: str) -> None:
    assert backend.hear(url).code == "connect_failed"


@pytest.mark.parametrize(
    "request_parts",
    [
        {"headers": ((b"x-a", b"1\r\nx-evil: 1"),)},
        {"headers": ((b"x-a", b"1\nx-evil: 1"),)},
        {"headers": ((b"x-a", b"1\rx-evil: 1"),)},
        {"headers": ((b"x-a", b"1\0"),)},
        {"headers": ((b"x-a\r\nx-evil", b"1"),)},
        {"headers": ((b"content-length", b"0"),)},
        {"headers": ((b"transfer-encoding", b"chunked"),)},
        {"headers": ((b"host", b"elsewhere"),)},
        {"path": "/v1 HTTP/1.1\r\nx-evil: 1\r\n\r\n"},
        {"path": "/v1/a b"},
        {"path": "/v1/\x00"},
        {"path": "/v1/é"},
        {"path": "v1"},
    ],
)
def test_request_that_would_break_out_of_its_head_is_refused(
    backend: Backend, request_parts: dict[str, object]
) -> None:
    with RawServer(echo) as server:
        with pytest.raises(Refused) as refused:
            backend.hear(server.url, **request_parts)
        assert refused.value.code == "bad_request_head"
        assert server.heads == []
