"""Requests that are not sound HTTP: each is refused in the API's own shape, and nothing is answered after a refusal."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.serving import Running, echo, error_in, heard, serving, statuses

HOST = b"Host: gateway\r\n"
NEXT = b"GET /second HTTP/1.1\r\nHost: gateway\r\n\r\n"


def post(fields: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"POST /v1/messages HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n" + body


def get(fields: bytes = b"", target: bytes = b"/", version: bytes = b"1.1") -> bytes:
    return b"GET " + target + b" HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"

#: Name, bytes sent, the one status that answers them. `NEXT` follows each on the same connection.
REFUSED: list[tuple[str, bytes, int]] = [
    ("CL and TE", post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"), 400),
    ("TE and CL", post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), 400),
    ("two different CL", post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"), 400),
    ("two equal CL", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"), 400),
    ("list CL", post(b"Content-Length: 5, 5\r\n", b"hello"), 400),
    ("negative CL", post(b"Content-Length: -1\r\n"), 400),
    ("signed CL", post(b"Content-Length: +5\r\n", b"hello"), 400),
    ("hex CL", post(b"Content-Length: 0x5\r\n", b"hello"), 400),
    ("CL overflow", post(b"Content-Length: 99999999999999999999999\r\n"), 400),
    ("empty CL", post(b"Content-Length:\r\n"), 400),
    ("1.0 and TE", post(CHUNKED, b"0\r\n\r\n", b"1.0"), 400),
    ("1.0 keep-alive and TE", post(b"Connection: keep-alive\r\n" + CHUNKED, b"0\r\n\r\n", b"1.0"), 400),
    ("unknown TE", post(b"Transfer-Encoding: rot13\r\n", b"0\r\n\r\n"), 400),
    ("gzip then chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 400),
    ("two TE", post(CHUNKED + CHUNKED, b"0\r\n\r\n"), 400),
    ("TE with a tab", post(b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"), 400),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", 400),
    ("two Hosts", get(HOST), 400),
    ("two Hosts on 1.0", get(HOST, version=b"1.0"), 400),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    ("Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("HTTP/0.9 spelt out", b"GET / HTTP/0.9\r\n\r\n", 400),
    ("HTTP/1.2", get(version=b"1.2"), 400),
    ("HTTP/2.0", get(version=b"2.0"), 400),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("version of letters", get(version=b"one"), 400),
    ("lower-case http", b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    ("TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ("noise", bytes(range(256)), 400),
    ("obs-fold", get(b"X-A: one\r\n two\r\n"), 400),
    ("bare LF after a field", get(b"X-A: one\nX-B: two\r\n"), 400),
    ("bare LF lines", b"GET / HTTP/1.1\nHost: gateway\n\n", 400),
    ("bare CR in a value", get(b"X-A: one\rX-B: two\r\n"), 400),
    ("space before colon", get(b"X-A : one\r\n"), 400),
    ("space before the first name", b"GET / HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    ("no colon", get(b"X-A\r\n"), 400),
    ("empty name", get(b": one\r\n"), 400),
    ("name with a slash", get(b"X/A: one\r\n"), 400),
    ("name outside ASCII", get(b"X-\xc3\xa9: one\r\n"), 400),
    ("NUL in a value", get(b"X-A: o\x00ne\r\n"), 400),
    ("CTL in a value", get(b"X-A: o\x01ne\r\n"), 400),
    ("DEL in a value", get(b"X-A: o\x7fne\r\n"), 400),
    ("NUL in the target", get(target=b"/\x00"), 400),
    ("space in the target", get(target=b"/a b"), 400),
    ("target outside ASCII", get(target=b"/\xc3\xa9"), 400),
    ("fragment in the target", get(target=b"/a#b"), 400),
    ("target that is no path", get(target=b"v1/messages"), 400),
    ("unknown method", b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("lower-case method", b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    ("TRACE", b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    ("chunk size +2", post(CHUNKED, b"+2\r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk size 0x2", post(CHUNKED, b"0x2\r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk size -2", post(CHUNKED, b"-2\r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk size junk", post(CHUNKED, b"zz\r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk size empty", post(CHUNKED, b"\r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk size overflow", post(CHUNKED, b"fffffffffffffffff\r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk size with a space", post(CHUNKED, b"2 \r\nhi\r\n0\r\n\r\n"), 400),
    ("chunk longer than its size", post(CHUNKED, b"2\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk with bare LF", post(CHUNKED, b"2\nhi\n0\n\n"), 400),
    ("second chunk bad", post(CHUNKED, b"2\r\nhi\r\nzz\r\n"), 400),
    ("huge chunk", post(CHUNKED, b"7fffffff\r\nhi"), 408),
    ("bogus Expect", post(b"Content-Length: 2\r\nExpect: a-miracle\r\n", b"hi"), 417),
    ("header of 1 MB", get(b"X-A: " + b"a" * 1_000_000 + b"\r\n"), 431),
    ("5,000 headers", get(b"".join(b"X-%d: a\r\n" % n for n in range(5000))), 431),
    ("target of 100 KB", get(target=b"/" + b"a" * 100_000), 431),
    ("300 short headers", get(b"A: b\r\n" * 300), 431),
    ("empty lines without end", b"\r\n" * 200_000, 431),
    ("CL over the cap", post(b"Content-Length: 100001\r\n"), 413),
    ("chunks over the cap", post(CHUNKED, b"30d40\r\n" + b"a" * 200_000 + b"\r\n0\r\n\r\n"), 413),
]

#: Name, bytes sent, how the app's answer begins. The connection stays fit for `NEXT`.
ACCEPTED: list[tuple[str, bytes, bytes]] = [
    ("plain", get(), b"GET / 0"),
    ("body by length", post(b"Content-Length: 5\r\n", b"hello"), b"POST /v1/messages 5"),
    ("body by chunks", post(CHUNKED, b"2\r\nhi\r\n3;a=b\r\nyou\r\n0\r\n\r\n"), b"POST /v1/messages 5"),
    ("chunk size in capitals", post(CHUNKED, b"A\r\n0123456789\r\n0\r\n\r\n"), b"POST /v1/messages 10"),
    ("trailers dropped", post(CHUNKED, b"2\r\nhi\r\n0\r\nX-Late: yes\r\n\r\n"), b"POST /v1/messages 2"),
    ("empty body by length", post(b"Content-Length: 0\r\n"), b"POST /v1/messages 0"),
    ("absolute form", get(target=b"http://gateway/v1/models?x=1"), b"GET /v1/models 0"),
    ("absolute form without a path", get(target=b"http://gateway"), b"GET / 0"),
    ("two slashes", get(target=b"//v1/models"), b"GET //v1/models 0"),
    ("percent-encoding kept", get(target=b"/v1/%6dodels"), b"GET /v1/%6dodels 0"),
    ("asterisk", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", b"OPTIONS * 0"),
    ("leading empty lines", b"\r\n\r\n" + get(), b"GET / 0"),
    ("value outside ASCII", get(b"X-A: \xc3\xa9\r\n"), b"GET / 0"),
    ("empty value", get(b"X-A:\r\n"), b"GET / 0"),
    ("IPv6 Host", b"GET / HTTP/1.1\r\nHost: [::1]:8787\r\n\r\n", b"GET / 0"),
    ("offer of HTTP/2", post(b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
                             b"Content-Length: 5\r\n", b"hello"), b"POST /v1/messages 5"),
    ("offer of a websocket", get(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), b"GET / 0"),
]  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving(echo, body_bytes_max=lambda path: 100_000) as running:
        yield running


@pytest.mark.parametrize(("sent", "status"), [pytest.param(sent, s, id=name) for name, sent, s in REFUSED])
def test_a_malformed_request_is_refused_once_and_the_connection_closed(
    running: Running, sent: bytes, status: int
) -> None:
    answer = running.say(sent, b"" if status == 408 else NEXT)
    assert statuses(answer) == [status]
    error = error_in(answer)
    assert error["type"] == "error"
    assert error["error"]["message"]
    assert error["error"]["details"]["layer"] == "gateway"
    assert error["error"]["details"]["fix"]
    assert error["request_id"].startswith("req_")
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"\r\nconnection: close" in head
    assert b"\r\nx-should-retry: false" in head
    assert b"\r\ncontent-length: " in head


@pytest.mark.parametrize(("sent", "expected"), [pytest.param(sent, e, id=name) for name, sent, e in ACCEPTED])
def test_a_sound_request_is_answered_and_so_is_the_next(running: Running, sent: bytes, expected: bytes) -> None:
    answer = running.say(sent, NEXT)
    assert statuses(answer) == [200, 200]
    assert b"\r\n\r\n" + expected in answer
    assert answer.endswith(b"GET /second 0")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(get(b"Connection: close\r\n"), id="close"),
        pytest.param(get(version=b"1.0"), id="1.0"),
        pytest.param(get(b"Connection: keep-alive\r\n", version=b"1.0"), id="1.0 keep-alive"),
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="1.0 without Host"),
    ],
)
def test_nothing_after_the_last_request_is_answered(running: Running, sent: bytes) -> None:
    answer = running.say(sent + NEXT)
    assert statuses(answer) == [200]
    assert b"connection: close" in answer


def test_a_malformed_request_sent_ahead_is_refused_after_the_answer_before_it(running: Running) -> None:
    answer = running.say(get() + get(target=b"/b") + get(HOST) + NEXT)
    assert statuses(answer) == [200, 200, 400]
    assert answer.index(b"GET / 0") < answer.index(b"GET /b 0") < answer.index(b"malformed_http")


@pytest.mark.parametrize("name", ["two Hosts", "obs-fold", "second chunk bad", "5,000 headers"])
def test_a_request_is_judged_alike_however_it_is_cut_into_packets(running: Running, name: str) -> None:
    sent, status = next((sent, status) for label, sent, status in REFUSED if label == name)
    step = max(1, len(sent) // 60)
    answer = running.say(*(sent[at : at + step] for at in range(0, len(sent), step)), NEXT)
    assert statuses(answer) == [status]


def test_refusals_are_counted_by_code(running: Running) -> None:
    before = running.server.refused["malformed_http"]
    running.say(get(HOST))
    assert running.server.refused["malformed_http"] == before + 1


_SHORT = [sent for _, sent, _ in REFUSED if len(sent) < 2000] + [sent for _, sent, _ in ACCEPTED]
_EDIT = st.tuples(st.integers(0, 2000), st.integers(0, 3), st.binary(max_size=4))


def _edited(sent: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, cut, put in edits:
        at %= len(sent) + 1
        sent = sent[:at] + put + sent[at + cut :]
    return sent


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(_SHORT), st.lists(_EDIT, min_size=1, max_size=4))
def test_no_mutation_makes_a_server_error_a_hang_or_an_answer_after_a_refusal(
    running: Running, sent: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    with running.dial() as caller:
        with contextlib.suppress(ConnectionError):
            caller.sendall(_edited(sent, edits) + NEXT)
            caller.shutdown(socket.SHUT_WR) if not edits[0][0] % 4 else None
        seen = [status for status in statuses(heard(caller)) if status != 100]
    assert all(status < 500 for status in seen)
    assert all(status == 200 for status in seen[:-1]), "something was answered after a refusal"
