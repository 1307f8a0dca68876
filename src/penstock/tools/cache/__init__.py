"""The cache doctor: how much of what could be read from the API's cache was, why the rest was not, what that cost.

One reading of the ledger, oldest call first. What the cache held when a call came is replayed from the calls before it,
by their fingerprints (`caching.fingerprint`); what was read is what the API has billed. The difference is a miss.
"""

from __future__ import annotations

from pathlib import Path

from ...wire.prices import PriceBook
from ..advise.rows import Span
from ..ledger import opened
from .entries import Entries
from .judging import missed, too_short
from .result import Diagnosis, Finding, Patient
from .rows import calls
from .streams import Streams
from .sums import Sums

__all__ = ["Diagnosis", "Finding", "Patient", "Span", "diagnose"]


def diagnose(data: Path, span: Span, prices: PriceBook) -> Diagnosis:
    """Look at the calls of a span. Those before it are not known: what they had cached is found out by being read.

    Blocks. Raises StoreFailed.
    """
    sums = Sums(prices)
    entries, streams = Entries(sums.ended), Streams()
    last_us = 0
    with opened(data) as connection:
        for call in calls(connection, span):
            last_us = max(last_us, call.at_us)
            sums.count(call)
            if call.prompt is None:
                if call.is_marked:
                    sums.missed(too_short(call))
                continue
            found = entries.found(call)
            miss = missed(call, found, streams.before(call))
            for settled in streams.take(call, miss):
                sums.missed(settled)
            entries.take(call, found)
    for settled in streams.close():
        sums.missed(settled)
    entries.close(last_us)
    return Diagnosis(since_us=span.since_us, until_us=span.until_us, patients=sums.patients())
