"""Whose fault it is, and the API-shaped body it becomes.

Every error carries the layer that raised it, a stable `code` and `fix`: one sentence naming what to change.
`rendered` is the only place where an error becomes a status, headers and a body, so that a caller's
`except anthropic.RateLimitError` keeps working whoever refused.
"""

from __future__ import annotations

import msgspec

#: The codes of failures before a request has left.
NOT_SENT = frozenset({"connect_failed", "connect_timeout", "closed"})


class PenstockError(Exception):
    """The root of all errors Penstock raises on purpose."""

    def __init__(self, message: str, *, layer: str, code: str, fix: str) -> None:
        super().__init__(message)
        self.message, self.layer, self.code, self.fix = message, layer, code, fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}" if self.fix else self.message


class Refused(PenstockError):
    """The caller or the operator's policy said no before anything was spent.

    `status` and `type` are the API's own pair, for instance 403 and `permission_error`. `retry_after_s`
    is given only where waiting helps; without `may_retry` it is for whoever reads it, and the SDK is not to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        layer: str,
        code: str,
        fix: str,
        status: int,
        type: str,
        retry_after_s: float | None = None,
        may_retry: bool = True,
    ) -> None:
        super().__init__(message, layer=layer, code=code, fix=fix)
        self.status, self.type, self.retry_after_s = status, type, retry_after_s
        self.may_retry = may_retry and retry_after_s is not None


class Unavailable(Refused):
    """Nobody's wrong, but not now: draining, full, or the ledger cannot be written."""

    def __init__(
        self, message: str, *, layer: str, code: str, fix: str, retry_after_s: float, may_retry: bool = True
    ) -> None:
        super().__init__(
            message,
            layer=layer,
            code=code,
            fix=fix,
            status=503,
            type="overloaded_error",
            retry_after_s=retry_after_s,
            may_retry=may_retry,
        )


class UpstreamFailed(PenstockError):
    """The API or the network broke: no answer, or not a whole one.

    `code` is one of: connect_failed, connect_timeout, first_byte_timeout, idle_timeout, total_timeout,
    reset, cut (the body ended early), bad_answer (not HTTP), closed (the pool is shut down). `is_spent` is set where it
    has been tried as often as is worth it, so that the caller's SDK does not start over.
    """

    TIMEOUTS = frozenset({"connect_timeout", "first_byte_timeout", "idle_timeout", "total_timeout"})

    def __init__(self, message: str, *, code: str, fix: str = "", layer: str = "transport") -> None:
        super().__init__(message, layer=layer, code=code, fix=fix)
        self.is_spent = False
        is_timeout = code in self.TIMEOUTS
        self.status = 504 if is_timeout else 502
        self.type = "timeout_error" if is_timeout else "api_error"


class StoreFailed(PenstockError):
    """A store could not be read or written. Raised by stores, turned into `Unavailable` by layers."""

    def __init__(self, message: str, *, code: str = "store_failed", fix: str = "") -> None:
        super().__init__(message, layer="ledger", code=code, fix=fix)


class ConfigError(PenstockError):
    """The operator's config is wrong; start-up stops. `place` is `file:line` where known."""

    def __init__(self, message: str, *, code: str = "bad_config", fix: str = "", place: str = "") -> None:
        super().__init__(message, layer="config", code=code, fix=fix)
        self.place = place

    def __str__(self) -> str:
        said = super().__str__()
        return f"{self.place}: {said}" if self.place else said


Rendered = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]


def rendered(error: BaseException, call_id: str) -> Rendered:
    """The status, header fields and JSON body an error becomes.

    An error that is not ours is our bug: it becomes a 500 that says nothing of its content.
    """
    headers = [(b"content-type", b"application/json"), (b"request-id", call_id.encode())]
    if isinstance(error, Refused):
        status, kind = error.status, error.type
        headers.append((b"x-should-retry", b"true" if error.may_retry else b"false"))
        if error.retry_after_s is not None:
            headers.append((b"retry-after", str(max(1, round(error.retry_after_s))).encode()))
    elif isinstance(error, UpstreamFailed):
        status, kind = error.status, error.type
        if error.is_spent:
            headers.append((b"x-should-retry", b"false"))
    else:
        status, kind = 500, "api_error"
        headers.append((b"x-should-retry", b"false"))
    return status, tuple(headers), error_body(error, call_id, kind)


def error_body(error: BaseException, call_id: str, kind: str) -> bytes:
    """The JSON body of an error, in the API's own shape, with what only we know under `details`."""
    if isinstance(error, PenstockError):
        message, details = str(error), {"error_code": error.code, "layer": error.layer, "fix": error.fix}
    else:
        message = f"Penstock failed while handling this call. Look for {call_id} in its log."
        details = {"error_code": "internal", "layer": "face", "fix": "Report this with the call id."}
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {"type": kind, "message": message, "details": details},
            "request_id": call_id,
        }
    )
