"""What every face tells a caller about the call, in header fields beside the upstream's own."""

from __future__ import annotations

from ..call import Call, Headers
from ..layers.per_call.ledger import Settled
from ..reply import Reply
from ..wire.prices import usd


def outcome_headers(call: Call, reply: Reply) -> Headers:
    """The call's id, and once the body is at hand its cost, or why that is not known."""
    named = (b"x-penstock-call-id", call.id.encode())
    settled = call.trail.last(Settled) if reply.ending is not None else None
    if settled is None:
        return (named,)
    if settled.nano is None:
        return named, (b"x-penstock-cost-basis", settled.basis.encode())
    return named, (b"x-penstock-cost-usd", usd(settled.nano).encode())
