"""Where an answer's body begins and ends, over every backend."""

from __future__ import annotations

import hashlib
import threading

import pytest
from backends import Backend, hear, outgoing
from raw_server import OK, Peer, RawServer, echo

from penstock.ports import Upstream

CHUNKED = OK + b"Transfer-Encoding: chunked\r\nX-Kind: Odd Case\r\n\r\n"


def saying(*pieces: bytes, keeps_open: bool = True) -> RawServer:
    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(*pieces)
        if keeps_open:
            peer.drain()

    return RawServer(handler)


def test_body_of_known_length_is_whole(backend: Backend) -> None:
    with saying(OK + b"Content-Length: 5\r\n\r\nhello") as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body, heard.error) == (200, b"hello", None)


def test_header_names_are_lower_case_values_and_order_untouched(backend: Backend) -> None:
    with saying(
        OK + b"Request-ID: req_A\r\nSet-Cookie: a=1\r\nSet-Cookie: B=2\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n"
    ) as server:
        heard = backend.hear(server.url)
    assert heard.headers == (
        (b"request-id", b"req_A"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"B=2"),
        (b"x-empty", b""),
        (b"content-length", b"0"),
    )
    assert heard.chunks == []


def test_chunked_body_is_joined_and_trailers_dropped(backend: Backend) -> None:
    with saying(CHUNKED + b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n") as server:
        heard = backend.hear(server.url)
    assert (heard.body, heard.error) == (b"hello world", None)
    assert b"x-trailer" not in dict(heard.headers)


def test_answer_split_at_every_byte_is_the_same(backend: Backend) -> None:
    whole = CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    with saying(*[whole[i : i + 1] for i in range(len(whole))]) as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body, heard.error) == (200, b"hello world", None)
    assert dict(heard.headers)[b"x-kind"] == b"Odd Case"


def test_body_without_length_ends_with_the_connection(backend: Backend) -> None:
    with saying(OK + b"\r\n", b"hello", b" world", keeps_open=False) as server:
        heard = backend.hear(server.url)
    assert (heard.body, heard.error) == (b"hello world", None)


def test_head_answer_has_no_body_whatever_its_length_says(backend: Backend) -> None:
    with saying(OK + b"Content-Length: 5\r\n\r\n") as server:
        heard = backend.hear(server.url, method="HEAD", body=b"")
    assert (heard.status, heard.body, heard.error) == (200, b"", None)


@pytest.mark.parametrize("status", [204, 304])
def test_bodyless_statuses_end_with_their_head(backend: Backend, status: int) -> None:
    with saying(b"HTTP/1.1 %d None\r\nX-A: 1\r\n\r\n" % status) as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body, heard.error) == (status, b"", None)


def test_interim_answers_are_skipped(backend: Backend) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    with saying(interim + OK + b"Content-Length: 2\r\n\r\nhi") as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.headers, heard.body) == (200, ((b"content-length", b"2"),), b"hi")


@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_error_answers_are_answers(backend: Backend, status: int) -> None:
    with saying(b"HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\n{}" % status) as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body, heard.error) == (status, b"{}", None)


def test_redirects_and_encodings_are_left_alone(backend: Backend) -> None:
    with saying(
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"
    ) as server:
        heard = backend.hear(server.url)
    assert (heard.status, heard.body) == (302, b"abc")


def test_answer_over_http_1_0_is_read(backend: Backend) -> None:
    with saying(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi") as server:
        heard = backend.hear(server.url)
    assert (heard.body, heard.error) == (b"hi", None)


def test_pieces_pass_as_they_come(backend: Backend) -> None:
    """The second event is only sent once the first has been read."""
    is_read = threading.Event()

    def handler(peer: Peer) -> None:
        peer.request()
        peer.say(CHUNKED + b"5\r\nfirst\r\n")
        assert is_read.wait(5)
        peer.say(b"6\r\nsecond\r\n0\r\n\r\n")

    async def scenario(pool: Upstream) -> list[bytes]:
        incoming = await pool.send(outgoing(server.url))
        chunks = [await incoming.source.__anext__()]
        is_read.set()
        return [*chunks, await incoming.source.__anext__()]

    with RawServer(handler) as server:
        assert backend.play(scenario) == [b"first", b"second"]


def test_request_goes_out_byte_for_byte(backend: Backend) -> None:
    headers = ((b"x-api-key", b"k"), (b"anthropic-beta", b"a"), (b"anthropic-beta", b"b"), (b"x-utf8", "é".encode()))
    body = bytes(range(256)) * 10
    with RawServer(echo) as server:
        heard = backend.hear(server.url, path="/v1/messages?beta=true&q=%2Fa+b", headers=headers, body=body)
        lines = server.heads[0].split(b"\r\n")
    assert heard.body == body
    assert lines[0] == b"POST /v1/messages?beta=true&q=%2Fa+b HTTP/1.1"
    sent = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines[1:])]
    assert [each for each in sent if each in headers] == list(headers)
    names = [name for name, _ in sent]
    assert names.count(b"host") == names.count(b"content-length") == 1
    assert dict(sent)[b"host"] == server.url.removeprefix("http://").encode()
    assert set(names) - {name for name, _ in headers} <= {b"host", b"content-length", b"connection"}


def test_get_has_no_body_and_no_length(backend: Backend) -> None:
    with RawServer(echo) as server:
        heard = backend.hear(server.url, method="GET", path="/v1/models", body=b"")
        head = server.heads[0].lower()
    assert heard.status == 200
    assert b"content-length" not in head and b"transfer-encoding" not in head


def test_big_upload_arrives_whole(backend: Backend) -> None:
    body = hashlib.sha256(b"seed").digest() * 262_144  # 8 MiB

    def handler(peer: Peer) -> None:
        peer.answer(hashlib.sha256(peer.request()).hexdigest().encode())

    with RawServer(handler) as server:
        heard = backend.hear(server.url, body=body)
    assert heard.body == hashlib.sha256(body).hexdigest().encode()


def test_answer_before_the_request_is_out_is_heard(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
        peer.drain()

    async def scenario(pool: Upstream) -> tuple[object, object]:
        first = await hear(pool, server.url, body=bytes(8_000_000))
        second = await hear(pool, server.url, body=b"")
        return (first.status, first.body, first.error), second.status

    with RawServer(handler) as server:
        assert backend.play(scenario) == ((413, b"no", None), 413)
        assert server.connections == 2


def test_request_is_sent_on_after_an_early_head(backend: Backend) -> None:
    def handler(peer: Peer) -> None:
        head = peer.head()
        peer.say(CHUNKED + b"3\r\none\r\n")
        peer.say(b"7\r\n%07d\r\n0\r\n\r\n" % len(peer.body(head)))

    with RawServer(handler) as server:
        heard = backend.hear(server.url, body=bytes(8_000_000))
    assert (heard.body, heard.error) == (b"one8000000", None)
