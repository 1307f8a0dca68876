"""Structure: is the answer whole, and of the form that its feature wants.

The API is asked for the form where it can be; whatever came is judged. Why an answer ended decides first: one that was
cut off, declined or paused is none to be read. A wrong one goes back to the model with its errors, within bounds and
within the call's time, and the caller gets what came of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ...call import LEAST_S, Call, Spent
from ...config.features import ByFeature
from ...config.schema import Config
from ...errors import Refused, UpstreamFailed, rendered
from ...form import Wanted
from ...layer import Next
from ...ports import Clock
from ...recovery.attempts import Tried, lost
from ...reply import Reply, Tap, Whole
from ...structure.asking import asked_again, formatted, may_want
from ...structure.judging import Verdict, judged, note
from ...structure.schema import wanted_of
from ...wire.messages import Usage
from ...wire.reading import reading

OUTCOME = b"x-penstock-outcome"

_READABLE = (b"application/json", b"text/event-stream")


class Structure:
    """Judges answers by the form of their feature, or that of the program that asks. `schemas` are by name."""

    def __init__(self, config: Config, schemas: Mapping[str, bytes], clock: Clock) -> None:
        """Raises ConfigError for a schema that cannot be used."""
        self._wanted = ByFeature(config.features, lambda name, feature: wanted_of(name, feature.form, schemas))
        self._clock = clock

    async def __call__(self, call: Call, onward: Next) -> Reply:
        if call.endpoint.name != "messages" or call.aside is not None:
            return await onward(call)
        wanted = call.wanted or self._wanted(call.tags.feature)
        if wanted is None or not may_want(call):
            return await onward(call)
        began = self._clock.now()
        call = formatted(call, wanted.form)
        reply = await onward(call)
        if not _is_readable(reply):
            return reply
        if reply.answer.is_stream and not wanted.holds:
            return reply.tap(_Watching(call, reply, wanted))
        held = await _held(call, reply)
        if held is None:
            return reply
        return await _Desk(call, onward, wanted, self._clock, began).settled(held)


class _Held(msgspec.Struct, frozen=True):
    """An answer held whole: its bytes, a reply that has still to be given, and what it used."""

    body: bytes
    reply: Reply
    model: str
    usage: Usage | None

    @property
    def is_stream(self) -> bool:
        return self.reply.answer.is_stream


class _Desk:
    """One call at which answers are judged, and sent back."""

    def __init__(self, call: Call, onward: Next, wanted: Wanted, clock: Clock, began: float) -> None:
        self._call, self._onward, self._wanted = call, onward, wanted
        self._clock, self._began = clock, began

    async def settled(self, held: _Held) -> Reply:
        """The reply for the caller: the first answer, or what it was mended to."""
        call, verdict = self._call, self._judged(held)
        took_s, repairs, why = self._clock.now() - self._began, 0, None
        while verdict.outcome == "invalid" and repairs < self._wanted.repairs and why is None:
            since_s = self._clock.now() - self._began
            if verdict.said is None:
                why = "what it said cannot be repeated"
            elif call.timeouts.total_s - since_s < max(took_s, LEAST_S):
                why = "no time was left"
            else:
                try:
                    call = asked_again(call, verdict.said, verdict.flaws, self._wanted.form)
                    repairs += 1
                    other = await self._asked(call.later(since_s))
                except (Refused, UpstreamFailed, ValueError) as fault:
                    why = getattr(fault, "message", "its request cannot be added to")
                    break
                found = self._judged(other)
                if found.outcome in ("valid", "invalid"):
                    held, verdict, other = other, found, held
                else:
                    why = f"the answer to that was {found.outcome or 'none'}"
                _spend(self._call, other)
        outcome = note(self._call, verdict, repairs=repairs, unrepaired=why)
        if outcome == "invalid" and self._wanted.invalid == "refuse":
            _spend(self._call, held)
            return _refusal(self._call, repairs)
        if outcome is not None:
            kept = tuple([field for field in held.reply.headers if field[0] != OUTCOME])
            held.reply.headers = (*kept, (OUTCOME, outcome.encode()))
        return held.reply

    def _judged(self, held: _Held) -> Verdict:
        answer = held.reply.answer
        return judged(self._wanted.form, answer.stop_reason, held.body, is_stream=held.is_stream)

    async def _asked(self, call: Call) -> _Held:
        """Another answer. Raises Refused or UpstreamFailed where none came."""
        reply = await self._onward(call)
        held = await _held(call, reply) if _is_readable(reply) else None
        if held is None:
            await lost(call, Tried(reply))
            raise UpstreamFailed(f"it was answered with status {reply.status}", code="bad_answer")
        return held


async def _held(call: Call, reply: Reply) -> _Held | None:
    """An answer read to its end; None, and all of it still to be given, where it is an error.

    It is read before anything else is asked for, so that what it holds below is given back. Raises UpstreamFailed where
    it breaks: nobody has seen any of it, and it may be tried again.
    """
    answer = reply.answer
    try:
        while await reply.look():
            pass
        if answer.error_type is None and not answer.is_whole:
            raise UpstreamFailed("The answer ended before it was complete.", code="cut", fix="Retry the call.")
    except UpstreamFailed:
        await lost(call, Tried(reply))
        raise
    if answer.error_type is not None:
        return None
    body, usage = await reply.read(), answer.usage
    follow = reading(call.endpoint, reply.status, reply.headers)
    again = Reply(reply.status, reply.headers, Whole([body]), reading=follow, request_id=reply.request_id)
    while await again.look():
        pass
    model = answer.model or (call.request.model if call.request is not None else None)
    return _Held(body, again, model or "", usage)


class _Watching(Tap):
    """Judges a stream that passes, with its last chunk: what is on the trail by then is on the record."""

    __slots__ = ("_call", "_chunks", "_is_judged", "_reply", "_wanted")

    def __init__(self, call: Call, reply: Reply, wanted: Wanted) -> None:
        self._call, self._reply, self._wanted = call, reply, wanted
        self._chunks: list[bytes] = []
        self._is_judged = False

    def saw(self, chunk: bytes) -> None:
        self._chunks.append(chunk)
        answer = self._reply.answer
        if answer.is_whole and not self._reply.has_ahead and not self._is_judged:
            self._is_judged = True
            body = b"".join(self._chunks)
            note(self._call, judged(self._wanted.form, answer.stop_reason, body, is_stream=True))


def _is_readable(reply: Reply) -> bool:
    fields = dict(reply.headers)
    is_plain = fields.get(b"content-encoding", b"identity") in (b"", b"identity")
    return reply.status == 200 and is_plain and fields.get(b"content-type", b"").lower().startswith(_READABLE)


def _spend(call: Call, held: _Held) -> None:
    """An answer that the caller will not get. It is paid for."""
    if held.usage is not None and not held.reply.answer.is_early_refusal:
        call.trail.append(Spent(msgspec.structs.replace(held.usage), held.model, is_exact=True))


def _refusal(call: Call, repairs: int) -> Reply:
    """An answer rather than an exception: what it is instead of was answered, and its cost is known."""
    feature = call.tags.feature or "default"
    asked = "" if not repairs else f", though it was asked for {repairs + 1} times"
    error = Refused(
        f"The answer is not of the form that feature {feature!r} wants{asked}.",
        layer="structure",
        code="answer_invalid",
        fix=f"See what is wrong with `penstock explain {call.id}`, or set `invalid` under [features.{feature}.form].",
        status=422,
        type="invalid_request_error",
    )
    status, headers, body = rendered(error, call.id)
    headers = (*headers, (OUTCOME, b"invalid"))
    follow = reading(call.endpoint, status, headers)
    return Reply(status, headers, Whole([body]), reading=follow, request_id=call.id)
