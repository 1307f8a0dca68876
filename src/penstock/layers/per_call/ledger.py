"""Ledger: one row per call, whatever happens.

Outermost, because it must see refusals and hang-ups, not only answers. The row is built when the reply ends and is
with the operating system before the caller gets a whole answer; of a stream, before it gets the end.
That an upstream was called at all is noted earlier, by transport, so that a killed process is found out.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from ...call import Call, Fact, Spent
from ...errors import PenstockError, StoreFailed
from ...layer import Next
from ...ports import Ports
from ...record import Record
from ...reply import Ending, Reply, Tap, ending_of
from ...spending.billing import billed
from ...wire.messages import Answer, Usage, kept_path
from ...wire.prices import PriceBook, usd

_TRAIL = msgspec.json.Encoder()
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")


class Settled(Fact, frozen=True):
    """What the call cost, in nano-dollars, and how sure that is (see `Record.cost_basis`)."""

    nano: int | None
    basis: str

    def mark(self, record: Record) -> None:
        record.cost_nano, record.cost_basis = self.nano, self.basis

    def told(self) -> str:
        if self.nano is None:
            return f"Its cost is not known ({self.basis})."
        return f"It cost {usd(self.nano)} dollars ({self.basis})."


class Traced(Fact, frozen=True):
    """The caller told which span of which trace the call belongs to (W3C Trace Context)."""

    trace_id: str
    span_id: str
    flags: str

    def told(self) -> str:
        return f"It belongs to trace {self.trace_id}, span {self.span_id}."


class Diagnosed(Fact, frozen=True):
    """The API said why it could not read an earlier prompt from its cache: see `wire.messages.CacheMiss`."""

    reason: str
    tokens: int | None = None

    def told(self) -> str:
        missed = "" if self.tokens is None else f", and {self.tokens:,} tokens were not read from cache"
        return f"The API compared it with the message named: {self.reason.replace('_', ' ')}{missed}."


class Ledger:
    """Opens the entry, sees every ending, closes it once."""

    def __init__(self, prices: PriceBook, ports: Ports) -> None:
        self._prices, self._ports = prices, ports

    async def __call__(self, call: Call, onward: Next) -> Reply:
        entry = _Entry(call, self._prices, self._ports)
        try:
            reply = await onward(call)
        except BaseException as error:
            await entry.ended(ending_of(error))
            raise
        entry.reply = reply
        return reply.tap(entry)


class _Entry(Tap):
    __slots__ = ("_bytes", "_call", "_first_token", "_ports", "_prices", "reply")

    def __init__(self, call: Call, prices: PriceBook, ports: Ports) -> None:
        self._call, self._prices, self._ports = call, prices, ports
        self.reply: Reply | None = None
        self._bytes = 0
        self._first_token: float | None = None

    def saw(self, chunk: bytes) -> None:
        self._bytes += len(chunk)
        if self._first_token is None and self.reply is not None and self.reply.answer.has_content:
            self._first_token = self._ports.clock.now()

    async def ended(self, ending: Ending) -> None:
        now = self._ports.clock.now()
        call, record = self._call, self._record(ending, now)
        traced = _TRACEPARENT.fullmatch(call.fields.get(b"traceparent", b""))
        if traced is not None:
            call.trail.append(Traced(*(part.decode() for part in traced.groups())))
        missed = None if self.reply is None else self.reply.answer.cache_miss
        if missed is not None:
            call.trail.append(Diagnosed(missed.reason, missed.tokens))
        call.trail.append(self._settled(record))
        for fact in call.trail:
            fact.mark(record)
        if record.upstream_us is not None:  # so far the moment the request left; now how long it took
            record.upstream_us = record.total_us - record.upstream_us
        record.trail = _TRAIL.encode(call.trail)
        purse = call.trail.purse
        if purse is not None:
            record.held_nano = purse.committed_nano
        try:
            await self._ports.ledger.close(record)
        except StoreFailed:
            # The answer is paid for and must reach its caller. The intent, if one was written, flags the
            # loss at the next start; the store itself has logged it.
            pass
        if purse is not None:  # after the row, by which a hold is settled that is not settled here
            await purse.settle(record.cost_nano, record.batch_id)
        if call.endpoint.name == "batch_results" and ending.kind == "complete":
            await self._bill()

    def _record(self, ending: Ending, now: float) -> Record:
        call, request = self._call, self._call.request
        retries = call.fields.get(b"x-stainless-retry-count")
        record = Record(
            call_id=call.id,
            began_at_us=call.began_at_us,
            face=call.face,
            method=call.method,
            path=kept_path(call.path),
            endpoint=call.endpoint.name,
            model_asked=request.model if request is not None else None,
            is_stream=request is not None and request.stream,
            prompt_hash=request.prompt_hash() if request is not None else None,
            ending=ending.kind,
            total_us=_us(now - call.began),
            request_bytes=len(call.body),
            response_bytes=self._bytes,
            client_retry=int(retries) if retries is not None and retries.isdigit() and len(retries) < 4 else 0,
        )
        if self._first_token is not None:
            record.first_token_us = _us(self._first_token - call.began)
        if self.reply is not None:
            record.status = self.reply.status
            is_free = any(fact.is_free() for fact in call.trail)
            _note_answer(record, self.reply.answer, None if is_free else self.reply.answer.usage)
        if isinstance(ending.error, PenstockError):
            record.error_layer, record.error_code = ending.error.layer, ending.error.code
            record.error_type = getattr(ending.error, "type", None)
            if self.reply is None:
                record.status = getattr(ending.error, "status", None)
        elif isinstance(ending.error, Exception):
            record.error_layer, record.error_code, record.error_type = "face", "internal", "api_error"
        return record

    async def _bill(self) -> None:
        """What the batch came to whose results the caller has got: for the row and the budgets of whoever made it."""
        bill = None if self.reply is None else billed(self._call, self.reply, self._prices)
        if bill is None:
            return
        with suppress(StoreFailed):  # the results can be had again, and the batch is in doubt until then
            await self._ports.budgets.bill(bill.batch_id, bill.cost_nano)
            await self._ports.ledger.bill(bill)

    def _settled(self, record: Record) -> Settled:
        """What the answer cost, and what those had used that were given up for it."""
        own = self._settled_answer(record)
        spent = [fact for fact in self._call.trail if isinstance(fact, Spent)]
        if not spent:
            return own
        at_us = self._call.began_at_us
        costs = [own.nano, *(self._prices.price(fact.usage, fact.model, at_us=at_us).nano for fact in spent)]
        if any(nano is None for nano in costs):
            return Settled(None, own.basis if own.nano is None else "unpriced")
        is_exact = own.basis in ("exact", "free") and all(fact.is_exact for fact in spent)
        return Settled(sum(nano for nano in costs if nano is not None), "exact" if is_exact else "estimated")

    def _settled_answer(self, record: Record) -> Settled:
        call, reply = self._call, self.reply
        if any(fact.is_free() for fact in call.trail):
            return Settled(0, "free")
        if reply is None:
            # Nothing came back. Once a request had left it may have been billed; before that it cannot.
            return Settled(None, "unknown") if any(fact.may_cost() for fact in call.trail) else Settled(0, "free")
        if reply.status >= 400 or call.endpoint.name not in ("messages", "batches"):
            return Settled(0, "free")
        if call.endpoint.name == "batches":
            is_new = call.method == "POST" and call.path == "/v1/messages/batches"
            record.batch_id = reply.answer.id if is_new else None
            return Settled(None, "deferred") if is_new else Settled(0, "free")
        usage = reply.answer.usage
        if usage is None:
            return Settled(None, "unknown")
        is_exact = record.ending == "complete"
        if not is_exact:
            usage = reply.reading.estimated_usage() or usage
            record.output_tokens = usage.output_tokens
        price = self._prices.price(
            usage,
            reply.answer.model or record.model_asked or "",
            at_us=call.began_at_us,
            is_early_refusal=reply.answer.is_early_refusal,
        )
        if price.nano is None or is_exact:
            return Settled(price.nano, price.basis)
        return Settled(price.nano, "estimated")


def _note_answer(record: Record, answer: Answer, usage: Usage | None) -> None:
    record.model_served = answer.model
    record.stop_reason = answer.stop_reason
    record.error_type, record.error_code = answer.error_type, answer.error_code
    if usage is None:
        return
    record.input_tokens = usage.input_tokens
    record.cache_read_tokens = usage.cache_read_tokens
    record.cache_write_5m_tokens = usage.cache_write_5m_tokens
    record.cache_write_1h_tokens = usage.cache_write_1h_tokens
    record.output_tokens = usage.output_tokens
    record.thinking_tokens = usage.thinking_tokens
    record.web_searches = usage.web_searches
    record.service_tier, record.inference_geo, record.speed = usage.service_tier, usage.inference_geo, usage.speed


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
