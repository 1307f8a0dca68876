"""What the server itself says no to, before there is a call: requests that are not sound HTTP, too slow or too large.

None of them is ever a 5xx but `full` and `draining`, where waiting helps.
"""

from __future__ import annotations

from ...errors import Refused, Unavailable

_TLS_RECORD = 0x16


def malformed(reason: str, fix: str = "Send HTTP/1.1 as RFC 9112 has it.") -> Refused:
    """400. `reason` is the parser's or ours, never the caller's own bytes."""
    return _refused(f"This is not a well-formed HTTP/1.1 request: {reason}.", "malformed_http", fix, 400)


def garbled(reason: str, first: bytes) -> Refused:
    """400 for bytes the parser could not read; `first` are those the connection's last read began with."""
    if first[:1] and first[0] == _TLS_RECORD:
        return malformed("the bytes are a TLS handshake", "Use http:// here, or put a TLS proxy in front.")
    if first.startswith(b"PRI * HTTP/2"):
        return malformed("the bytes are HTTP/2", "Use HTTP/1.1.")
    return malformed(reason.rstrip(".") or "it could not be parsed")


def method_refused(method: str) -> Refused:
    return _refused(
        f"The method {method} is not served here.", "method_refused", "Use the method of the API's reference.", 405
    )


def expectation_failed() -> Refused:
    return _refused(
        "The Expect header names something other than 100-continue.", "bad_expect", "Drop the Expect header.", 417
    )


def header_too_large(bytes_max: int) -> Refused:
    return _refused(
        f"The request line and headers exceed {bytes_max} bytes.",
        "header_too_large",
        "Send fewer or shorter headers.",
        431,
        "request_too_large",
    )


def too_many_headers(count_max: int) -> Refused:
    return _refused(
        f"The request has more than {count_max} header fields.",
        "too_many_headers",
        "Send fewer headers.",
        431,
        "request_too_large",
    )


def body_too_large(bytes_max: int) -> Refused:
    return _refused(
        f"The request body exceeds {bytes_max} bytes.",
        "body_too_large",
        "Send less, or use the Files API and refer to the file by its id.",
        413,
        "request_too_large",
    )


def too_slow(what: str, seconds: float) -> Refused:
    """408. `what` is the part of the request that did not come within `seconds`."""
    return _refused(
        f"The {what} did not arrive within {seconds:g} s.",
        "request_timeout",
        "Send the whole request without pauses.",
        408,
        "timeout_error",
    )


def body_too_slow(rate_min: int) -> Refused:
    return _refused(
        f"The request body arrives at less than {rate_min} bytes a second.",
        "request_too_slow",
        "Send the whole request without pauses.",
        408,
        "timeout_error",
    )


def full(connections_max: int) -> Unavailable:
    return Unavailable(
        f"This gateway already holds {connections_max} connections.",
        layer="gateway",
        code="too_many_connections",
        fix="Reuse connections, or retry shortly.",
        retry_after_s=1,
    )


def draining() -> Unavailable:
    """What a request is told that arrives on a kept connection after the drain began."""
    return Unavailable(
        "This gateway is shutting down.",
        layer="gateway",
        code="draining",
        fix="Retry: another instance, or this one restarted, will answer.",
        retry_after_s=2,
    )


def _refused(message: str, code: str, fix: str, status: int, kind: str = "invalid_request_error") -> Refused:
    return Refused(message, layer="gateway", code=code, fix=fix, status=status, type=kind)
