"""Error answers of the clouds in the API's shape."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError

from penstock.wire.envelopes import Envelope, Headers, envelope

BEDROCK = envelope("bedrock", "https://bedrock-runtime.us-east-1.amazonaws.com")
GOOGLE = envelope("google", "https://aiplatform.googleapis.com", region="global", project="p")
FOUNDRY = envelope("foundry", "https://r.services.ai.azure.com")
MANTLE = envelope("mantle", "https://bedrock-mantle.us-east-1.api.aws")
JSON = (b"content-type", b"application/json")


def opened(there: Envelope, status: int, headers: Headers, *chunks: bytes) -> tuple[Headers, bytes]:
    found = there.undress(status, headers)
    if found is None:
        return headers, b"".join(chunks)
    return found.headers, b"".join([*map(found.feed, chunks), found.end()])


AWS = [
    (429, "ThrottlingException", "rate_limit_error"),
    (400, "ServiceQuotaExceededException", "rate_limit_error"),
    (400, "ValidationException", "invalid_request_error"),
    (403, "AccessDeniedException", "permission_error"),
    (403, "UnrecognizedClientException", "authentication_error"),
    (403, "ExpiredTokenException", "authentication_error"),
    (404, "ResourceNotFoundException", "not_found_error"),
    (408, "ModelTimeoutException", "timeout_error"),
    (424, "ModelErrorException", "api_error"),
    (429, "ModelNotReadyException", "overloaded_error"),
    (500, "InternalServerException", "api_error"),
    (503, "ServiceUnavailableException", "overloaded_error"),
    (418, "BrandNewException", "invalid_request_error"),
]


@pytest.mark.parametrize("there", [BEDROCK, MANTLE])
@pytest.mark.parametrize(("status", "word", "kind"), AWS)
@pytest.mark.parametrize("suffix", [b"", b":http://internal.amazon.com/coral/com.amazon.bedrock/"])
def test_aws(there: Envelope, status: int, word: str, kind: str, suffix: bytes) -> None:
    headers = (
        (b"x-amzn-requestid", b"aws-1"),
        (b"x-amzn-errortype", word.encode() + suffix),
        (b"content-length", b"99"),
        JSON,
    )
    fields, body = opened(there, status, headers, b'{"mess', b'age":"Said so."}')
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "Said so.", "details": {"error_code": word}},
        "request_id": "aws-1",
    }
    assert dict(fields)[b"request-id"] == b"aws-1"
    assert dict(fields)[b"content-type"] == b"application/json"
    assert b"content-length" not in dict(fields)


def test_aws_may_say_its_type_in_the_body() -> None:
    body = b'{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"No."}'
    _, body = opened(BEDROCK, 403, ((b"content-type", b"application/x-amz-json-1.1"),), body)
    assert json.loads(body)["error"] == {
        "type": "permission_error",
        "message": "No.",
        "details": {"error_code": "AccessDeniedException"},
    }


@pytest.mark.parametrize("wrap", ["{}", "[{}]", "[{}\n]"])
@pytest.mark.parametrize(
    ("status", "word", "kind"),
    [
        (429, "RESOURCE_EXHAUSTED", "rate_limit_error"),
        (400, "INVALID_ARGUMENT", "invalid_request_error"),
        (400, "FAILED_PRECONDITION", "invalid_request_error"),
        (401, "UNAUTHENTICATED", "authentication_error"),
        (403, "PERMISSION_DENIED", "permission_error"),
        (404, "NOT_FOUND", "not_found_error"),
        (500, "INTERNAL", "api_error"),
        (503, "UNAVAILABLE", "overloaded_error"),
        (504, "DEADLINE_EXCEEDED", "timeout_error"),
    ],
)
def test_google(wrap: str, status: int, word: str, kind: str) -> None:
    error = json.dumps({"error": {"code": status, "message": "Quota exceeded.", "status": word, "details": [{}]}})
    headers = ((b"content-type", b"application/json; charset=UTF-8"),)
    _, body = opened(GOOGLE, status, headers, wrap.replace("{}", error).encode())
    assert json.loads(body) == {
        "type": "error",
        "error": {"type": kind, "message": "Quota exceeded.", "details": {"error_code": word}},
    }


@pytest.mark.parametrize(
    ("status", "given", "kind", "message", "word"),
    [
        (401, {"error": {"code": "401", "message": "Access denied."}}, "authentication_error", "Access denied.", "401"),
        (404, {"error": {"code": "DeploymentNotFound", "message": "None."}}, "not_found_error", "None.", None),
        (429, {"statusCode": 429, "message": "Rate limit."}, "rate_limit_error", "Rate limit.", None),
        (500, {"error": "Broken."}, "api_error", "Broken.", None),
        (413, {"error": {"code": "TooLarge"}}, "request_too_large", "TooLarge", "TooLarge"),
    ],
)
def test_foundry(status: int, given: Any, kind: str, message: str, word: str | None) -> None:
    headers = ((b"apim-request-id", b"az-1"), JSON)
    fields, body = opened(FOUNDRY, status, headers, json.dumps(given).encode())
    error = json.loads(body)["error"]
    assert (error["type"], error["message"]) == (kind, message)
    assert word is None or error["details"]["error_code"] == word
    assert dict(fields)[b"request-id"] == b"az-1" == json.loads(body)["request_id"].encode()


@pytest.mark.parametrize("there", [BEDROCK, GOOGLE, FOUNDRY, MANTLE])
@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"error", "error":{"type":"invalid_request_error","message":"max_tokens: no"},"request_id":"req_1"}',
        b'{"error":{"type":"overloaded_error"}}',
        b"<html>502</html>",
        b'{"message":',
        b"",
        b"[]",
        b'"words"',
        b'{"detail":[]}',
        b"[" * 100_000,
        b'{"message":"' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_what_has_the_shape_or_none_stays(there: Envelope, body: bytes) -> None:
    middle = len(body) // 2
    assert opened(there, 400, (JSON,), body[:middle], body[middle:], b"")[1] == body


def test_a_compressed_or_other_body_passes() -> None:
    body = gzip.compress(b'{"message":"x"}')
    headers = (JSON, (b"content-encoding", b"gzip"))
    assert opened(BEDROCK, 400, headers, body) == (headers, body)
    headers = ((b"content-type", b"text/html"),)
    assert opened(GOOGLE, 502, headers, b"<html>") == (headers, b"<html>")


def test_good_answers_pass() -> None:
    headers = ((b"x-amzn-requestid", b"aws-1"), JSON)
    fields, body = opened(BEDROCK, 200, headers, b'{"id":"msg_bdrk_1"}')
    assert (fields, body) == ((*headers, (b"request-id", b"aws-1")), b'{"id":"msg_bdrk_1"}')
    assert GOOGLE.undress(200, ((b"content-type", b"text/event-stream"),)) is None
    assert FOUNDRY.undress(200, (JSON, (b"request-id", b"req_1"), (b"apim-request-id", b"az-1"))) is None


def test_the_sdk_raises_what_it_would_for_the_api() -> None:
    headers = ((b"x-amzn-errortype", b"ThrottlingException"), (b"x-amzn-requestid", b"aws-1"), JSON)
    fields, body = opened(BEDROCK, 429, headers, b'{"message":"Too many tokens."}')
    answer = httpx2.Response(429, headers=[(name.decode(), value.decode()) for name, value in fields], content=body)
    http = httpx2.Client(transport=httpx2.MockTransport(lambda request: answer))
    client = Anthropic(api_key="k", http_client=http, max_retries=0)
    with pytest.raises(APIStatusError) as caught:
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert type(caught.value).__name__ == "RateLimitError"
    assert (caught.value.request_id, caught.value.type) == ("aws-1", "rate_limit_error")
