"""The API's own context management: results of tools cleared, and where the model can, earlier turns compacted.

It keeps what is cleared out of the model's sight and changes nothing in the conversation, so thinking stays good; a
compaction comes back as a block that the caller has to send again. Shapes: the SDK's types of both edits.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ..call import Call
from ..wire.adapting.splice import Spliced
from ..wire.models import shipped

_CLEARING, _COMPACTING = "clear_tool_uses_20250919", "compact_20260112"
_BETAS = {_CLEARING: b"context-management-2025-06-27", _COMPACTING: b"compact-2026-01-12"}
#: A compaction is not done earlier (docs, compaction).
_COMPACTED_TOKENS_LEAST = 50_000
_FIELDS = (b'"context_management"', b'"compaction"', b'"thread"')


class Asked(msgspec.Struct, frozen=True):
    """A call that asks for `edits`."""

    call: Call
    edits: tuple[str, ...]


def is_callers_own(call: Call, *, with_blocks: bool) -> bool:
    """Whether the caller has the API shorten or keep the conversation; to clear thoughts alone does not shorten it.

    `with_blocks`: also where it holds what the API compacted earlier.
    """
    if not any(field in call.body for field in _FIELDS):
        return False
    given: Any = msgspec.json.decode(call.body)
    if given.get("thread") is not None or given.get("compaction") is not None:
        return True
    if with_blocks and _is_compacted(given.get("messages")):
        return True
    management = given.get("context_management")
    edits = management.get("edits") if isinstance(management, dict) else None
    kinds = [str(one.get("type")) for one in edits if isinstance(one, dict)] if isinstance(edits, list) else []
    return any(not kind.startswith("clear_thinking_") for kind in kinds)


def may_ask(call: Call) -> bool:
    """Whether the call goes where the API itself answers, by a model known to manage context."""
    assert call.request is not None and call.plan is not None
    is_known = shipped().find(call.request.model or "") is not None
    return is_known and call.plan.candidates[0].target.envelope is None


def asking(call: Call, tokens: int | None) -> Asked:
    """The call with the edits its model does, from so many input tokens on; None for the API's own defaults.

    Edits that the caller asked for stay, before these. Raises ValueError where a field is named twice.
    """
    assert call.request is not None
    model = shipped().find(call.request.model or "")
    edits: list[Any] = [_edit(_CLEARING, tokens)]
    if model is not None and model.capabilities.may_compact:
        edits.append(_edit(_COMPACTING, max(tokens, _COMPACTED_TOKENS_LEAST) if tokens is not None else None))
    named = tuple(edit["type"] for edit in edits)
    fields = Spliced(call.body)
    given = msgspec.json.decode(fields["context_management"]) if "context_management" in fields else None
    own = given.get("edits") if isinstance(given, dict) else None
    every = [*(own if isinstance(own, list) else []), *edits]
    management = {**(given if isinstance(given, dict) else {}), "edits": every}
    fields.put("context_management", msgspec.json.encode(management))
    betas = [name for name in call.fields.get(b"anthropic-beta", b"").split(b",") if name.strip()]
    betas += [_BETAS[kind] for kind in named if _BETAS[kind] not in [name.strip() for name in betas]]
    others = tuple([field for field in call.headers if field[0] != b"anthropic-beta"])
    headers = (*others, (b"anthropic-beta", b",".join(betas)))
    changed = msgspec.structs.replace(call, body=fields.text, headers=headers, fields=dict(headers))
    return Asked(changed, named)


def _edit(kind: str, tokens: int | None) -> dict[str, Any]:
    trigger = {"type": "input_tokens", "value": tokens}
    return {"type": kind} if tokens is None else {"type": kind, "trigger": trigger}


def _is_compacted(messages: Any) -> bool:
    turns = [turn for turn in messages if isinstance(turn, dict)] if isinstance(messages, list) else []
    blocks = [block for turn in turns if isinstance(turn.get("content"), list) for block in turn["content"]]
    return any(isinstance(block, dict) and block.get("type") == "compaction" for block in blocks)
