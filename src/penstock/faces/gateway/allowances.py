"""Asks upstreams for their limits now and then, beside the calls: known before the first answer shows them."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec

from ...call import Target
from ...errors import UpstreamFailed
from ...layers.per_call.routing import Routes
from ...ports import Clock, Paces, Upstream
from ...wire.limits import listed
from .fetch import fetched

log = logging.getLogger("penstock.gateway.allowances")

EVERY_S = 3600.0


async def keep_told(routes: Callable[[], Routes], paces: Paces, upstream: Upstream, clock: Clock) -> None:
    """Until cancelled. Where it cannot be asked, limits are learned from answers as ever."""
    while True:
        now = routes()
        for name, admin in now.admins.items():
            try:
                limits = listed(await fetched(upstream, admin.url, "/v1/organizations/rate_limits", _headers(admin)))
            except (UpstreamFailed, ValueError, msgspec.DecodeError) as error:
                log.warning("the limits of upstream %s cannot be asked for: %s", name, error)
                continue
            for target in now.targets.get(name, ()):
                paces.tell(target.name, limits)
        await clock.sleep(EVERY_S)


def _headers(admin: Target) -> tuple[tuple[bytes, bytes], ...]:
    assert admin.key is not None
    return ((b"x-api-key", admin.key.reveal().encode("latin-1")), (b"anthropic-version", b"2023-06-01"))
