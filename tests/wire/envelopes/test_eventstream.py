"""Bedrock's binary stream as the API's own, against botocore's decoder and the official SDK's clients."""

from __future__ import annotations

import json
import struct
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, AnthropicBedrock, APIStatusError
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.envelopes import Corrupt, Opener, envelope
from penstock.wire.messages import Endpoint
from penstock.wire.reading import reading

from ..streams import pieces
from .frames import EVENTS, START, WHOLE, chunk, exception, frame

BINARY = ((b"content-type", b"application/vnd.amazon.eventstream"), (b"x-amzn-requestid", b"aws-1"))
SSE = b"".join(b"event: %b\ndata: %b\n\n" % (json.loads(event)["type"].encode(), event) for event in EVENTS)


def opened() -> Opener:
    found = envelope("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com").undress(200, BINARY)
    assert found is not None
    return found


def decoded(*chunks: bytes) -> bytes:
    stream = opened()
    return b"".join([*map(stream.feed, chunks), stream.end()])


def test_the_events_are_given_byte_for_byte() -> None:
    assert decoded(WHOLE) == SSE
    assert b'"amazon-bedrock-invocationMetrics":{"inputTokenCount":31' in SSE


def test_its_fields_are_those_of_a_stream() -> None:
    assert opened().headers == (
        (b"x-amzn-requestid", b"aws-1"),
        (b"request-id", b"aws-1"),
        (b"content-type", b"text/event-stream; charset=utf-8"),
    )


def test_every_split_in_two_gives_the_same() -> None:
    for cut in range(len(WHOLE) + 1):
        assert decoded(*pieces(WHOLE, [cut])) == SSE, cut


def test_byte_by_byte_gives_the_same_and_each_event_as_soon_as_it_is_whole() -> None:
    stream, ends, at = opened(), [], 0
    for event in EVENTS:
        at += len(chunk(event))
        ends.append(at)
    for number, byte in enumerate(WHOLE, 1):
        assert bool(stream.feed(bytes([byte]))) is (number in ends)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
def test_any_split_gives_the_same(cuts: list[int]) -> None:
    assert decoded(*pieces(WHOLE, cuts)) == SSE


def test_botocore_reads_the_frames_alike() -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="botocore, the oracle, is not installed")
    buffer = eventstream.EventStreamBuffer()
    buffer.add_data(WHOLE)
    assert [json.loads(event.payload)["p"] for event in buffer] == ["abcdefgh"] * len(EVENTS)


def told(client: type[Any], kind: str, body: bytes, **options: Any) -> list[Any]:
    """What a client of the official SDK makes of a streamed answer; an error last."""
    answer = httpx2.Response(200, headers={"content-type": kind}, content=body)
    http = httpx2.Client(transport=httpx2.MockTransport(lambda request: answer))
    seen: list[Any] = []
    try:
        for event in client(http_client=http, max_retries=0, **options).messages.create(
            model="claude-opus-4-7", max_tokens=9, messages=[{"role": "user", "content": "x"}], stream=True
        ):
            seen.append(event.to_dict())
    except APIStatusError as error:
        seen.append((error.status_code, error.body))
    return seen


def test_the_sdk_sees_the_same_events_either_way() -> None:
    pytest.importorskip("botocore.eventstream", reason="botocore, which the SDK's Bedrock client needs, is not there")
    theirs = told(AnthropicBedrock, BINARY[0][1].decode(), WHOLE, api_key="k", aws_region="us-east-1")
    ours = told(Anthropic, "text/event-stream", decoded(WHOLE), api_key="k")
    assert ours == theirs
    assert len(ours) == len(EVENTS)


EXCEPTIONS = [
    ("throttlingException", "rate_limit_error"),
    ("serviceUnavailableException", "overloaded_error"),
    ("modelTimeoutException", "timeout_error"),
    ("validationException", "invalid_request_error"),
    ("modelStreamErrorException", "api_error"),
    ("internalServerException", "api_error"),
    ("somethingNewException", "api_error"),
]


@pytest.mark.parametrize(("kind", "expected"), EXCEPTIONS)
def test_an_exception_is_an_error_event(kind: str, expected: str) -> None:
    body = decoded(chunk(START.encode()) + exception(kind, "Too many tokens, please wait."))
    *_, name, data = body.decode().removesuffix("\n\n").split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: ")) == {
        "type": "error",
        "error": {"type": expected, "message": "Too many tokens, please wait.", "details": {"error_code": kind}},
        "request_id": "aws-1",
    }
    caught = reading(Endpoint("messages", "messages"), 200, opened().headers)
    caught.feed(body)
    caught.finish()
    assert (caught.answer.error_type, caught.answer.error_code) == (expected, kind)


def test_the_sdk_raises_for_an_exception_either_way() -> None:
    pytest.importorskip("botocore.eventstream", reason="botocore, which the SDK's Bedrock client needs, is not there")
    binary = chunk(EVENTS[0]) + exception("throttlingException", "Slow down.")
    theirs = told(AnthropicBedrock, BINARY[0][1].decode(), binary, api_key="k", aws_region="us-east-1")
    ours = told(Anthropic, "text/event-stream", decoded(binary), api_key="k")
    assert ours[0] == theirs[0]
    assert (ours[1][0], ours[1][1]["error"]["message"]) == (theirs[1][0], theirs[1][1]["error"]["message"])


@pytest.mark.parametrize(
    ("body", "message", "word"),
    [
        (exception("throttlingException"), "throttlingException", "throttlingException"),
        (frame({":message-type": "exception"}, b"not JSON"), "The stream broke off.", None),
        (
            frame({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Oh no"}, b""),
            "Oh no",
            "InternalFailure",
        ),
        (frame({":message-type": "exception", ":exception-type": "x"}, b'{"Message":"Capital"}'), "Capital", "x"),
    ],
)
def test_an_error_without_a_body_is_one_all_the_same(body: bytes, message: str, word: str | None) -> None:
    error = json.loads(decoded(body).partition(b"data: ")[2])["error"]
    assert (error["message"], (error["details"] or {}).get("error_code")) == (message, word)


@pytest.mark.parametrize(
    "other",
    [
        frame({":message-type": "event", ":event-type": "initial-response"}, b"{}"),
        frame({":message-type": "event", ":event-type": "chunk"}, b"{}"),
        chunk(b'{"no type":1}'),
        frame({}, b""),
    ],
)
def test_what_is_no_event_is_passed_over(other: bytes) -> None:
    assert decoded(other + WHOLE) == SSE


def test_all_types_of_headers_are_read() -> None:
    headers: dict[str, str | tuple[int, bytes]] = {
        "yes": (0, b""),
        "no": (1, b""),
        "byte": (2, b"1"),
        "short": (3, b"12"),
        "integer": (4, b"1234"),
        "long": (5, b"12345678"),
        "bytes": (6, b"any"),
        "time": (8, b"12345678"),
        "uuid": (9, b"1" * 16),
        ":message-type": "exception",
        ":exception-type": "throttlingException",
    }
    assert b"rate_limit_error" in decoded(frame(headers, b""))


def test_line_ends_between_tokens_do_not_end_an_event() -> None:
    assert decoded(chunk(b'{"type":"ping"\r\n,\n"x":1}')) == b'event: ping\ndata: {"type":"ping"  , "x":1}\n\n'


def broken(at: int, by: int = 1) -> bytes:
    whole = bytearray(chunk(EVENTS[1]))
    whole[at] ^= by
    return bytes(whole)


FAULTS = {
    "a prelude that is not its own": broken(1),
    "a checksum of the prelude": broken(8),
    "a header": broken(20),
    "a payload": broken(-40),
    "a checksum": broken(-1),
    "text": b'{"message":"this is no stream"}',
    "too short": struct.pack(">II", 12, 0) + b"\x83\xfa\xc6\xd0",
    "base64": frame({":message-type": "event", ":event-type": "chunk"}, b'{"bytes":"%%%"}'),
    "JSON in it": chunk(b"Hello"),
    "a list in it": chunk(b"[]"),
    "a name of two lines": chunk(b'{"type":"x\\nevent: message_stop"}'),
    "JSON": frame({":message-type": "event", ":event-type": "chunk"}, b"{"),
    "a header's type": frame({"x": (12, b"")}, b""),
    "a header's length": frame({"x": (4, b"12")}, b""),
    "a header's text": frame({"x": (7, b"\xff")}, b""),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_raised_once_what_came_before_it_is_given(fault: bytes) -> None:
    for cut in range(len(fault) + 1):
        stream, given = opened(), b""
        with pytest.raises(Corrupt) as caught:
            for part in pieces(WHOLE + fault, [len(WHOLE) + cut]):
                given += stream.feed(part)
            stream.end()
        assert given == SSE
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("length", [(25 << 20) + 16, 0xFFFF_FFFF])
def test_a_length_that_none_can_have_is_not_waited_for(length: int) -> None:
    from zlib import crc32

    prelude = struct.pack(">II", length, 0)
    with pytest.raises(Corrupt):
        decoded(prelude + struct.pack(">I", crc32(prelude)))


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_garbage_is_corrupt_and_nothing_else(data: st.DataObject) -> None:
    """Frames are checked, so what has been changed is never given as an event."""
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    body = WHOLE[:at] + data.draw(st.binary(min_size=1, max_size=40)) + WHOLE[at:]
    stream, given_ = opened(), b""
    try:
        given_ += stream.feed(body)
        stream.end()
    except Corrupt:
        pass
    assert SSE.startswith(given_)


@settings(deadline=None, max_examples=100)
@given(
    st.dictionaries(st.text("abc:-", max_size=3), st.text(max_size=3) | st.tuples(st.integers(0, 12), st.binary())),
    st.binary() | st.sampled_from((b"{}", b"[]", b'{"bytes":7}', b'{"message":7}', b"[" * 100_000)),
    st.sampled_from(("event", "exception", "error")),
)
def test_a_frame_of_anything_is_read_or_corrupt(headers: dict[str, Any], payload: bytes, kind: str) -> None:
    try:
        decoded(frame({**headers, ":message-type": kind, ":event-type": "chunk"}, payload))
    except Corrupt:
        pass


def test_a_cut_stream_ends_without_message_stop() -> None:
    """Which whoever reads it takes for a failure; so the frame that is cut need not be one."""
    for cut in range(len(WHOLE) - 1):
        assert b"message_stop" not in decoded(WHOLE[:cut])
