"""Errors the simulated API answers with."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Problem(Exception):
    """An error answer: HTTP status, the API's error type, its message and, where it has one, its error code.

    `may_retry` is the answer's `x-should-retry`, None for none; `headers` are fields only this answer has, such as
    `retry-after` and the rate limits.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        code: str | None = None,
        *,
        may_retry: bool | None = False,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.may_retry = may_retry
        self.headers = headers


def invalid(message: str) -> Problem:
    return Problem(400, "invalid_request_error", message)


def missing(message: str) -> Problem:
    return Problem(404, "not_found_error", message)


def error_body(kind: str, message: str, request_id: str | None, code: str | None = None) -> bytes:
    error: dict[str, object] = {"type": kind, "message": message}
    if code:
        error["details"] = {"error_code": code}
    body: dict[str, object] = {"type": "error", "error": error}
    if request_id:
        body["request_id"] = request_id
    return msgspec.json.encode(body)
