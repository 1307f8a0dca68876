"""One attempt, held back until it is known to be good: a stream until its first content, all else until its end."""

from __future__ import annotations

import msgspec

from ..call import Call, Fact, Spent
from ..config.schema import ResilienceConfig
from ..errors import PenstockError, Refused, UpstreamFailed
from ..layer import Next
from ..ports import Ports, Race
from ..reply import Reply
from ..wire import remedies
from ..wire.remedies import BUSY, INVALID, REFUSAL, Remedy

#: What is held back.
_HELD = ("messages", "count_tokens")
#: How the layer that judges answers says that one is not of its form.
_IS_INVALID = (b"x-penstock-outcome", b"invalid")


class Hedged(Fact, frozen=True):
    """A second attempt was begun beside the first."""

    after_us: int

    def told(self) -> str:
        return f"No answer had begun after {self.after_us / 1e6:.2f} s; asked a second time beside it."


class Tried(msgspec.Struct):
    """What came of one attempt: a reply, a failure, or a reply that failed.

    `remedy` is None for a good one. `asked_s`: how long the upstream asks to wait, in seconds.
    """

    reply: Reply | None = None
    failure: PenstockError | None = None
    remedy: Remedy | None = None
    asked_s: float | None = None


async def lost(call: Call, tried: Tried) -> None:
    """Let go of a reply that nobody will get. What it is known to have used is noted, for it may be billed."""
    reply, tried.reply = tried.reply, None
    if reply is None:
        return
    answer = reply.answer
    if reply.status < 400 and answer.usage is not None and not answer.is_early_refusal:
        asked = call.request.model if call.request is not None else None
        usage = reply.reading.estimated_usage() or answer.usage
        spent = Spent(msgspec.structs.replace(usage), answer.model or asked or "", is_exact=answer.is_whole)
        call.trail.append(spent)
    await reply.aclose()


class Attempts:
    """Makes attempts, and says what came of each."""

    def __init__(self, config: ResilienceConfig, ports: Ports) -> None:
        self._config, self._ports = config, ports

    async def made(self, call: Call, onward: Next, *, may_hedge: bool) -> Tried:
        """One attempt, or with `may_hedge` two of them where the call's policy wants that.

        Raises only what no other attempt could mend.
        """
        after_s = _hedge_after_s(call) if may_hedge else None
        return await (self._once(call, onward) if after_s is None else self._hedged(call, onward, after_s))

    async def _once(self, call: Call, onward: Next) -> Tried:
        reply: Reply | None = None
        try:
            reply = await onward(call)
            if reply.status >= 400:
                return await self._judged(reply)
            if call.endpoint.name in _HELD:
                return await self._begun(call, reply)
            return Tried(reply)
        except UpstreamFailed as error:
            return Tried(reply, error, remedies.of_failure(error.code))
        except Refused as error:
            if error.layer != "pacing":
                raise
            return Tried(None, error, BUSY, error.retry_after_s)

    async def _begun(self, call: Call, reply: Reply) -> Tried:
        """Look into an answer until its first content, or to its end where it is no stream. Raises UpstreamFailed."""
        answer = reply.answer
        if not answer.is_stream:
            while await reply.look():
                pass
        else:
            ends = self._ports.clock.now() + self._config.hold_s
            while not (answer.has_content or answer.error_type or answer.stop_reason):
                left_s = ends - self._ports.clock.now()
                if left_s <= 0 or not await reply.look(left_s):
                    break
        policy = call.plan.policy if call.plan is not None else None
        if policy is not None and policy.hops_on_invalid and _IS_INVALID in reply.headers:
            return Tried(reply, None, INVALID)
        if answer.has_content and answer.is_stream:
            return Tried(reply)
        if answer.error_type is not None:
            code, said = answer.error_code, answer.error_message
            return Tried(reply, None, remedies.of_answer(200, answer.error_type, code, said, None))
        # A stream that says nothing known is passed as it is: it may be of a kind that is not known yet.
        is_known = not answer.is_stream or answer.usage is not None or not reply.has_ahead
        if is_known and reply.is_all_ahead and not answer.is_whole:
            raise UpstreamFailed("The answer ended before it was complete.", code="cut", fix="Retry the call.")
        is_declined = answer.stop_reason == "refusal" and policy is not None and policy.hops_on_refusal
        return Tried(reply, None, REFUSAL) if is_declined else Tried(reply)

    async def _judged(self, reply: Reply) -> Tried:
        """An error answer read to its end: what it calls for, how long it asks to wait. Raises UpstreamFailed."""
        while await reply.look():
            pass
        answer, fields = reply.answer, dict(reply.headers)
        remedy = remedies.of_answer(
            reply.status, answer.error_type, answer.error_code, answer.error_message, fields.get(b"x-should-retry")
        )
        asked_s = remedies.retry_after_s(
            fields.get(b"retry-after-ms"), fields.get(b"retry-after"), self._ports.clock.wall_us() / 1e6
        )
        return Tried(reply, None, remedy, asked_s)

    async def _hedged(self, call: Call, onward: Next, after_s: float) -> Tried:
        """The first attempt, and a second one beside it where that has not begun in time and the budget allows it."""

        async def second() -> Tried:
            if not await self._ports.retries.take():
                return Tried(remedy=BUSY)
            call.trail.append(Hedged(round(after_s * 1_000_000)))
            return await self._once(call, onward)

        race: Race[Tried] = Race(after_s, lambda tried: tried.remedy is None, lambda tried: lost(call, tried))
        return await self._ports.tasks.first(lambda: self._once(call, onward), second, race)


def _hedge_after_s(call: Call) -> float | None:
    """When to ask a second time; None for calls that are never asked twice at once: those with tools, whatever else."""
    policy = call.plan.policy if call.plan is not None else None
    if policy is None or policy.hedge_after_s is None or call.endpoint.name != "messages":
        return None
    return None if call.request is None or bytes(call.request.tools) else policy.hedge_after_s
