"""What a call costs, and who is told: its entry in the books, the caps, the reports."""

from __future__ import annotations

from ..wire.messages import Usage
from ..wire.prices import PriceBook
from .accounts import Caller
from .books import Entry
from .reports import Reports
from .spend import Spend

#: Lines of a price, as the cost report names them.
_TOKEN_TYPES = {
    "input": "uncached_input_tokens",
    "cache read": "cache_read_input_tokens",
    "cache write 5m": "cache_creation.ephemeral_5m_input_tokens",
    "cache write 1h": "cache_creation.ephemeral_1h_input_tokens",
    "output": "output_tokens",
    "web search": "web_search",
}


class Invoice:
    """Charges each answered call once, when its answer has ended."""

    def __init__(self, spend: Spend, reports: Reports) -> None:
        self._prices, self._spend, self._reports = PriceBook(), spend, reports

    def charge(self, caller: Caller, entry: Entry) -> None:
        """Price what the entry has counted. A refusal before any output has counts and costs nothing."""
        usage = Usage(
            input_tokens=entry.input_tokens,
            cache_read_tokens=entry.cache_read_tokens,
            cache_write_5m_tokens=entry.cache_write_5m_tokens,
            cache_write_1h_tokens=entry.cache_write_1h_tokens,
            output_tokens=entry.output_tokens,
            web_searches=entry.web_searches,
            service_tier=entry.service_tier,
            inference_geo=entry.inference_geo,
            speed=entry.speed,
        )
        price = self._prices.arithmetic(
            usage,
            entry.model or "",
            at_us=round(entry.at_s * 1_000_000),
            is_early_refusal=entry.stop_reason == "refusal" and not entry.output_tokens,
        )
        entry.cost_nano = (price.nano or 0) + self._declined(entry)
        self._spend.charge(caller, entry.cost_nano)
        self._reports.note(entry, {_TOKEN_TYPES[line.label]: line.amount_pico for line in price.lines})

    def _declined(self, entry: Entry) -> int:
        """What the attempt before a server-side fallback costs: nothing where it had said nothing."""
        counts = entry.declined
        if counts is None or not counts["output_tokens"]:
            return 0
        usage = Usage(
            input_tokens=counts["input_tokens"],
            cache_read_tokens=counts["cache_read_input_tokens"],
            cache_write_5m_tokens=counts["cache_creation"]["ephemeral_5m_input_tokens"],
            cache_write_1h_tokens=counts["cache_creation"]["ephemeral_1h_input_tokens"],
            output_tokens=counts["output_tokens"],
        )
        return self._prices.price(usage, counts["model"], at_us=round(entry.at_s * 1_000_000)).nano or 0
