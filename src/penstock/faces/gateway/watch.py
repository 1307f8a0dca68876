"""Looks at the provider's status page now and then, beside the calls."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from ...config.schema import Config
from ...errors import UpstreamFailed
from ...ports import Clock, Upstream
from ...stores.memory import MemoryStatus
from ...wire.status import incident
from .fetch import fetched

log = logging.getLogger("penstock.gateway.status")

#: What was seen is believed this many looks long where the page cannot be had.
_BELIEVED = 10


def has_page(config: Config) -> bool:
    """Whether the page is about any upstream of the config."""
    return config.status.every_s > 0 and any(
        urlsplit(upstream.address).hostname == "api.anthropic.com" for upstream in config.upstreams.values()
    )


async def watch(config: Config, status: MemoryStatus, upstream: Upstream, clock: Clock) -> None:
    """Until cancelled: fetch, read, tell `status`. Nothing that goes wrong here is the calls' business."""
    parts, missed = urlsplit(config.status.url), 0
    origin = f"{parts.scheme}://{parts.netloc}"
    while True:
        try:
            seen = incident(await fetched(upstream, origin, parts.path or "/"))
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
