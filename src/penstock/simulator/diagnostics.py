"""Cache diagnostics: in what a request differs from an earlier one, by hashes kept of that.

By `claude-api.md` §8 and the SDK's docstrings: a reason names the first difference, the model's first, then in prompt
order. Only a request that has the field is remembered, within its workspace. The real API does so for a limited time,
which is not said; an hour is what its users see. It may answer that the comparison is pending; here it never is.
That edits of the context and the set of betas count as parameters, its users quote from the documentation (3P).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import msgspec

from .prefix import Place, Prompt, Section

KEPT_S = 3600
KEPT_MAX = 1000


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is remembered of a request: hashes and counts, no content. `parameters` are all that is not a block."""

    prompt: Prompt
    parameters: bytes
    at_s: float


@dataclass(slots=True)
class Pending:
    """A comparison made: what was found, and what is kept once the request has an answer."""

    found: dict[str, Any] | None
    _fingerprints: Fingerprints
    _scope: str
    _fingerprint: Fingerprint

    def keep(self, message_id: str) -> None:
        """Remember the request under its answer's id."""
        self._fingerprints.keep(self._scope, message_id, self._fingerprint)


class Fingerprints:
    """The last requests that asked for diagnostics, by workspace and the id of their answer."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Fingerprint] = OrderedDict()

    def compare(self, request: dict[str, Any], prompt: Prompt, scope: str, betas: str, now_s: float) -> Pending:
        """Compare a request that has `diagnostics` with the one it names. Without a name nothing is found."""
        edits = msgspec.json.encode([request.get("context_management"), sorted(betas.replace(" ", "").split(","))])
        fingerprint = Fingerprint(prompt, prompt.parameters + edits, now_s)
        id = request["diagnostics"].get("previous_message_id")
        reason = None
        if id is not None:
            before = self._kept.get((scope, str(id)))
            if before is None or now_s - before.at_s > KEPT_S:
                reason = {"type": "previous_message_not_found"}
            else:
                reason = difference(before, fingerprint)
        return Pending(reason and {"cache_miss_reason": reason}, self, scope, fingerprint)

    def keep(self, scope: str, message_id: str, fingerprint: Fingerprint) -> None:
        self._kept[scope, message_id] = fingerprint
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


def difference(before: Fingerprint, now: Fingerprint) -> dict[str, Any] | None:
    """Why the later request cannot read all of the earlier one's prompt, or None where it only adds to its end.

    The tokens missed are the earlier prompt's after the first difference.
    """
    was, is_now = before.prompt, now.prompt
    whole = was.places[-1].tokens if was.places else 0
    if (was.model, was.is_fast) != (is_now.model, is_now.is_fast):
        return {"type": "model_changed", "cache_missed_input_tokens": whole}
    shared = sum(1 for _ in takewhile(_is_same, zip(was.places, is_now.places, strict=False)))
    missed = whole - (was.places[shared - 1].tokens if shared else 0)
    for part in ("tools", "system"):
        if _of(part, was) != _of(part, is_now):
            return {"type": f"{part}_changed", "cache_missed_input_tokens": missed}
    if before.parameters != now.parameters:
        return {"type": "unavailable"}
    if shared < len(was.places):
        return {"type": "messages_changed", "cache_missed_input_tokens": missed}
    return None


def _is_same(pair: tuple[Place, Place]) -> bool:
    one, other = pair
    return (one.own, one.role, one.section) == (other.own, other.role, other.section)


def _of(part: str, prompt: Prompt) -> list[bytes]:
    return [place.own for place in prompt.places if _part(place) == part]


def _part(place: Place) -> str:
    if place.role == "tool":
        return "tools"
    return "system" if place.section is Section.SYSTEM else "messages"
