"""From an ASGI request to a Call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ...call import Call, Timeouts, Trail
from ...ports import Ports
from ...wire.messages import Malformed, Request, endpoint, read_request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def read_body(receive: Receive) -> bytes | None:
    """The whole request body, or None if the caller hung up while sending it."""
    message = await receive()
    if message["type"] != "http.request":
        return None
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)


def call_from(scope: Scope, path: str, body: bytes, ports: Ports, timeouts: Timeouts) -> Call:
    """One ASGI request as a Call. `path` is as it came, percent-encoding included."""
    method: str = scope["method"]
    where = endpoint(method, path)
    request: Request | None = None
    if where.name in ("messages", "count_tokens"):
        try:
            request = read_request(body)
        except Malformed:
            request = None  # admission refuses it, in words
    return Call(
        id=ports.chance.id("call"),
        face="gateway",
        method=method,
        path=path,
        query=scope["query_string"].decode("latin-1"),
        headers=tuple(scope["headers"]),
        fields=dict(scope["headers"]),
        body=body,
        endpoint=where,
        request=request,
        began=ports.clock.now(),
        began_at_us=ports.clock.wall_us(),
        trail=Trail(),
        timeouts=timeouts,
    )
