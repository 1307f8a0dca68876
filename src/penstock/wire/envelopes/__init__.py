"""The ways to Claude on other clouds. The API's own requests go in and its own answers come out.

Pure: an envelope says what to send and what came back; who sends it is another's concern. Checked against the official
SDK's clients for each cloud (`anthropic.lib`), version 2.11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from .aws import Bedrock, Mantle
from .foundry import Foundry
from .google import Google
from .interface import Corrupt, Dressed, Envelope, Headers, Opener, Unsupported, Unusable

__all__ = [
    "KINDS",
    "Corrupt",
    "Dressed",
    "Envelope",
    "Headers",
    "Opener",
    "Unsupported",
    "Unusable",
    "default_url",
    "envelope",
]

#: Kinds of upstream that have an envelope.
KINDS = ("bedrock", "mantle", "google", "foundry")

_NO_MODELS: Mapping[str, str] = MappingProxyType({})
_REGION = re.compile(r"[a-z0-9][a-z0-9-]*")
_GOOGLE_HOSTS = {
    "global": "aiplatform.googleapis.com",
    "us": "aiplatform.us.rep.googleapis.com",
    "eu": "aiplatform.eu.rep.googleapis.com",
}


def envelope(
    kind: str,
    url: str,
    *,
    region: str | None = None,
    project: str | None = None,
    models: Mapping[str, str] = _NO_MODELS,
) -> Envelope:
    """The envelope for an upstream of a kind at a URL. Raises Unusable.

    `models`: what the upstream calls them, by the API's names, with or without their dates. `region`: AWS's, where keys
    sign and the URL does not name it; Google's location. `project`: Google's.
    """
    if kind == "bedrock":
        return Bedrock(url, region, models)
    if kind == "mantle":
        return Mantle(url, region, models)
    if kind == "google":
        return Google(url, region, project, models)
    if kind == "foundry":
        return Foundry(url, models)
    raise Unusable(f"There is no envelope of the kind {kind}.")


def default_url(kind: str, region: str | None) -> str:
    """Where a kind of upstream is in a region. Raises Unusable: Foundry is at a resource of one's own."""
    if kind not in KINDS or kind == "foundry":
        raise Unusable(f"The kind {kind} has no URL that is the same for all.")
    if region is None or not _REGION.fullmatch(region):
        raise Unusable(f"The kind {kind} needs a region, in lower-case letters, digits and dashes.")
    if kind == "bedrock":
        return f"https://bedrock-runtime.{region}.amazonaws.com"
    if kind == "mantle":
        return f"https://bedrock-mantle.{region}.api.aws/anthropic"
    return f"https://{_GOOGLE_HOSTS.get(region, f'{region}-aiplatform.googleapis.com')}/v1"
