"""The HTTP library an SDK client was built on, found in the client itself.

The SDK's 0.x line is built on `httpx`, from 1.0 on it is `httpx2`: same classes, different module, and each refuses
the other's objects. Whoever holds a client has already imported the right one, so nothing is imported here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ...errors import ConfigError

#: `httpx` and `httpx2` are the same interface under two names; no annotation can name both.
HttpModule = Any
SdkClient = Any
HttpClient = Any


@dataclass(frozen=True, slots=True)
class Kit:
    """What one SDK client is made of."""

    sdk: ModuleType
    http: HttpModule
    is_async: bool


def kit_of(client: SdkClient) -> Kit:
    """The modules behind an SDK client. Raises ConfigError for anything that is not one."""
    http_client = getattr(client, "_client", None)
    sdk = _sdk_of(type(client))
    for kind in type(http_client).__mro__:
        root = kind.__module__.partition(".")[0]
        if root in ("httpx", "httpx2") and kind.__name__ in ("Client", "AsyncClient") and sdk is not None:
            return Kit(sdk, sys.modules[root], is_async=kind.__name__ == "AsyncClient")
    raise ConfigError(
        f"penstock.wrap cannot wrap a {type(client).__module__}.{type(client).__qualname__}.",
        code="not_a_client",
        fix="Pass a client of the official SDK, for instance penstock.wrap(anthropic.Anthropic()).",
    )


def cloud_of(client: SdkClient) -> str | None:
    """The cloud a client speaks to: bedrock, vertex, foundry, aws or google_cloud; None for the API itself."""
    for kind in type(client).__mro__:
        package, _, rest = kind.__module__.partition(".lib.")
        if package == "anthropic" and rest:
            return rest.partition(".")[0]
    return None


def _sdk_of(kind: type) -> ModuleType | None:
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] == "anthropic":
            return sys.modules["anthropic"]
    return None
