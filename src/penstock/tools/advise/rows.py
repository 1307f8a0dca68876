"""The calls that advice is made from: what each used, what it cost, and what it would have cost otherwise.

A call whose counts do not come to its cost is left out: there is more to it than the ledger's columns say (samplings of
other models, prices of your own that have changed since), and what is worked out from them would be wrong.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

from ...wire.messages import Usage
from ...wire.prices import PriceBook
from ..ledger import chunks


class Span(msgspec.Struct, frozen=True):
    """Which calls are looked at: from `since_us` up to but not including `until_us`, Unix microseconds, of one feature
    or of all."""

    since_us: int
    until_us: int
    feature: str | None = None

    def condition(self) -> tuple[str, list[Any]]:
        """The SQL for messages that cost something, and its values."""
        terms = "endpoint = 'messages' AND cost_nano > 0 AND began_at_us >= ? AND began_at_us < ?"
        values: list[Any] = [self.since_us, self.until_us]
        if self.feature is not None:
            terms += " AND feature = ?"
            values.append(self.feature)
        return terms, values


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as it was or as it would have been. Money in nano-dollars, times in Unix microseconds.

    `cost_nano` is what it did cost, `lost_nano` the part of it that attempts had used which were given up. The answer
    began by `begun_us`. `origin` is the model that did serve it. An answer that `is_unpaid` was not made at all.
    """

    call_id: str
    at_us: int
    feature: str | None
    session: str | None
    upstream: str | None
    origin: str
    model: str
    prompt_hash: str | None
    ending: str
    stop_reason: str | None
    usage: Usage
    begun_us: int
    cost_nano: int
    lost_nano: int = 0
    is_batch: bool = False
    is_unpaid: bool = False

    @property
    def prompt_tokens(self) -> int:
        """All of its input, cached or not."""
        usage = self.usage
        return usage.input_tokens + self.cached_tokens

    @property
    def cached_tokens(self) -> int:
        """What of the input was read from cache or written to it."""
        usage = self.usage
        return usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens


class _Spent(msgspec.Struct, tag="Spent"):
    usage: Usage
    model: str


_TRAIL = msgspec.json.Decoder(list[msgspec.Raw])
_SPENT = msgspec.json.Decoder(_Spent)
MODEL_SQL = "coalesce(model_served, model_asked, '')"
_COLUMNS = f"""call_id, began_at_us, feature, session, upstream, {MODEL_SQL}, prompt_hash, ending, stop_reason,
    input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, web_searches,
    service_tier, inference_geo, speed, coalesce(first_token_us, total_us), cost_nano,
    CASE WHEN cost_basis = 'estimated' THEN trail END"""


class Rows:
    """Reads calls, oldest first, and prices them. `left_out` counts those of the last reading that were left out,
    and `left_nano` what they cost."""

    def __init__(self, connection: sqlite3.Connection, span: Span, prices: PriceBook) -> None:
        self._connection, self._span, self._prices = connection, span, prices
        self.left_out, self.left_nano = 0, 0

    def __iter__(self) -> Iterator[Row]:
        self.left_out, self.left_nano = 0, 0
        condition, values = self._span.condition()
        query = f"SELECT {_COLUMNS} FROM calls WHERE {condition} ORDER BY began_at_us"
        for rows in chunks(self._connection, query, values):
            for values_of_row in rows:
                row = self._row(values_of_row)
                if row is not None:
                    yield row

    def nano(self, row: Row) -> int | None:
        """What a call costs in nano-dollars; None where its model has no price for what it uses."""
        if row.is_unpaid:
            return row.lost_nano
        own = self._prices.price(row.usage, row.model, row.at_us, is_batch=row.is_batch).nano
        return None if own is None else own + row.lost_nano

    def _row(self, given: tuple[Any, ...]) -> Row | None:
        call_id, at_us, feature, session, upstream, model, prompt_hash, ending, stop_reason = given[:9]
        new, read, short, long, out, searches, tier, geo, speed, begun, cost_nano, trail = given[9:]
        row = Row(
            call_id=call_id,
            at_us=at_us,
            feature=feature,
            session=session,
            upstream=upstream,
            origin=model,
            model=model,
            prompt_hash=prompt_hash,
            ending=ending,
            stop_reason=stop_reason,
            usage=Usage(new, read, short, long, out, 0, searches, 0, tier, geo, speed),
            begun_us=at_us + begun,
            cost_nano=cost_nano,
            lost_nano=0 if trail is None else self._lost(trail, at_us),
        )
        if self.nano(row) == cost_nano:
            return row
        self.left_out += 1
        self.left_nano += cost_nano
        return None

    def _lost(self, trail: bytes, at_us: int) -> int:
        facts = [_SPENT.decode(fact) for fact in _TRAIL.decode(trail) if b'"type":"Spent"' in bytes(fact)]
        return sum(self._prices.price(one.usage, one.model, at_us).nano or 0 for one in facts)
