"""Resilience: try again where that can help, within the deadline and the budget.

The hinge between what happens once per call and once per attempt. Only what has failed before its first byte reached
the caller is tried again. Every wait is on the trail.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...call import Call, Fact
from ...config.schema import ResilienceConfig
from ...errors import UpstreamFailed
from ...layer import Next
from ...ports import Ports
from ...record import Record
from ...reply import Reply, Whole
from ...wire import remedies
from ...wire.reading import reading
from ...wire.remedies import Remedy

#: A try that could not take at least this long, in seconds, is not made.
_LEAST_S = 0.05
_NOT_SENT = frozenset({"connect_failed", "connect_timeout", "closed"})


class Retried(Fact, frozen=True):
    """An attempt failed, and another follows after a wait."""

    kind: str
    attempt: int
    wait_us: int

    def mark(self, record: Record) -> None:
        record.wait_us += self.wait_us

    def told(self) -> str:
        return f"Attempt {self.attempt} failed ({self.kind}); tried again after {self.wait_us / 1e6:.2f} s."


class Stopped(Fact, frozen=True):
    """An attempt failed, and no other follows. `is_spent`: neither should the caller start over."""

    kind: str
    attempt: int
    reason: str
    is_spent: bool = False

    def told(self) -> str:
        return f"Attempt {self.attempt} failed ({self.kind}); not tried again: {self.reason}."


class Resilience:
    """Retries with full jitter, the upstream's own `retry-after` first."""

    def __init__(self, config: ResilienceConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports

    async def __call__(self, call: Call, onward: Next) -> Reply:
        deadline = call.began + call.timeouts.total_s
        attempt = 1
        passed = call
        while True:
            reply: Reply | None = None
            failure: UpstreamFailed | None = None
            try:
                reply = await onward(passed)
                if reply.status < 400:
                    await self._ports.retries.succeeded()
                    return reply
                reply, remedy, asked_s = await self._judged(call, reply)
            except UpstreamFailed as error:  # no answer, or one that broke while its error was read
                reply, failure = None, error
                remedy, asked_s = remedies.of_failure(error.code), None
            wait_s = await self._wait_s(call, remedy, asked_s, attempt, deadline, failure)
            if wait_s is None:
                return _given_up(call, reply, failure)
            call.trail.append(Retried(remedy.kind, attempt, round(wait_s * 1_000_000)))
            await self._ports.clock.sleep(wait_s)
            attempt += 1
            left_s = deadline - self._ports.clock.now()
            passed = replace(call, timeouts=replace(call.timeouts, total_s=max(left_s, _LEAST_S)))

    async def _judged(self, call: Call, reply: Reply) -> tuple[Reply, Remedy, float | None]:
        """An error answer read to its end, what it calls for, and how long it asks to wait. Raises UpstreamFailed."""
        body = await reply.read()
        answer, fields = reply.answer, dict(reply.headers)
        remedy = remedies.of_answer(
            reply.status, answer.error_type, answer.error_code, answer.error_message, fields.get(b"x-should-retry")
        )
        asked_s = remedies.retry_after_s(
            fields.get(b"retry-after-ms"), fields.get(b"retry-after"), self._ports.clock.wall_us() / 1e6
        )
        again = Reply(
            reply.status,
            reply.headers,
            Whole([body]),
            reading=reading(call.endpoint, reply.status, reply.headers),
            request_id=reply.request_id,
        )
        return again, remedy, asked_s

    async def _wait_s(
        self,
        call: Call,
        remedy: Remedy,
        asked_s: float | None,
        attempt: int,
        deadline: float,
        failure: UpstreamFailed | None,
    ) -> float | None:
        """How long to wait before the next attempt; None where none is to follow, with the reason on the trail."""
        config = self._config
        reason, is_spent, wait_s = "", False, 0.0
        tries_max = min(remedy.tries_max, config.tries_max, call.tries_max or config.tries_max)
        if remedy.tries_max == 1:
            reason = "that would not help"
        elif failure is not None and failure.code not in _NOT_SENT and not _may_repeat(call):
            reason = "it may have been done all the same"
        elif attempt + _tried_before(call) >= tries_max:
            reason, is_spent = f"{tries_max} tries are all it gets", attempt > 1
        else:
            backoff_s = min(config.wait_max_s, remedy.wait_s * config.wait_first_s * 2.0 ** (attempt - 1))
            jittered_s = self._ports.chance.uniform(0.0, backoff_s)
            wait_s = jittered_s if asked_s is None else asked_s + self._ports.chance.uniform(0.0, 0.1 * asked_s)
            if self._ports.clock.now() + wait_s + _LEAST_S > deadline:
                reason = f"the {wait_s:.0f} s to wait are past its deadline"
            elif not await self._ports.retries.take():
                reason, is_spent = "the retry budget is empty, as in an outage", True
        if not reason:
            return wait_s
        call.trail.append(Stopped(remedy.kind, attempt, reason, is_spent))
        return None


def _given_up(call: Call, reply: Reply | None, failure: UpstreamFailed | None) -> Reply:
    """The last answer, or the last failure raised, marked where starting over would only multiply attempts."""
    stopped = call.trail.last(Stopped)
    is_spent = stopped is not None and stopped.is_spent
    if reply is None:
        assert failure is not None, "an attempt has an answer or a failure"
        failure.is_spent = is_spent
        raise failure
    if is_spent:
        kept = tuple([field for field in reply.headers if field[0] != b"x-should-retry"])
        reply.headers = (*kept, (b"x-should-retry", b"false"))
    return reply


def _tried_before(call: Call) -> int:
    """How often the caller's SDK has tried this call already: it says so."""
    said = call.fields.get(b"x-stainless-retry-count", b"")
    return int(said) if said.isdigit() and len(said) < 4 else 0


def _may_repeat(call: Call) -> bool:
    """Whether doing it twice does no harm but cost: a message, a count, a read."""
    return call.method in ("GET", "HEAD") or call.endpoint.name in ("messages", "count_tokens")
