"""From a Reply, or from an error instead of one, to the caller's connection."""

from __future__ import annotations

from ...call import Call, Headers
from ...errors import UpstreamFailed, rendered
from ...reply import Reply
from ..outcome import outcome_headers
from .intake import Send
from .readdress import readdress


class CutOff(Exception):
    """A body broke after its head had left: only cutting the connection can tell the caller."""


async def send_error(send: Send, call: Call, error: BaseException) -> None:
    """An error as the API would word it, with the call id to look it up by."""
    status, headers, body = rendered(error, call.id)
    await send_whole(send, status, (*headers, (b"x-penstock-call-id", call.id.encode())), body)


async def send_reply(send: Send, call: Call, reply: Reply) -> None:
    """A reply to the end. Raises UpstreamFailed while nothing has been sent yet, CutOff after.

    A whole answer waits for its last byte, so that its cost can go ahead of it in a header. A stream is passed on
    chunk by chunk as it comes.
    """
    readdress(call, reply)
    if call.endpoint.name in ("messages", "count_tokens", "batches") and not reply.answer.is_stream:
        body = await reply.read()
        await send_whole(send, reply.status, _headers(call, reply, is_framed=False), body)
        return
    await send(
        {
            "type": "http.response.start",
            "status": reply.status,
            "headers": _headers(call, reply, is_framed=not reply.answer.is_stream),
        }
    )
    try:
        async for chunk in reply:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except UpstreamFailed as error:
        raise CutOff(error.code) from error
    await send({"type": "http.response.body", "body": b""})


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": (*headers, (b"content-length", str(len(body)).encode())),
        }
    )
    await send({"type": "http.response.body", "body": body})


def _headers(call: Call, reply: Reply, *, is_framed: bool) -> Headers:
    """The upstream's fields and ours. The upstream's length holds only for a body we neither gather nor extend."""
    own = reply.headers if is_framed else [field for field in reply.headers if field[0] != b"content-length"]
    return (*own, *outcome_headers(call, reply))
