"""From a Reply to a response of the SDK's HTTP library."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from ...call import Call, Headers
from ...layer import Next
from ...ports import Clock
from ...reply import Reply
from ..outcome import outcome_headers
from .kit import HttpModule


async def answered(core: Next, call: Call, *, is_stream: bool) -> tuple[Reply, bytes | None]:
    """The reply, and its whole body unless that is wanted as it comes.

    Raises what the core raises, and UpstreamFailed for a JSON body that ended early.
    """
    reply = await core(call)
    if is_stream:
        return reply, None
    return reply, await reply.read()


def whole_response(
    http: HttpModule, clock: Clock, request: Any, call: Call, status: int, headers: Headers, content: bytes
) -> Any:
    """A response that has been read."""
    fields = list(headers)
    response = http.Response(status, headers=fields, stream=http.ByteStream(content), request=request)
    if b"".join([part for field in fields for part in field]).isascii():
        response.headers.encoding = "ascii"  # as nearly always; else the library would try it on each field
    if b"content-encoding" not in [name for name, _ in fields]:
        response._content = content  # what `read` sets, here without its five generators
    response.read()  # at once where that was the right name
    response.is_closed = response.is_stream_consumed = True
    response.elapsed = timedelta(seconds=clock.now() - call.began)
    return response


def streaming_response(http: HttpModule, clock: Clock, request: Any, call: Call, reply: Reply, stream: Any) -> Any:
    """A response whose body is still to come. Its `elapsed` is the time to its head."""
    response = http.Response(reply.status, headers=list(headers_of(call, reply)), stream=stream, request=request)
    response.elapsed = timedelta(seconds=clock.now() - call.began)
    return response


def headers_of(call: Call, reply: Reply) -> Headers:
    """The upstream's fields, the call's id, and its cost where the body is at hand."""
    return (*reply.headers, *outcome_headers(call, reply))
