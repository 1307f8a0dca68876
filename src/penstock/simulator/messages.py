"""POST /v1/messages and its kin: from a body to a message, and everything one leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .accounts import Caller
from .answer import Answer
from .binding import Bindings
from .books import Books, Entry
from .cache import Planned, PromptCache, count_prompt
from .catalogue import Model
from .declined import boundary, successor
from .dice import Dice
from .endings import ended
from .faults import Fault
from .headers import Headers
from .invoice import Invoice
from .limits import Limits, RateLimits
from .model import last_prompt, speak
from .problems import Problem, invalid
from .reports import Drift, Reports
from .rules import VERSIONS, check_count, check_message, check_thread, parse
from .script import Script
from .spend import Caps, Spend
from .stream import Prompted, Written, events, message
from .threads import Threads


class Messages:
    """The messages endpoints of one simulator, with the caches, limits and threads behind them."""

    def __init__(
        self,
        *,
        seed: int,
        now: Callable[[], float],
        headers: Headers,
        books: Books,
        limits: Limits,
        caps: Caps,
        drift: Drift,
        script: Script,
    ) -> None:
        self._seed, self._now, self._headers, self._books, self._script = seed, now, headers, books, script
        self.limits = RateLimits(limits, now)
        self._spend = Spend(caps, now)
        self._cache = PromptCache()
        self._threads = Threads()
        self._bindings = Bindings(seed)
        self.reports = Reports(drift, seed, now)
        self._invoice = Invoice(self._spend, self.reports)

    def create(self, body: bytes, caller: Caller, version: str, betas: str, entry: Entry, dice: Dice) -> Answer:
        """The answer to POST /v1/messages. Raises Problem."""
        self._spend.check(caller)
        request, model, planned, dropped = self._prepared(parse(body), caller, version, betas)
        prompted = planned.prompted
        uncached = prompted.input_tokens + prompted.write_5m + prompted.write_1h
        is_fast = request.get("speed") == "fast"
        admission = self.limits.admit(caller, model, uncached, len(body), is_fast=is_fast)
        written = self._written(request, model, planned, caller, entry, dice)
        written.input_transformations.extend(dropped)
        is_stream = request.get("stream") is True
        headers = self._headers.answer(entry.request_id, dice, caller, admission.headers, is_stream=is_stream)
        parts = events(written, dice) if is_stream else [msgspec.json.encode(message(written))]
        self._note(entry, written)

        def ended(share: float) -> None:
            entry.output_tokens = round(written.spoken.output_tokens * share)
            self._invoice.charge(caller, entry)
            admission.ended(entry.output_tokens)

        return Answer(
            200,
            headers,
            parts,
            is_stream,
            output_tokens=written.spoken.output_tokens,
            model=model.id,
            delay_s=written.spoken.delay_s,
            began=planned.begin,
            ended=ended,
        )

    def cued(self, body: bytes) -> Fault | None:
        """The fault that the script has for a request."""
        if not self._script.has_faults:
            return None
        try:
            request = parse(body)
            return self._script.fault(request, last_prompt(request))
        except (Problem, AttributeError, KeyError, TypeError):
            return None  # what is no request is told so later, in the order of checks

    def count(self, body: bytes, caller: Caller, version: str, betas: str) -> dict[str, Any]:
        """The answer to POST /v1/messages/count_tokens. Raises Problem."""
        request = parse(body)
        self.limits.count(caller)
        return {"input_tokens": count_prompt(request, check_count(request, version, betas, self._now()))}

    def batched(self, params: dict[str, Any], caller: Caller, entry: Entry, dice: Dice) -> dict[str, Any]:
        """The message of one batch item. Any beta field passes, as betas belong to the batch's own request."""
        if params.get("max_tokens") == 0:
            raise invalid("max_tokens: 0 is not supported in batch requests")
        request, model, planned, _ = self._prepared(params, caller, VERSIONS[0], "batch")
        written = self._written(request, model, planned, caller, entry, dice, tier="batch")
        planned.begin()
        self._note(entry, written)
        entry.output_tokens = written.spoken.output_tokens
        self._invoice.charge(caller, entry)
        return message(written)

    def _prepared(
        self, request: dict[str, Any], caller: Caller, version: str, betas: str, *, is_batch: bool = False
    ) -> tuple[dict[str, Any], Model, Planned, list[dict[str, Any]]]:
        """The whole request, its model, its part in the cache, and what was left out of it. Raises Problem."""
        now_s = self._now()
        check_thread(request, betas)
        request = self._threads.whole(request, now_s)
        model = check_message(request, version, betas, now_s, is_batch=is_batch)
        request, dropped = self._bindings.checked(request, model, caller, betas)
        planned = self._cache.plan(request, model, caller, now_s, betas)
        prompted = planned.prompted
        total = prompted.input_tokens + prompted.cache_read + prompted.write_5m + prompted.write_1h
        if total > model.window_tokens:
            raise invalid(f"prompt is too long: {total} tokens > {model.window_tokens} maximum")
        return request, model, planned, dropped

    def _written(
        self,
        request: dict[str, Any],
        model: Model,
        planned: Planned,
        caller: Caller,
        entry: Entry,
        dice: Dice,
        tier: str = "standard",
    ) -> Written:
        """What the model makes of it."""
        spoken = speak(request, model, self._seed, dice, self._script)
        spoken = ended(spoken, entry.fault, last_prompt(request), model)
        self._bindings.sign(request, spoken.blocks, model, caller)
        prompted, asked = planned.prompted, None
        following = successor(request, model, self._now()) if spoken.stop_reason == "refusal" else None
        if following is not None:
            asked = model.id
            entry.declined = {**prompted.iteration(spoken.output_tokens), "model": asked, "type": "message"}
            before = [*spoken.blocks, boundary(str(request["model"]), following[0], spoken.stop_details)]
            model, request = following
            spoken = speak(request, model, self._seed, dice, self._script)
            self._bindings.sign(request, spoken.blocks, model, caller)
            spoken.blocks[:0] = before
            prompted = Prompted(count_prompt(request, model))
        is_modern = model.version >= (4, 6)
        id = dice.id_beside("msg", entry.request_id)
        self._threads.keep(request, id, spoken.blocks, self._now())
        planned.admitted(id)
        return Written(
            id=id,
            model=model.id,
            spoken=spoken,
            prompted=prompted,
            service_tier=tier,
            inference_geo=str(request.get("inference_geo") or "global") if is_modern else "not_available",
            speed=request.get("speed"),
            shows_thinking_tokens=model.version >= (4, 7) or "thinking" in request,
            has_edits="context_management" in request,
            is_diagnosed=planned.is_diagnosed,
            diagnostics=planned.diagnostics,
            declined=entry.declined,
            asked=asked,
        )

    def _note(self, entry: Entry, written: Written) -> None:
        counts = written.prompted
        entry.model, entry.stop_reason = written.model, written.spoken.stop_reason
        entry.input_tokens, entry.cache_read_tokens = counts.input_tokens, counts.cache_read
        entry.cache_write_5m_tokens, entry.cache_write_1h_tokens = counts.write_5m, counts.write_1h
        entry.service_tier, entry.inference_geo, entry.speed = (
            written.service_tier,
            written.inference_geo,
            written.speed,
        )
        entry.web_searches = written.spoken.web_searches
