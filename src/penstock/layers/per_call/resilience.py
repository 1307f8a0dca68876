"""Resilience: try again where that can help, go on to the next candidate where it cannot, within deadline and budget.

The hinge between what happens once per call and once per attempt. The beginning of a stream is held back until its
first content, and a whole answer until its end, so that what breaks before then is tried again unseen. Every wait,
skip and hop is on the trail.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...call import LEAST_S, Call, Candidate, Fact
from ...config.schema import ResilienceConfig
from ...errors import Refused, Unavailable, UpstreamFailed
from ...layer import Next
from ...ports import Ports
from ...record import Record
from ...recovery.attempts import Attempts, Tried, lost
from ...recovery.breaker import Breaker, Permit, Verdict
from ...recovery.handover import handed_over
from ...recovery.hop import fitted
from ...recovery.patience import Count, Patience
from ...recovery.substitute import substitute
from ...reply import Reply


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
    """An attempt failed, and this candidate gets no other. `is_spent`: neither should the caller start over."""

    kind: str
    attempt: int
    reason: str
    is_spent: bool = False

    def told(self) -> str:
        return f"Attempt {self.attempt} failed ({self.kind}); not tried again: {self.reason}."


class Skipped(Fact, frozen=True):
    """A candidate was not asked."""

    candidate: str
    reason: str

    def told(self) -> str:
        return f"{self.candidate} was not asked: {self.reason}."


class Tripped(Fact, frozen=True):
    """So many attempts failed that their circuit is open from now on."""

    circuit: str

    def told(self) -> str:
        return f"The circuit of {self.circuit} opened."


class Resilience:
    """Retries with full jitter, the upstream's own `retry-after` first; circuit breakers; fallbacks; hedging."""

    def __init__(self, config: ResilienceConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports
        self._breaker, self._attempts, self._patience = (
            Breaker(config, ports),
            Attempts(config, ports),
            Patience(config, ports),
        )

    async def __call__(self, call: Call, onward: Next) -> Reply:
        plan = call.plan
        assert plan is not None, "routing stands above resilience"
        deadline, attempt = call.began + call.timeouts.total_s, 0
        tried: Tried | None = None
        last = len(plan.candidates) - 1
        for place, candidate in enumerate(plan.candidates):
            if place and self._ports.clock.now() + LEAST_S > deadline:
                break
            is_as_asked = place == 0 and candidate.model is None
            passed = handed_over(call) if is_as_asked else self._hopped(call, place)
            if passed is None:
                continue
            named = _circuit(candidate, call)
            permit = await self._breaker.permit(named, _lease_s(call))
            if permit.verdict is Verdict.OPEN:
                call.trail.append(Skipped(named, "its circuit is open"))
                continue
            if tried is not None:
                await lost(call, tried)
            tried, attempt = await self._asked(passed, onward, named, permit, attempt, deadline, has_next=place < last)
            if tried.remedy is None and tried.reply is not None:
                return tried.reply
            if tried.remedy is not None and not tried.remedy.may_hop:
                break
        return await self._instead(call, tried)

    def _hopped(self, call: Call, place: int) -> Call | None:
        """The call as the candidate at that place takes it; None where it takes none like it, with the reason noted."""
        try:
            return fitted(call, place)
        except ValueError as reason:
            assert call.plan is not None
            call.trail.append(Skipped(_circuit(call.plan.candidates[place], call), str(reason)))
            return None

    async def _asked(
        self, call: Call, onward: Next, named: str, permit: Permit, attempt: int, deadline: float, *, has_next: bool
    ) -> tuple[Tried, int]:
        """Ask one candidate as often as is worth it. The last attempt, and how many there were so far."""
        tries = 0
        kinds: dict[str, int] = {}
        while True:
            attempt, tries = attempt + 1, tries + 1
            began = self._ports.clock.now()
            passed = self._timed(call, deadline - began, is_first=attempt == 1, has_next=has_next)
            try:
                tried = await self._attempts.made(passed, onward, may_hedge=attempt == 1)
            except Refused as refusal:
                if refusal.layer == "inspection":  # the upstream has answered, and its answer was not wanted
                    await self._note(call, Tried(), named, permit, began)
                raise
            await self._note(call, tried, named, permit, began)
            if tried.remedy is None:
                return tried, attempt
            alike = kinds[tried.remedy.kind] = kinds.get(tried.remedy.kind, 0) + 1
            count = Count(attempt, tries, alike)
            wait_s, reason, is_spent = await self._patience.wait(call, tried, count, deadline, has_next=has_next)
            if not reason:
                call.trail.append(Retried(tried.remedy.kind, attempt, round(wait_s * 1_000_000)))
                try:
                    await self._ports.clock.sleep(wait_s)
                    permit = await self._breaker.permit(named, _lease_s(call))
                except BaseException:
                    await lost(call, tried)
                    raise
                reason, is_spent = "its circuit has opened meanwhile", True
                if permit.verdict is not Verdict.OPEN:
                    await lost(call, tried)
                    continue
            call.trail.append(Stopped(tried.remedy.kind, attempt, reason, is_spent))
            return tried, attempt

    def _timed(self, call: Call, left_s: float, *, is_first: bool, has_next: bool) -> Call:
        """The call with what is left of its time. Where another follows, half of that is for beginning to answer."""
        own = call.timeouts
        first_byte_s = min(own.first_byte_s, left_s / 2) if has_next else own.first_byte_s
        if is_first and first_byte_s == own.first_byte_s:
            return call
        timeouts = replace(own, total_s=max(left_s, LEAST_S), first_byte_s=max(first_byte_s, LEAST_S))
        return replace(call, timeouts=timeouts)

    async def _note(self, call: Call, tried: Tried, named: str, permit: Permit, began: float) -> None:
        """What the attempt says of the upstream's health, for the circuit and for the budget."""
        remedy, slow_s = tried.remedy, self._config.slow_first_token_s
        is_slow = slow_s > 0 and self._ports.clock.now() - began > slow_s
        if (remedy is not None and remedy.is_outage) or (remedy is None and is_slow):
            if await self._breaker.failed(named, permit):
                call.trail.append(Tripped(named))
        elif remedy is None and self._breaker.succeeded(named, permit):
            await self._breaker.close(named)
        if remedy is None:
            await self._ports.retries.succeeded()

    async def _instead(self, call: Call, tried: Tried | None) -> Reply:
        """What the caller gets where no candidate answered well: something to say instead, or the last failure."""
        if tried is None or tried.remedy is None or tried.remedy.may_hop:
            reply = await substitute(call, self._ports)
            if reply is not None:
                if tried is not None:
                    await lost(call, tried)
                return reply
        if tried is None:
            raise await self._all_open(call)
        stopped = call.trail.last(Stopped)
        is_spent = stopped is not None and stopped.is_spent
        if tried.failure is not None:
            await lost(call, tried)
            if isinstance(tried.failure, UpstreamFailed):
                tried.failure.is_spent = is_spent
            raise tried.failure
        reply = tried.reply
        assert reply is not None, "an attempt has an answer or a failure"
        if is_spent:
            kept = tuple([field for field in reply.headers if field[0] != b"x-should-retry"])
            reply.headers = (*kept, (b"x-should-retry", b"false"))
        return reply

    async def _all_open(self, call: Call) -> Unavailable:
        """The error of a call that nobody was asked for."""
        assert call.plan is not None
        names = [_circuit(candidate, call) for candidate in call.plan.candidates]
        waits_s = [await self._breaker.opens_in_s(name) for name in names]
        incident = self._ports.status.incident()
        said = f" The provider reports: {incident}." if incident else ""
        return Unavailable(
            f"{' and '.join(dict.fromkeys(names))} failed time and again, and is left alone for a while.{said}",
            layer="resilience",
            code="circuit_open",
            fix="Call again later, or give the feature a `fallback`.",
            retry_after_s=max(1.0, min(waits_s, default=1.0)),
            may_retry=False,
        )


def _circuit(candidate: Candidate, call: Call) -> str:
    """The upstream, key and model that succeed and fail together."""
    asked = call.request.model if call.request is not None else None
    return f"{candidate.target.name} {candidate.model or asked or 'itself'}"


def _lease_s(call: Call) -> float:
    """How long a probe has the circuit for itself."""
    return min(call.timeouts.total_s, 600.0)
