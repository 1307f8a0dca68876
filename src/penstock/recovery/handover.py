"""The API's own fallback: asked to go on with another model, in the same answer, should the one asked decline.

claude-api: `fallbacks: "default"` is the model's own choice of successors; a model that has none answers alone. Each
attempt is billed at its own model's price, one that declined before its first word not at all.
"""

from __future__ import annotations

from msgspec.structs import replace

from ..call import Call, Fact
from ..wire.adapting.splice import Spliced

BETA = b"server-side-fallback-2026-07-01"


class HandedOver(Fact, frozen=True):
    """The request was changed to ask the API for a successor."""

    def told(self) -> str:
        return "The API was asked to go on with another model, should this one decline."


def handed_over(call: Call) -> Call:
    """The call with that wish, where its policy has it, its upstream is the API, and it does not say so itself."""
    plan = call.plan
    if plan is None or not plan.policy.hands_over or call.endpoint.name != "messages":
        return call
    if plan.candidates[0].target.envelope is not None:
        return call
    try:
        fields = Spliced(call.body)
    except ValueError:
        return call
    if not fields.is_object or "fallbacks" in fields:
        return call
    fields.put("fallbacks", b'"default"')
    asked = call.fields.get(b"anthropic-beta", b"")
    value = asked if BETA in asked else b",".join(filter(None, (asked, BETA)))
    headers = (*[one for one in call.headers if one[0] != b"anthropic-beta"], (b"anthropic-beta", value))
    call.trail.append(HandedOver())
    return replace(call, body=fields.text, headers=headers, fields=dict(headers))
