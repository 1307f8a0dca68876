"""Error answers of the clouds in the API's own shape.

AWS: `{"message": …}` and `x-amzn-errortype`; Google: `{"error": {"code", "message", "status"}}`, streams in a list of
one; Azure: `{"error": {"code", "message"}}`. What already has the API's shape, and what is no JSON, stays as it is.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .interface import Headers

#: By the word that the cloud has for it, in lower case.
_TYPES = {
    # botocore's model of bedrock-runtime, and what AWS says before a service is reached
    "throttlingexception": "rate_limit_error",
    "toomanyrequestsexception": "rate_limit_error",
    "servicequotaexceededexception": "rate_limit_error",
    "validationexception": "invalid_request_error",
    "accessdeniedexception": "permission_error",
    "unrecognizedclientexception": "authentication_error",
    "invalidclienttokenid": "authentication_error",
    "invalidsignatureexception": "authentication_error",
    "incompletesignatureexception": "authentication_error",
    "missingauthenticationtokenexception": "authentication_error",
    "expiredtokenexception": "authentication_error",
    "resourcenotfoundexception": "not_found_error",
    "conflictexception": "conflict_error",
    "modeltimeoutexception": "timeout_error",
    "modelnotreadyexception": "overloaded_error",
    "serviceunavailableexception": "overloaded_error",
    "modelerrorexception": "api_error",
    "modelstreamerrorexception": "api_error",
    "internalserverexception": "api_error",
    # google.rpc.Code
    "invalid_argument": "invalid_request_error",
    "failed_precondition": "invalid_request_error",
    "out_of_range": "invalid_request_error",
    "unauthenticated": "authentication_error",
    "permission_denied": "permission_error",
    "not_found": "not_found_error",
    "already_exists": "conflict_error",
    "aborted": "conflict_error",
    "resource_exhausted": "rate_limit_error",
    "deadline_exceeded": "timeout_error",
    "unavailable": "overloaded_error",
    "internal": "api_error",
    "unknown": "api_error",
    "data_loss": "api_error",
}
_BY_STATUS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_type(word: str | None, status: int) -> str:
    """`error.type` for a cloud's own word, or where that is not known, for the status."""
    known = _TYPES.get(word.lower()) if word is not None else None
    return known or _BY_STATUS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")


def error_body(kind: str, message: str, word: str | None, request_id: str | None) -> bytes:
    """An error as the API says it; the cloud's own word for it is its code."""
    details = {"error_code": word} if word is not None else None
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message, "details": details}}
    if request_id is not None:
        body["request_id"] = request_id
    return msgspec.json.encode(body)


def shaped(status: int, headers: Headers, body: bytes, request_id: str | None) -> bytes:
    """An error answer's body in the API's shape; the same bytes where it has it, or where there is nothing to read."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if isinstance(given, list) and given:
        given = given[0]
    if not isinstance(given, dict):
        return body
    inner = given.get("error")
    if isinstance(inner, dict) and isinstance(inner.get("type"), str):
        return body
    said = inner if isinstance(inner, dict) else given
    message = _text(said, "message", "Message") or _text(given, "error")
    word = word_in(dict(headers).get(b"x-amzn-errortype", b"").decode("latin-1"))
    word = word or word_in(_text(given, "__type")) or _text(said, "status", "code")
    if message is None and word is None:
        return body
    return error_body(error_type(word, status), message or word or "", word, request_id)


def word_in(text: str | None) -> str | None:
    """`ValidationException` of `com.amazon#ValidationException:http://internal.amazon.com/…`."""
    return (text or "").partition(":")[0].rpartition("#")[2] or None


def _text(fields: dict[str, Any], *names: str) -> str | None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return value
    return None
