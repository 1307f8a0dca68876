from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.messages import Endpoint, Malformed, endpoint, read_request


@pytest.mark.parametrize(
    ("method", "path", "name", "scope"),
    [
        ("POST", "/v1/messages", "messages", "messages"),
        ("POST", "/v1/messages/", "messages", "messages"),
        ("POST", "/v1/%6dessages", "messages", "messages"),
        ("GET", "/v1/messages", "other", "other"),
        ("POST", "/v1/messages/count_tokens", "count_tokens", "count_tokens"),
        ("POST", "/v1/messages/batches", "batches", "batches"),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel", "batches", "batches"),
        ("GET", "/v1/messages/batches/msgbatch_1/results", "batch_results", "batches"),
        ("GET", "/v1/models", "models", "models"),
        ("GET", "/v1/models/claude-opus-5-5", "models", "models"),
        ("DELETE", "/v1/files/file_1", "files", "files"),
        ("GET", "/v1/organizations/usage_report/messages", "other", "admin"),
        ("POST", "/v1/complete", "other", "other"),
        ("GET", "/", "other", "other"),
    ],
)
def test_endpoint_of_a_path(method: str, path: str, name: str, scope: str) -> None:
    assert endpoint(method, path) == Endpoint(name, scope)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../organizations/keys",
        "/v1/files/%2e%2e/organizations/keys",
        "/v1/files/%252e%252e/organizations",
        "/v1/files%2F..%2Forganizations",
        "/v1//messages",
        "//v1/messages",
        "/v1/./messages",
        "/v1\\messages",
        "/v1/files;/organizations",
        "/v1/messages\x00",
    ],
)
def test_a_path_that_could_mean_another_needs_the_widest_scope(path: str) -> None:
    assert endpoint("POST", path).scope == "admin"


def test_a_request_is_read_in_part() -> None:
    request = read_request(
        b'{"model":"claude-opus-5-5","max_tokens":9,"stream":true,"metadata":{"user_id":"u1","x":1},"speed":"fast",'
        b'"inference_geo":"us","service_tier":"auto","messages":[ ],"system":"s","new":{"field":[1]}}'
    )
    assert (request.model, request.max_tokens, request.stream, request.user_id) == ("claude-opus-5-5", 9, True, "u1")
    assert (request.speed, request.inference_geo, request.service_tier) == ("fast", "us", "auto")
    assert (bytes(request.system), bytes(request.tools)) == (b'"s"', b"")


def test_a_field_of_the_wrong_type_counts_as_absent() -> None:
    request = read_request(b'{"model":"m","max_tokens":"9","stream":"yes","metadata":{"user_id":7},"speed":null}')
    assert (request.model, request.max_tokens, request.stream, request.user_id) == ("m", None, False, None)
    assert read_request(b'{"model":["m"],"metadata":"u","max_tokens":5}').max_tokens == 5


@pytest.mark.parametrize("body", [b"", b"[]", b'"x"', b"{", b'{"model":}', b"\xff", b"null", b"[" * 100_000])
def test_what_is_no_json_object_is_malformed_with_a_reason(body: bytes) -> None:
    with pytest.raises(Malformed) as fault:
        read_request(body)
    assert str(fault.value)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_malformed(body: bytes) -> None:
    try:
        read_request(body)
    except Malformed:
        pass


def test_the_prompt_hash_is_of_the_prompt_alone() -> None:
    first = read_request(b'{"model":"a","max_tokens":1,"messages":[1],"system":"s"}').prompt_hash()
    assert first == read_request(b'{"system":"s","model":"b","max_tokens":2,"messages":[2]}').prompt_hash()
    assert first != read_request(b'{"messages":[1],"system":"t"}').prompt_hash()
    assert read_request(b'{"tools":"ab"}').prompt_hash() != read_request(b'{"system":"ab"}').prompt_hash()
    assert read_request(b'{"messages":[1]}').prompt_hash() is None
    assert first is not None
    assert len(first) == 32
