"""Caching: marks for the prompt cache where a prefix comes again, in calls that have none of their own.

What to mark is the planner's business, which remembers what calls began with. A call that is marked differs by its
marks alone, and they are not part of what the model reads.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...caching.fingerprint import TooShort, fingerprint
from ...caching.marking import marked, shown
from ...caching.planner import Planned, Planner
from ...call import Call, Fact
from ...config.caching import CacheConfig
from ...config.features import ByFeature
from ...config.schema import Config
from ...layer import Next
from ...ports import Clock, Ports
from ...reply import Ending, Reply, Tap
from ...wire.messages import read_request


class Marked(Fact, frozen=True):
    """Cache marks were placed: where, each with its lifetime, and what was expected of them, in tokens."""

    marks: tuple[tuple[str, str], ...]
    read_tokens: int
    written_tokens: int

    def told(self) -> str:
        places = ", ".join(f"{place} ({life})" for place, life in self.marks)
        expected = f"about {self.read_tokens:,} tokens from the cache, {self.written_tokens:,} written to it"
        return f"Marked for the prompt cache: {places}; expected were {expected}."


class Unmarked(Fact, frozen=True):
    """The upstream refused the marks, so the call was sent again without them."""

    def told(self) -> str:
        return (
            "The upstream takes no cache marks: the call was sent again as it came, and for an hour others go unmarked."
        )


class Caching:
    """Marks calls to the Messages endpoint. Without a word in the config it does so for every feature."""

    def __init__(self, config: Config, ports: Ports) -> None:
        self._clock, self._salt, self._planner = ports.clock, ports.salt, Planner()
        self._configs = ByFeature(config.features, lambda _, feature: feature.cache)

    async def __call__(self, call: Call, onward: Next) -> Reply:
        planned = self._planned(call)
        if planned is None:
            if self._salt and b'"cache_control"' in call.body and call.endpoint.name == "messages":
                call.trail.append(TooShort())
            return await onward(call)
        planner, clock, started_s = self._planner, self._clock, self._clock.now()
        sent = _with_marks(call, planned)
        if sent is call:
            planned = planner.unmarked(planned)
        self._keep(sent, planned)
        try:
            reply = await onward(sent)
            if sent is not call and reply.status == 400 and await _is_about_marks(reply):
                await reply.aclose()
                planner.failed(planned)
                planner.pause(planned, clock.now())
                call.trail.append(Unmarked())
                return await onward(call)
        except BaseException:
            planner.failed(planned)
            raise
        if reply.status != 200:
            planner.failed(planned)
            return reply
        planner.begun(planned, started_s, clock.now())
        return reply.tap(_Usage(planner, planned, reply, clock)) if planned.marks else reply

    def _planned(self, call: Call) -> Planned | None:
        """The call's prompt and what to mark of it; None where the cache is no matter to it."""
        if call.endpoint.name != "messages" or call.request is None or call.aside is not None or call.plan is None:
            return None
        config: CacheConfig = self._configs(call.tags.feature)
        target = call.plan.candidates[0].target
        return self._planner.plan(
            call.request,
            call.body,
            scope=target.name,
            feature=call.tags.feature or "default",
            now_s=self._clock.now(),
            at_us=self._clock.wall_us(),
            ttl=config.ttl,
            is_on=config.marks == "auto",
            salt=self._salt,
        )

    def _keep(self, sent: Call, planned: Planned) -> None:
        """Leave on the trail what the prompt was like, for `penstock cache doctor`."""
        placed = {mark.at: mark.life for mark in planned.marks}
        fact = fingerprint(sent, planned.prefix, placed, self._salt)
        if fact is not None:
            sent.trail.append(fact)


class _Usage(Tap):
    """Tells the planner at the end what the answer says it read and wrote."""

    __slots__ = ("_clock", "_planned", "_planner", "_reply")

    def __init__(self, planner: Planner, planned: Planned, reply: Reply, clock: Clock) -> None:
        self._planner, self._planned, self._reply, self._clock = planner, planned, reply, clock

    def saw(self, chunk: bytes) -> None:
        pass

    async def ended(self, ending: Ending) -> None:
        usage = self._reply.answer.usage
        if usage is not None:
            self._planner.ended(self._planned, usage, self._clock.now())


def _with_marks(call: Call, planned: Planned) -> Call:
    """The call with its marks; the very same where there are none, or where a field is given twice."""
    if not planned.marks:
        return call
    try:
        body = marked(call.body, planned.marks)
    except ValueError:
        return call
    marks = tuple((shown(mark.place), mark.life) for mark in planned.marks)
    call.trail.append(Marked(marks, planned.read_tokens, planned.written_tokens))
    return replace(call, body=body, request=read_request(body))


async def _is_about_marks(reply: Reply) -> bool:
    """Whether a refusal names the marks. It is read ahead, so that it is still there for the caller."""
    while await reply.look():
        pass
    return "cache_control" in (reply.answer.error_message or "")
