"""What the clouds call a model that the API calls `claude-…`, and which version of the API a model there takes.

docs.claude.com, Amazon Bedrock, Google Cloud and Microsoft Foundry, tables of model ids, as of November 2026. A name of
any other form is taken for the cloud's own, and passes.
"""

from __future__ import annotations

import re

_OURS = re.compile(r"(claude-[a-z0-9-]*?[a-z0-9])(?:-(20\d{6}))?")
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:-(\d{1,2})(?!\d))?")

#: Names without a date of models that the clouds know by date alone.
_DATES = {
    "claude-opus-4-5": "20251101",
    "claude-haiku-4-5": "20251001",
    "claude-sonnet-4-5": "20250929",
    "claude-opus-4-1": "20250805",
    "claude-opus-4-0": "20250514",
    "claude-sonnet-4-0": "20250514",
}
#: Names without a date that the clouds spell in full.
_SPELT = {"claude-opus-4-0": "claude-opus-4", "claude-sonnet-4-0": "claude-sonnet-4"}
#: The second of two models of one name.
_SECOND = ("claude-3-5-sonnet", "20241022")
#: The first and last model whose Bedrock id has a version but no date.
_VERSIONED = "claude-opus-4-6"

#: Inference profiles that keep a request within the geography of its region; most models are offered through one alone.
_PROFILES = (("us-gov-", "us-gov."), ("us-", "us."), ("eu-", "eu."))


def undated(model: str) -> str:
    """A model's name without its date."""
    ours = _OURS.fullmatch(model)
    return ours[1] if ours is not None else model


def _parts(model: str) -> tuple[str, str | None] | None:
    """A model's name and date as clouds have them; None for a name that is not of the API's form."""
    ours = _OURS.fullmatch(model)
    if ours is None:
        return None
    name, date = ours[1], ours[2] or _DATES.get(ours[1])
    return _SPELT.get(name, name), date


def bedrock_model(model: str, region: str | None) -> str:
    """`us.anthropic.claude-sonnet-4-5-20250929-v1:0`; without a profile where the region is of neither geography."""
    parts = _parts(model)
    if parts is None:
        return model
    name, date = parts
    profile = next((profile for start, profile in _PROFILES if region is not None and region.startswith(start)), "")
    if date is None:
        return f"{profile}anthropic.{name}" + ("-v1" if name == _VERSIONED else "")
    return f"{profile}anthropic.{name}-{date}-v{2 if parts == _SECOND else 1}:0"


def mantle_model(model: str) -> str:
    """`anthropic.claude-sonnet-4-5`."""
    parts = _parts(model)
    return model if parts is None else f"anthropic.{parts[0]}"


def google_model(model: str) -> str:
    """`claude-sonnet-4-5@20250929`, `claude-sonnet-5`."""
    parts = _parts(model)
    if parts is None:
        return model
    name, date = parts
    if date is None:
        return name
    return f"{name}-v2@{date}" if parts == _SECOND else f"{name}@{date}"


def is_before_4_7(model: str) -> bool:
    """Whether a model is one that Bedrock serves by an id with version or date; False where the name does not say."""
    found = _VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) < (4, 7)
