"""The sans-IO framing on its own: every split, every limit, and the request's head."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ports.http1 import FIELDS_MAX, HEAD_MAX_BYTES, Answers, serialise

OK = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "length": (OK + b"X-A: 1\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=1\r\nlo\r\n0\r\n\r\n", b"hello", True),
    "trailers": (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", b"hello", False),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
    "close": (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
    "empty": (OK + b"Content-Length: 0\r\n\r\n", b"", True),
    "none": (b"HTTP/1.1 204 None\r\n\r\n", b"", True),
}


@pytest.mark.parametrize("kind", ANSWERS)
@given(cuts=st.lists(st.integers(0, 120), max_size=8))
def test_splits_change_nothing(kind: str, cuts: list[int]) -> None:
    whole, body, is_reusable = ANSWERS[kind]
    answers, heard, last = Answers(), b"", 0
    for cut in [*sorted(set(cuts)), len(whole)]:
        heard += answers.feed(whole[last:cut])
        last = max(last, cut)
    assert (heard, answers.fault, answers.is_whole, answers.is_reusable) == (body, None, True, is_reusable)
    assert answers.end() is None


@pytest.mark.parametrize("kind", ["length", "chunks", "trailers", "interim"])
def test_every_early_end_is_noticed(kind: str) -> None:
    whole, _, _ = ANSWERS[kind]
    for length in range(len(whole)):
        answers = Answers()
        answers.feed(whole[:length])
        assert not answers.is_whole
        assert answers.end() == ("cut" if answers.headers is not None else "reset")


def test_one_parser_reads_one_answer_after_the_other() -> None:
    answers = Answers()
    for kind in ("chunks", "length", "none", "interim"):
        whole, body, _ = ANSWERS[kind]
        answers.begin(is_head=False)
        assert not answers.is_begun
        assert answers.feed(whole) == body
        assert answers.is_begun and answers.is_reusable


def test_pieces_of_one_read_are_joined_and_of_two_kept_apart() -> None:
    answers = Answers()
    assert answers.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n") == b"ab"
    assert answers.feed(b"1\r\nc\r\n") == b"c"


def test_head_at_the_limit_passes_and_one_beyond_does_not() -> None:
    tail = b"Content-Length: 0\r\n\r\n"
    fits = OK + b"X-A: 1\r\n" * (FIELDS_MAX - 1) + tail
    answers = Answers()
    answers.feed(fits)
    assert answers.fault is None and answers.is_whole
    for bad in (
        OK + b"X-A: 1\r\n" * FIELDS_MAX + tail,
        OK + b"X-A: " + b"a" * HEAD_MAX_BYTES + b"\r\n" + tail,
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    ):
        answers = Answers()
        answers.feed(bad)
        assert answers.fault is not None and answers.headers is None and not answers.is_reusable


@pytest.mark.parametrize("endless", [b"x" * 4096, b"HTTP/1.1 100 Continue\r\n\r\n" * 100])
def test_endless_head_is_given_up_within_bounds(endless: bytes) -> None:
    answers, fed = Answers(), 0
    answers.feed(b"" if endless.startswith(b"HTTP") else OK + b"X-A: ")
    while answers.fault is None:
        answers.feed(endless)
        fed += len(endless)
        assert fed <= HEAD_MAX_BYTES + len(endless)


def test_endless_trailers_are_given_up() -> None:
    answers = Answers()
    answers.feed(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n")
    for _ in range(HEAD_MAX_BYTES // 1000 + 2):
        answers.feed(b"X-T: " + b"t" * 1000 + b"\r\n")
    assert answers.fault is not None


@given(data=st.binary(max_size=400))
def test_no_bytes_raise(data: bytes) -> None:
    answers = Answers()
    answers.feed(data)
    answers.feed(data)
    answers.end()


def test_head_of_a_request() -> None:
    head = serialise("POST", "/v1/messages?beta=true", ((b"x-a", b"1"), (b"x-b", b"")), b"host:8", 3)
    lines = head.split(b"\r\n")
    assert lines[0] == b"POST /v1/messages?beta=true HTTP/1.1"
    assert set(lines[1:-2]) == {b"host: host:8", b"connection: keep-alive", b"content-length: 3", b"x-a: 1", b"x-b: "}
    assert lines[-2:] == [b"", b""]


def test_length_is_zero_where_a_body_was_due_and_absent_where_none_was() -> None:
    assert b"content-length: 0\r\n" in serialise("POST", "/", (), b"h", 0)
    assert b"content-length" not in serialise("GET", "/", (), b"h", 0)
