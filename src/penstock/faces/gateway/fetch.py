"""One small document from somewhere, for what the gateway does beside its calls."""

from __future__ import annotations

from ...call import Headers, Timeouts
from ...ports import Outgoing, Upstream

_BYTES_MAX = 4 << 20
_TIMEOUTS = Timeouts(connect_s=5, first_byte_s=10, idle_s=10, total_s=20)


async def fetched(upstream: Upstream, origin: str, path: str, headers: Headers = ()) -> bytes:
    """Its body. Raises UpstreamFailed; ValueError for an answer that is not 200."""
    fields = ((b"accept", b"application/json"), (b"user-agent", b"penstock"), *headers)
    incoming = await upstream.send(Outgoing("GET", origin, path, fields, b"", _TIMEOUTS))
    body = b""
    try:
        while len(body) <= _BYTES_MAX:
            body += await incoming.source.__anext__()
    except StopAsyncIteration:
        pass
    finally:
        await incoming.source.aclose()
    if incoming.status != 200:
        raise ValueError(f"the answer has status {incoming.status}")
    return body
