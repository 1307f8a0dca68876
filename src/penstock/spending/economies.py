"""What may be done to a call so that a budget can afford it: a cheaper model, a shorter answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from ..call import Call, Candidate, Fact
from ..ports.money import Held
from ..wire.adapting.splice import Spliced
from .budget import Charged

#: An answer is not trimmed to fewer tokens than this.
LEAST_TOKENS = 64


class Downgraded(Fact, frozen=True):
    """A budget sent the call to its feature's cheaper model."""

    budget: str
    model: str

    def told(self) -> str:
        return f"Budget {self.budget} sent it to {self.model}."


class Trimmed(Fact, frozen=True):
    """`max_tokens` was lowered to what a budget has left."""

    budget: str
    asked: int
    max_tokens: int

    def told(self) -> str:
        return f"`max_tokens` was lowered from {self.asked:,} to {self.max_tokens:,}: {self.budget} has that left."


def asked_model(call: Call) -> str:
    """The model of the first candidate; empty where there is none."""
    plan, request = call.plan, call.request
    chosen = plan.candidates[0].model if plan is not None else None
    return chosen or (request.model if request is not None else None) or ""


def downgraded(call: Call, charged: Charged, model: str | None) -> Call:
    """The call with `model` in place of every other; as it is where that is none, or has been done."""
    plan = call.plan
    if plan is None or model is None or call.endpoint.name != "messages" or asked_model(call) == model:
        return call
    if call.trail.last(Downgraded) is not None:
        return call
    call.trail.append(Downgraded(charged.shown, model))
    targets = {candidate.target.name: candidate.target for candidate in plan.candidates}
    return replace(call, plan=replace(plan, candidates=tuple([Candidate(one, model) for one in targets.values()])))


def trimmed(call: Call, charged: Sequence[Charged], held: Held, weigh: Callable[[int | None], int]) -> Call:
    """The call with as long an answer as can be paid for; as it is where that is of no use.

    `weigh` gives what the call costs at most with so many output tokens, None for those it asks for. A request that
    says how long to think is left alone: what remained might be less than its thinking.
    """
    asked = call.request.max_tokens if call.request is not None else None
    if asked is None or b'"budget_tokens"' in call.body:
        return call
    lefts = [
        (one.account.limit_nano - balance.spent_nano - balance.held_nano, one)
        for one, balance in zip(charged, held.balances, strict=True)
        if one.account.limit_nano is not None
    ]
    left, tightest = min(lefts, key=lambda entry: entry[0])
    nano, without = weigh(None), weigh(0)
    tokens = (left - without) * asked // max(1, nano - without) - 1
    if tokens < min(LEAST_TOKENS, asked):
        return call
    try:
        fields = Spliced(call.body)
    except ValueError:  # a name is given twice: whoever reads it may read either
        return call
    fields.put("max_tokens", b"%d" % tokens)
    call.trail.append(Trimmed(tightest.shown, asked, tokens))
    assert call.request is not None
    return replace(call, body=fields.text, request=replace(call.request, max_tokens=tokens))
