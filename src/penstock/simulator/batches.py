"""Message batches, kept in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .accounts import Caller
from .books import Books, Entry
from .catalogue import page
from .dice import Dice
from .headers import stamp_us
from .problems import Problem, invalid, missing

Run = Callable[[dict[str, Any], Caller, Entry, Dice], dict[str, Any]]
"""Answers one batch item's params with a message, and notes it in the entry. Raises Problem."""

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KINDS = ("processing", "succeeded", "errored", "canceled", "expired")
_DAY_S = 86_400.0
#: Results are kept so long, counted from a batch's creation.
KEPT_S = 29 * _DAY_S
REQUESTS_MAX = 100_000
_NOT_IN_BATCHES = ("stream", "speed", "thread", "fallbacks", "cache_hint", "context_hint")


@dataclass(slots=True)
class Batch:
    """One batch. Times are Unix seconds; `results` are JSON lines once it has ended, until it is archived."""

    id: str
    caller: Caller
    requests: list[dict[str, Any]]
    created_at: float
    ended_at: float | None = None
    cancelled_at: float | None = None
    archived_at: float | None = None
    results: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Batches:
    """All batches of one simulator. A batch ends by itself when it is next looked at after its time.

    Its items are answered one after another, in an order of their own, evenly over `takes_s` seconds. Where that is
    more than a day, what is not done by then expires.
    """

    def __init__(
        self,
        now: Callable[[], float],
        run: Run,
        books: Books,
        seed: object,
        takes_s: float,
        url: Callable[[], str],
    ) -> None:
        self._now, self._run, self._books, self._seed = now, run, books, seed
        self._takes_s, self._url = takes_s, url
        self._batches: dict[str, Batch] = {}

    def queued(self, caller: Caller) -> int:
        """How many items of an organization's batches wait."""
        mine = [one for one in self._batches.values() if one.caller.organization_id == caller.organization_id]
        return sum(len(batch.requests) for batch in mine if batch.ended_at is None)

    def create(self, body: dict[str, Any], caller: Caller, dice: Dice) -> dict[str, Any]:
        """Take a batch in. Of its items only the ids are looked at; what is wrong with them shows in the results."""
        requests = body.get("requests")
        if not isinstance(requests, list) or not requests:
            raise invalid("requests: Field required" if requests is None else "requests: at least one is required")
        if len(requests) > REQUESTS_MAX:
            raise invalid(f"requests: at most {REQUESTS_MAX:,} are allowed in a batch, not {len(requests):,}")
        seen: set[str] = set()
        for at, request in enumerate(requests):
            name = request.get("custom_id") if isinstance(request, dict) else None
            if not isinstance(name, str) or not _CUSTOM_ID.fullmatch(name):
                raise invalid(f"requests.{at}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
            if name in seen:
                raise invalid(f"requests.{at}.custom_id: {name} is used more than once")
            if not isinstance(request.get("params"), dict):
                raise invalid(f"requests.{at}.params: Field required")
            seen.add(name)
        batch = Batch(dice.id("msgbatch"), caller, requests, self._now())
        self._batches[batch.id] = batch
        return self.shown(batch)

    def list(self, caller: Caller, query: dict[str, str]) -> dict[str, Any]:
        mine = [one for one in reversed(self._batches.values()) if one.caller.cache_scope == caller.cache_scope]
        return page([self.shown(batch) for batch in mine], query)

    def get(self, id: str, caller: Caller) -> Batch:
        """A batch of the caller's workspace. Raises Problem 404."""
        batch = self._batches.get(id)
        if batch is None or batch.caller.cache_scope != caller.cache_scope:
            raise missing(f"Message Batch {id} not found.")
        self._settle(batch)
        return batch

    def cancel(self, id: str, caller: Caller) -> dict[str, Any]:
        batch = self.get(id, caller)
        if batch.ended_at is not None:
            raise invalid(f"Message Batch {id} cannot be canceled because it has already ended.")
        if batch.cancelled_at is None:
            batch.cancelled_at = self._now()
        return self.shown(batch)

    def delete(self, id: str, caller: Caller) -> dict[str, Any]:
        batch = self.get(id, caller)
        if batch.ended_at is None:
            raise invalid(f"Message Batch {id} cannot be deleted before it has ended. Cancel it first.")
        del self._batches[id]
        return {"id": id, "type": "message_batch_deleted"}

    def results(self, id: str, caller: Caller) -> bytes:
        """JSON lines, in no promised order. Raises Problem 404 before the batch has ended, and once it is archived."""
        batch = self.get(id, caller)
        if batch.ended_at is None or batch.archived_at is not None:
            raise missing(f"Message Batch {id} has no available results.")
        return b"".join(batch.results)

    def _ends_at(self, batch: Batch) -> float:
        """When all its items are done, given up, or a cancellation has been seen through."""
        whole = batch.created_at + min(self._takes_s, _DAY_S)
        return whole if batch.cancelled_at is None else min(whole, batch.cancelled_at + self._takes_s / 10)

    def _settle(self, batch: Batch) -> None:
        now_s = self._now()
        if batch.ended_at is None and now_s >= self._ends_at(batch):
            self._end(batch)
        if batch.ended_at is not None and batch.archived_at is None and now_s >= batch.created_at + KEPT_S:
            batch.archived_at, batch.results = batch.created_at + KEPT_S, []

    def _end(self, batch: Batch) -> None:
        dice = Dice(self._seed, batch.id)
        order = list(range(len(batch.requests)))
        dice.random.shuffle(order)
        batch.ended_at = self._ends_at(batch)
        batch.counts = dict.fromkeys(_KINDS, 0)
        for number, at in enumerate(order):
            request, done_at = batch.requests[at], batch.created_at + self._takes_s * (number + 1) / len(order)
            if batch.cancelled_at is not None and done_at > batch.cancelled_at:
                result: dict[str, Any] = {"type": "canceled"}
            elif done_at > batch.created_at + _DAY_S:
                result = {"type": "expired"}
            else:
                result = self._result(batch, request, done_at, dice)
            batch.counts[result["type"]] += 1
            batch.results.append(msgspec.json.encode({"custom_id": request["custom_id"], "result": result}) + b"\n")

    def _result(self, batch: Batch, request: dict[str, Any], done_at: float, dice: Dice) -> dict[str, Any]:
        params, caller, request_id = request["params"], batch.caller, dice.id("req")
        entry = Entry(request_id=request_id, at_s=done_at, method="BATCH", path=f"{batch.id}/{request['custom_id']}")
        entry.name(caller)
        try:
            for name in _NOT_IN_BATCHES:
                if params.get(name):
                    raise invalid(f"{name}: Not supported in batch requests")
            message = self._run(params, caller, entry, dice)
            entry.status, entry.ending = 200, "whole"
            return {"type": "succeeded", "message": message}
        except Problem as problem:
            entry.status, entry.error_type, entry.error_code = problem.status, problem.kind, problem.code
            error = {"type": problem.kind, "message": problem.message}
            return {"type": "errored", "error": {"type": "error", "error": error, "request_id": request_id}}
        finally:
            self._books.enter(entry)

    def shown(self, batch: Batch) -> dict[str, Any]:
        """A batch as the API shows it. All counts stay in `processing` until it has ended."""
        self._settle(batch)
        is_over = batch.ended_at is not None
        status = "ended" if is_over else "in_progress" if batch.cancelled_at is None else "canceling"
        counts = batch.counts if is_over else {**dict.fromkeys(_KINDS, 0), "processing": len(batch.requests)}
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "ended_at": None if batch.ended_at is None else stamp_us(batch.ended_at),
            "created_at": stamp_us(batch.created_at),
            "expires_at": stamp_us(batch.created_at + _DAY_S),
            "archived_at": None if batch.archived_at is None else stamp_us(batch.archived_at),
            "cancel_initiated_at": None if batch.cancelled_at is None else stamp_us(batch.cancelled_at),
            "results_url": f"{self._url()}/v1/messages/batches/{batch.id}/results" if is_over else None,
        }
