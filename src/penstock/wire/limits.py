"""The API's rate limits: which models share them, and what an answer's header fields say of them.

docs.claude.com, rate limits, as of November 2026: requests, uncached input tokens and output tokens per minute for each
group of models, refilled continuously; tokens left are shown in whole thousands.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from .traits import traits_of

_PREFIX = b"anthropic-ratelimit-"
_KINDS = {
    kind: (_PREFIX + kind.encode() + b"-limit", _PREFIX + kind.encode() + b"-remaining")
    for kind in ("requests", "input-tokens", "output-tokens")
}

#: How far what is shown as left may be from what is, by kind.
PRECISION = {"requests": 0.0, "input-tokens": 500.0, "output-tokens": 500.0}


#: What the Rate Limits API calls the kinds. Where it gives both counts of input, the one without cache reads is ours.
_LISTED = {
    "requests_per_minute": "requests",
    "input_tokens_per_minute_cache_aware": "input-tokens",
    "output_tokens_per_minute": "output-tokens",
}


class _Limit(msgspec.Struct):
    type: str = ""
    value: float | None = None


class _Group(msgspec.Struct):
    models: list[str] | None = None
    limits: list[_Limit] = []


class _Page(msgspec.Struct):
    data: list[_Group]


class Shown(msgspec.Struct, frozen=True):
    """A limit per minute, and what is left of it."""

    limit: float
    left: float


def shown(fields: dict[bytes, bytes]) -> dict[str, Shown]:
    """What an answer's header fields show, by kind: requests, input-tokens, output-tokens. Empty where they do not."""
    found = {}
    for kind, (limit_name, left_name) in _KINDS.items():
        if limit_name not in fields:
            continue
        try:
            limit, left = float(fields[limit_name]), float(fields[left_name])
        except (KeyError, ValueError):
            continue
        if 0 < limit < 1e12 and 0 <= left <= limit:
            found[kind] = Shown(limit, left)
    return found


def listed(body: bytes) -> dict[str, dict[str, float]]:
    """Limits per minute by group of models and kind, from `GET /v1/organizations/rate_limits`.

    Raises msgspec.DecodeError where it is no such answer.
    """
    found: dict[str, dict[str, float]] = {}
    for entry in msgspec.json.decode(body, type=_Page).data:
        limits = {_LISTED[one.type]: one.value for one in entry.limits if one.type in _LISTED and one.value}
        for model in entry.models or ():
            found.setdefault(group(model), {}).update(limits)
    return found


@lru_cache(256)
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
