from __future__ import annotations

import gzip
import json
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.messages import Endpoint, Reading, Usage
from penstock.wire.reading import ErrorReading, Inflated, JsonReading, Opaque, reading
from penstock.wire.results import NamedReading, ResultsReading
from penstock.wire.sse import StreamReading

from .streams import WHOLE

MESSAGES = Endpoint("messages", "messages")
STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
JSON = (b"content-type", b"application/json")

MESSAGE = {
    "model": "claude-haiku-4-5-20251001",
    "id": "msg_01B",
    "type": "message",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 4,
        "service_tier": "batch",
    },
}


def fed(ours: Reading, body: bytes) -> Reading:
    for place in range(0, len(body), 7):
        ours.feed(body[place : place + 7])
    ours.finish()
    return ours


@pytest.mark.parametrize(
    ("name", "status", "headers", "kind"),
    [
        ("messages", 200, [STREAM], StreamReading),
        ("messages", 200, [JSON], JsonReading),
        ("messages", 200, [], JsonReading),
        ("count_tokens", 200, [JSON], JsonReading),
        ("messages", 429, [JSON], ErrorReading),
        ("messages", 529, [STREAM], ErrorReading),
        ("files", 404, [JSON], ErrorReading),
        ("files", 200, [JSON], Opaque),
        ("batches", 200, [JSON], NamedReading),
        ("batches", 404, [JSON], ErrorReading),
        ("batch_results", 200, [JSON], ResultsReading),
        ("batch_results", 200, [JSON, (b"content-encoding", b"gzip")], Inflated),
        ("other", 200, [STREAM], Opaque),
        ("messages", 200, [JSON, (b"content-encoding", b"gzip")], Inflated),
        ("messages", 200, [JSON, (b"content-encoding", b"br")], Opaque),
    ],
)
def test_the_reading_fits_the_answer(name: str, status: int, headers: list[tuple[bytes, bytes]], kind: type) -> None:
    assert type(reading(Endpoint(name, name), status, headers)) is kind


def test_a_message_is_read_at_its_end() -> None:
    answer = fed(reading(MESSAGES, 200, [JSON]), json.dumps(MESSAGE).encode()).answer
    assert (answer.id, answer.model, answer.stop_reason) == ("msg_01B", "claude-haiku-4-5-20251001", "end_turn")
    assert (answer.is_whole, answer.has_content, answer.is_stream) == (True, True, False)
    assert answer.usage == Usage(
        input_tokens=10,
        cache_read_tokens=5,
        cache_write_5m_tokens=10,
        cache_write_1h_tokens=20,
        output_tokens=4,
        service_tier="batch",
    )


def test_writes_without_a_split_live_five_minutes() -> None:
    body = json.dumps({"usage": {"input_tokens": 1, "cache_creation_input_tokens": 8, "output_tokens": 1}}).encode()
    assert fed(JsonReading(), body).answer.usage == Usage(input_tokens=1, cache_write_5m_tokens=8, output_tokens=1)


def test_every_truncation_of_a_message_is_not_whole() -> None:
    body = json.dumps(MESSAGE).encode()
    for cut in range(len(body)):
        answer = fed(JsonReading(), body[:cut]).answer
        assert (answer.is_whole, answer.usage) == (False, None), cut


def test_a_count_has_no_usage_and_is_whole() -> None:
    answer = fed(reading(Endpoint("count_tokens", "count_tokens"), 200, [JSON]), b'{"input_tokens": 14}').answer
    assert (answer.is_whole, answer.usage) == (True, None)


@pytest.mark.parametrize("body", [b"", b"<html>502</html>", b"upstream connect error", b"[1]", b"\xff" * 9])
def test_an_error_is_whole_whatever_its_body(body: bytes) -> None:
    answer = fed(reading(MESSAGES, 502, []), body).answer
    assert (answer.is_whole, answer.error_type) == (True, None)


def test_an_error_says_its_type_code_and_message() -> None:
    error = {"type": "rate_limit_error", "message": "slow down", "details": {"error_code": "ramp_limit_exceeded"}}
    answer = fed(reading(MESSAGES, 429, [JSON]), json.dumps({"type": "error", "error": error}).encode()).answer
    assert (answer.error_type, answer.error_code, answer.error_message) == (
        "rate_limit_error",
        "ramp_limit_exceeded",
        "slow down",
    )
    assert fed(ErrorReading(), b'{"error":"text"}').answer.error_type is None


RAW = zlib.compressobj(wbits=-15)
CODED = {
    b"gzip": gzip.compress(WHOLE),
    b"deflate": zlib.compress(WHOLE),
    b"deflate ": RAW.compress(WHOLE) + RAW.flush(),
}


@pytest.mark.parametrize("coding", CODED)
def test_a_compressed_stream_is_read_aside(coding: bytes) -> None:
    ours = fed(reading(MESSAGES, 200, [STREAM, (b"content-encoding", coding)]), CODED[coding])
    assert ours.answer.is_whole and ours.answer.is_stream
    assert ours.answer.usage == Usage(input_tokens=31, output_tokens=547)
    assert ours.closing(b"{}") == b""


@settings(deadline=None)
@given(st.integers(0, len(CODED[b"gzip"]) - 20), st.binary(max_size=30))
def test_a_broken_compressed_body_never_raises(cut: int, noise: bytes) -> None:
    ours = fed(reading(MESSAGES, 200, [STREAM, (b"content-encoding", b"gzip")]), CODED[b"gzip"][:cut] + noise)
    assert ours.answer.is_whole is False


def test_an_opaque_body_keeps_nothing_and_is_whole() -> None:
    ours = fed(Opaque(), b"x" * 1000)
    assert ours.answer.is_whole and ours.estimated_usage() is None and ours.closing(b"{}") == b""


def test_a_batch_is_known_by_its_id_and_whole_whatever_it_holds() -> None:
    assert fed(NamedReading(), b'{"type": "message_batch", "id": "msgbatch_1"}').answer.id == "msgbatch_1"
    for odd in (b"", b"[1]", b'{"id": 5}', b"<html>", b"\xff"):
        answer = fed(NamedReading(), odd).answer
        assert answer.id is None and answer.is_whole


def result(kind: str, **fields: object) -> bytes:
    return json.dumps({"custom_id": "a", "result": {"type": kind, **fields}}).encode()


def test_results_are_read_line_by_line_and_only_answers_are_billed() -> None:
    lines = [
        result("succeeded", message=MESSAGE),
        result("errored", error={"type": "error", "error": {"type": "invalid_request_error", "message": "No."}}),
        b"",
        result("canceled"),
        result("succeeded", message={**MESSAGE, "stop_reason": "refusal"}),
    ]
    for end in (b"", b"\n"):
        items = fed(ResultsReading(), b"\n".join(lines) + end).answer.items
        assert items is not None and [item.stop_reason for item in items] == [MESSAGE["stop_reason"], "refusal"]
        assert all(item.usage is not None and item.usage.output_tokens == 4 for item in items)


def test_results_with_a_line_that_cannot_be_read_have_no_sum() -> None:
    assert fed(ResultsReading(), result("succeeded", message=MESSAGE) + b'\n{"cust').answer.items is None
    assert fed(ResultsReading(), b"").answer.items == []
