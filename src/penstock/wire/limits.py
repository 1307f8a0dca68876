"""The API's rate limits: which models share them, and what an answer's header fields say of them.

docs.claude.com, rate limits, as of November 2026: requests, uncached input tokens and output tokens per minute for each
group of models, refilled continuously; tokens left are shown in whole thousands.
"""

from __future__ import annotations

import msgspec

from .traits import traits_of

_PREFIX = b"anthropic-ratelimit-"
_KINDS = ("requests", "input-tokens", "output-tokens")

#: How far what is shown as left may be from what is, by kind.
PRECISION = {"requests": 0.0, "input-tokens": 500.0, "output-tokens": 500.0}


class Shown(msgspec.Struct, frozen=True):
    """A limit per minute, and what is left of it."""

    limit: float
    left: float


def shown(fields: dict[bytes, bytes]) -> dict[str, Shown]:
    """What an answer's header fields show, by kind: requests, input-tokens, output-tokens. Empty where they do not."""
    if _PREFIX + b"requests-limit" not in fields and _PREFIX + b"input-tokens-limit" not in fields:
        return {}
    found = {}
    for kind in _KINDS:
        named = _PREFIX + kind.encode()
        try:
            limit, left = float(fields[named + b"-limit"]), float(fields[named + b"-remaining"])
        except (KeyError, ValueError):
            continue
        if 0 < limit < 1e12 and 0 <= left <= limit:
            found[kind] = Shown(limit, left)
    return found


def group(model: str) -> str:
    """The group of models that share a limit; a model that is not known is one by itself."""
    known = traits_of(model)
    if known is None:
        return model
    if known.family in ("fable", "mythos") and known.version >= (5, 0):
        return "fable-5"
    if known.version[0] == 4 and known.family != "haiku":
        return f"{known.family}-4"
    return f"{known.family}-{known.version[0]}" + (f"-{known.version[1]}" if known.version[1] else "")
