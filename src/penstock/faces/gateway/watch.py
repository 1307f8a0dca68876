"""Looks at the provider's status page now and then, beside the calls."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from ...call import Timeouts
from ...config.schema import Config
from ...errors import UpstreamFailed
from ...ports import Clock, Outgoing, Upstream
from ...stores.memory import MemoryStatus
from ...wire.status import incident

log = logging.getLogger("penstock.gateway.status")

#: What was seen is believed this many looks long where the page cannot be had.
_BELIEVED = 10
_BYTES_MAX = 4 << 20
_TIMEOUTS = Timeouts(connect_s=5, first_byte_s=10, idle_s=10, total_s=20)


def has_page(config: Config) -> bool:
    """Whether the page is about any upstream of the config."""
    return config.status.every_s > 0 and any(
        urlsplit(upstream.address).hostname == "api.anthropic.com" for upstream in config.upstreams.values()
    )


async def watch(config: Config, status: MemoryStatus, upstream: Upstream, clock: Clock) -> None:
    """Until cancelled: fetch, read, tell `status`. Nothing that goes wrong here is the calls' business."""
    missed = 0
    while True:
        try:
            seen = incident(await _fetched(config.status.url, upstream))
        except (UpstreamFailed, ValueError) as error:
            missed += 1
            if missed == _BELIEVED:
                log.warning("the status page cannot be read: %s", error)
                status.known = None
        else:
            missed = 0
            if seen != status.known:
                log.warning("the provider reports: %s", seen) if seen else log.info("the provider's incident is over")
            status.known = seen
        await clock.sleep(config.status.every_s)


async def _fetched(url: str, upstream: Upstream) -> bytes:
    """The page. Raises UpstreamFailed, ValueError."""
    parts = urlsplit(url)
    headers = ((b"accept", b"application/json"), (b"user-agent", b"penstock"))
    request = Outgoing("GET", f"{parts.scheme}://{parts.netloc}", parts.path or "/", headers, b"", _TIMEOUTS)
    incoming = await upstream.send(request)
    body = b""
    try:
        while len(body) <= _BYTES_MAX:
            body += await incoming.source.__anext__()
    except StopAsyncIteration:
        pass
    finally:
        await incoming.source.aclose()
    if incoming.status != 200:
        raise ValueError(f"its answer has status {incoming.status}")
    return body
