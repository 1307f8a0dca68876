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


@dataclass(slots=True)
class Batch:
    """One batch. Times are Unix seconds; `results` are JSON lines once it has ended."""

    id: str
    caller: Caller
    requests: list[dict[str, Any]]
    created_at: float
    due_at: float
    ended_at: float | None = None
    cancelled_at: float | None = None
    results: list[bytes] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Batches:
    """All batches of one simulator. A batch ends by itself when it is next looked at after its time."""

    def __init__(
        self,
        now: Callable[[], float],
        run: Run,
        books: Books,
        seed: object,
        takes_s: float,
        url: Callable[[], str],
    ) -> None:
        self._now = now
        self._run = run
        self._books = books
        self._seed = seed
        self._takes_s = takes_s
        self._url = url
        self._batches: dict[str, Batch] = {}

    def create(self, body: dict[str, Any], caller: Caller, dice: Dice) -> dict[str, Any]:
        requests = body.get("requests")
        if not isinstance(requests, list) or not requests:
            raise invalid("requests: Field required" if requests is None else "requests: at least one is required")
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
        now = self._now()
        batch = Batch(dice.id("msgbatch"), caller, requests, now, now + self._takes_s)
        self._batches[batch.id] = batch
        return self.shown(batch)

    def list(self, query: dict[str, str]) -> dict[str, Any]:
        return page([self.shown(batch) for batch in reversed(self._batches.values())], query)

    def get(self, id: str) -> Batch:
        """Raises Problem 404."""
        batch = self._batches.get(id)
        if batch is None:
            raise missing(f"Message Batch {id} not found.")
        self._settle(batch)
        return batch

    def cancel(self, id: str) -> dict[str, Any]:
        batch = self.get(id)
        if batch.ended_at is not None:
            raise invalid(f"Message Batch {id} cannot be canceled because it has already ended.")
        if batch.cancelled_at is None:
            batch.cancelled_at = self._now()
        return self.shown(batch)

    def delete(self, id: str) -> dict[str, Any]:
        batch = self.get(id)
        if batch.ended_at is None:
            raise invalid(f"Message Batch {id} cannot be deleted before it has ended. Cancel it first.")
        del self._batches[id]
        return {"id": id, "type": "message_batch_deleted"}

    def results(self, id: str) -> bytes:
        """JSON lines, in no promised order. Raises Problem 404 before the batch has ended."""
        batch = self.get(id)
        if batch.ended_at is None:
            raise missing(f"Message Batch {id} has no available results.")
        return b"".join(batch.results)

    def _settle(self, batch: Batch) -> None:
        if batch.ended_at is not None or self._now() < batch.due_at:
            return
        dice = Dice(self._seed, batch.id)
        batch.counts = dict.fromkeys(_KINDS, 0)
        for request in batch.requests:
            result = {"type": "canceled"} if batch.cancelled_at is not None else self._result(batch, request, dice)
            batch.counts[result["type"]] += 1
            batch.results.append(msgspec.json.encode({"custom_id": request["custom_id"], "result": result}) + b"\n")
        dice.random.shuffle(batch.results)
        batch.ended_at = batch.due_at

    def _result(self, batch: Batch, request: dict[str, Any], dice: Dice) -> dict[str, Any]:
        params, caller, request_id = request["params"], batch.caller, dice.id("req")
        entry = Entry(
            request_id=request_id, at_s=batch.due_at, method="BATCH", path=f"{batch.id}/{request['custom_id']}"
        )
        entry.name(caller)
        try:
            for name in ("stream", "speed"):
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
            "expires_at": stamp_us(batch.created_at + 86_400),
            "archived_at": None,
            "cancel_initiated_at": None if batch.cancelled_at is None else stamp_us(batch.cancelled_at),
            "results_url": f"{self._url()}/v1/messages/batches/{batch.id}/results" if is_over else None,
        }
