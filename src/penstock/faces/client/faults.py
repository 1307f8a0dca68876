"""Errors on their way to the SDK, which turns them into its own exceptions."""

from __future__ import annotations

from ...call import Headers
from ...errors import Refused, UpstreamFailed, rendered
from .kit import HttpModule

#: What broke, as the HTTP library would have raised it. The SDK makes APITimeoutError of the timeouts and
#: APIConnectionError of the rest.
_RAISED = {
    "connect_failed": "ConnectError",
    "connect_timeout": "ConnectTimeout",
    "first_byte_timeout": "ReadTimeout",
    "idle_timeout": "ReadTimeout",
    "total_timeout": "ReadTimeout",
    "reset": "ReadError",
    "cut": "RemoteProtocolError",
    "bad_answer": "RemoteProtocolError",
    "closed": "ConnectError",
}


def as_raised(error: UpstreamFailed, http: HttpModule, request: object) -> Exception:
    """A failed upstream as the HTTP library's own exception."""
    kind: type[Exception] = getattr(http, _RAISED.get(error.code, "ReadError"))
    raised = kind(str(error))
    raised.request = request  # type: ignore[attr-defined]
    raised.__cause__ = error
    return raised


def as_answered(error: Refused, call_id: str) -> tuple[int, Headers, bytes]:
    """A refusal as the answer the API would have given: status, header fields and body."""
    status, headers, body = rendered(error, call_id)
    told = (
        *headers,
        (b"content-length", str(len(body)).encode()),
        (b"x-penstock-call-id", call_id.encode()),
    )
    return status, told, body
