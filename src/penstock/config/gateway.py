"""What only the gateway needs of a config."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..errors import ConfigError
from .schema import Config

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0", "::", ""})


def check_for_gateway(config: Config) -> None:
    """What only the gateway needs of a config. Raises ConfigError.

    Its upstreams must not be itself, and the API wants a key of its own where callers hold Penstock's.
    """
    for name, upstream in config.upstreams.items():
        parts = urlsplit(upstream.address)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        is_here = parts.hostname == config.gateway.host or {parts.hostname or "", config.gateway.host} <= _LOOPBACK
        if is_here and port == config.gateway.port:
            raise ConfigError(
                f"Upstream {name} is this gateway itself: {upstream.address}.",
                code="upstream_is_self",
                fix=f"Set `upstreams.{name}.url` to the API's own address, or unset ANTHROPIC_BASE_URL.",
            )
        if upstream.kind != "compatible" and not upstream.keys and config.identity.keys_required:
            raise ConfigError(
                f"Upstream {name} has no key, and callers hold Penstock keys, which the API does not know.",
                code="upstream_without_key",
                fix=f'Set `upstreams.{name}.keys` to ["env:ANTHROPIC_API_KEY"], or `identity.keys_required` to false '
                "to send callers' own keys on.",
            )
