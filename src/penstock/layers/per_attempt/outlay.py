"""Outlay: what an attempt can cost is held as it leaves, and let go of where it is known to have cost nothing.

Right above transport, so that it weighs the very bytes that leave, with what the layers above have made of them, and so
that it sees everything that leaves: retries, hedges, and what layers ask for themselves.
"""

from __future__ import annotations

from ...call import Call
from ...errors import NOT_SENT, Refused, UpstreamFailed
from ...layer import Next
from ...reply import Reply


class Outlay:
    """Takes from the call's purse. Without one, no budget is about the call."""

    async def __call__(self, call: Call, onward: Next) -> Reply:
        purse = call.trail.purse
        if purse is None:
            return await onward(call)
        nano = await purse.begin(call)
        try:
            reply = await onward(call)
        except Refused:
            purse.spared(nano)
            raise
        except UpstreamFailed as error:
            if error.code in NOT_SENT:
                purse.spared(nano)
            raise
        if reply.status >= 400:
            purse.spared(nano)
        return reply
