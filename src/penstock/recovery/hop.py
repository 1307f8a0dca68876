"""A call as another candidate of its plan takes it."""

from __future__ import annotations

from msgspec.structs import replace

from ..call import Call, Fact
from ..wire.adapting import adapted
from ..wire.messages import read_request

#: What other models and upstreams can do too. Files and batches are where they were made.
_MOVABLE = ("messages", "count_tokens")


class Hopped(Fact, frozen=True):
    """The call went on to another candidate, changed so that that one takes it."""

    candidate: str
    changes: tuple[str, ...] = ()

    def told(self) -> str:
        changed = f", with {'; '.join(self.changes)}" if self.changes else ""
        return f"Went on to {self.candidate}{changed}."


def fitted(call: Call, place: int) -> Call:
    """The call for the candidate at that place of its plan, which is then the first. Raises ValueError with the reason.

    Conversations carry what only one model or account can read; `wire.adapting` says what becomes of it.
    """
    plan, request = call.plan, call.request
    assert plan is not None, "routing stands above"
    if call.endpoint.name not in _MOVABLE or request is None or request.model is None:
        raise ValueError("only messages and token counts can go elsewhere")
    first, candidate = plan.candidates[0].target, plan.candidates[place]
    is_same_account = candidate.target.key is first.key and candidate.target.url == first.url
    made, changes = moved(call, candidate.model or request.model, is_same_account=is_same_account)
    call.trail.append(Hopped(f"{candidate.model or request.model} at {candidate.target.name}", changes))
    return replace(made, plan=replace(plan, candidates=plan.candidates[place:]))


def moved(call: Call, model: str, *, is_same_account: bool = True) -> tuple[Call, tuple[str, ...]]:
    """The call as a model takes it, and what was changed for that. Raises ValueError with the reason."""
    request = call.request
    assert request is not None and request.model is not None, "the caller has seen to it"
    changed = adapted(
        call.body,
        call.fields.get(b"anthropic-beta", b""),
        call.fields.get(b"anthropic-version", b"2023-06-01").decode("latin-1"),
        from_model=request.model,
        to_model=model,
        is_same_account=is_same_account,
    )
    headers, fields = call.headers, call.fields
    if changed.beta is not None:
        kept = tuple([field for field in headers if field[0] != b"anthropic-beta"])
        value = ",".join(changed.beta).encode("latin-1")
        headers = (*kept, (b"anthropic-beta", value)) if value else kept
        fields = dict(headers)
    made = replace(
        call,
        body=changed.body,
        request=request if changed.body is call.body else read_request(changed.body),
        headers=headers,
        fields=fields,
    )
    return made, changed.changes
