"""What a batch came to, from its results."""

from __future__ import annotations

from ..call import Call
from ..record import Bill
from ..reply import Reply
from ..wire.messages import Usage
from ..wire.prices import PriceBook

#: The columns of a bill that are counts of tokens, and of searches.
_COUNTS = Bill.__struct_fields__[2:]


def billed(call: Call, reply: Reply, prices: PriceBook) -> Bill | None:
    """What the results in a reply come to, at half price; None where one of them cannot be read or has no price.

    Each is priced as of when its results are had, at most a day after the answer was made.
    """
    items, parts = reply.answer.items, call.path.rstrip("/").split("/")
    if reply.status != 200 or items is None:
        return None
    cost, counts = 0, dict.fromkeys(_COUNTS, 0)
    for item in items:
        usage = item.usage or Usage()
        nano = prices.price(usage, item.model or "", call.began_at_us, is_batch=True).nano
        if nano is None:
            return None
        cost += nano
        for name in _COUNTS:
            counts[name] += getattr(usage, name)
    return Bill(parts[-2], cost, **counts)
