"""The production layer for the Claude API: everything between "the example runs" and "it runs in production".

    client = penstock.wrap(anthropic.Anthropic())

Names are loaded when first used: importing this package imports neither the SDK nor an HTTP library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .version import VERSION

if TYPE_CHECKING:
    from .call import Call, Fact, Tags, Target, Timeouts, Trail
    from .config.load import load
    from .config.schema import Config
    from .errors import ConfigError, PenstockError, Refused, StoreFailed, Unavailable, UpstreamFailed
    from .faces.client import Unparsed, parsed, wrap
    from .layer import Layer, Next
    from .reply import Ending, Gate, Reply, Tap
    from .secret import Secret
    from .tagging import tags

__version__ = VERSION

#: Each public name and the module it comes from.
_HOMES = {
    "wrap": "faces.client",
    "parsed": "faces.client",
    "Unparsed": "faces.client",
    "tags": "tagging",
    "load": "config.load",
    "Config": "config.schema",
    "PenstockError": "errors",
    "Refused": "errors",
    "Unavailable": "errors",
    "UpstreamFailed": "errors",
    "StoreFailed": "errors",
    "ConfigError": "errors",
    "Call": "call",
    "Fact": "call",
    "Tags": "call",
    "Target": "call",
    "Timeouts": "call",
    "Trail": "call",
    "Layer": "layer",
    "Next": "layer",
    "Reply": "reply",
    "Tap": "reply",
    "Gate": "reply",
    "Ending": "reply",
    "Secret": "secret",
}

__all__ = [
    "Call",
    "Config",
    "ConfigError",
    "Ending",
    "Fact",
    "Gate",
    "Layer",
    "Next",
    "PenstockError",
    "Refused",
    "Reply",
    "Secret",
    "StoreFailed",
    "Tags",
    "Tap",
    "Target",
    "Timeouts",
    "Trail",
    "Unavailable",
    "Unparsed",
    "UpstreamFailed",
    "load",
    "parsed",
    "tags",
    "wrap",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
