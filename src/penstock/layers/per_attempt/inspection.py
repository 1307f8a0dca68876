"""Inspection: is the answer allowed, by what its feature's guards look for in it.

A whole answer is looked at before any of it leaves, a stream as it passes, with as much held back as decides whether
something begins. What cannot be looked at does not pass. What is refused here has been paid for, and is billed.
"""

from __future__ import annotations

import msgspec

from ...aside import Unanswered, asked
from ...call import Call, Fact, Spent
from ...config.features import ByFeature
from ...config.schema import Config
from ...errors import Refused, UpstreamFailed
from ...guards.answers import sifted
from ...guards.events import EventGate
from ...guards.judging import judgement, verdict
from ...guards.output import Sieve, Sifting
from ...guards.runnable import sieve_of
from ...layer import Next
from ...ports import Ports
from ...recovery.attempts import Tried, lost
from ...reply import Ending, Reply

_UNREADABLE = "it came in a form that cannot be looked at"


class Inspected(Fact, frozen=True):
    """The guards of the feature's answers ran.

    `over`: answer | stream | whole stream. `characters` is how many they looked at, `held_back` how many of a stream
    were held back at most, `found` how often which kind; never what. `classified` is what a classifier said: yes, no,
    or unanswered.
    """

    guards: tuple[str, ...]
    over: str
    characters: int
    held_back: int = 0
    found: dict[str, int] = msgspec.field(default_factory=dict)
    classified: str | None = None
    is_scrubbed: bool = False

    def told(self) -> str:
        found = [f"{count} {kind}" for kind, count in self.found.items()]
        found += [f"the classifier said {self.classified}"] if self.classified is not None else []
        said = f"{'; '.join(found)}{', scrubbed' if self.is_scrubbed else ''}" if found else "nothing"
        held = f", {self.held_back:,} held back at most" if self.over == "stream" else ""
        return (
            f"Guards of the output ({', '.join(self.guards)}) looked at {self.characters:,} characters"
            f" of the {self.over}{held}: {said}."
        )


class Withheld(Fact, frozen=True):
    """The caller did not get the answer. With `is_spent`, what it used stands beside this, and nothing else cost."""

    why: str
    is_spent: bool

    def is_free(self) -> bool:
        return self.is_spent

    def told(self) -> str:
        return f"The answer was withheld: {self.why}."


class Inspection:
    """Runs the guards of answers. Raises ConfigError where one of them cannot run on what its feature gets."""

    def __init__(self, config: Config, ports: Ports) -> None:
        self._sieve_of, self._clock = ByFeature(config.features, sieve_of), ports.clock
        self._is_on = any(feature.output.is_on for feature in config.features.values())

    async def __call__(self, call: Call, onward: Next) -> Reply:
        sieve = self._sieve_of(call.tags.feature) if self._is_on and call.aside is None else None
        if sieve is None:
            return await onward(call)
        name, began = call.endpoint.name, self._clock.now()
        if name == "batches" and call.method == "POST" and sieve.config.batches == "refuse":
            _check_batch(call)
        reply = await onward(call)
        if name != "messages" or reply.status >= 300:
            return reply
        sifting = Sifting(sieve)
        if not _may_be_read(reply):
            raise await _withheld(call, reply, _UNREADABLE, code="guard_cannot_run")
        if reply.answer.is_stream and sieve.config.streams == "follow":
            return reply.gate(_gate(call, sieve, sifting))
        body = await _whole(call, reply)
        try:
            kept = _sifted(call, reply, body, sifting)
        except (ValueError, RecursionError, msgspec.DecodeError):
            raise await _withheld(call, reply, _UNREADABLE, code="guard_cannot_run") from None
        said = None
        if kept is not None and any(sifting.texts):
            said = await self._classified(call.later(self._clock.now() - began), onward, sieve, sifting)
        over = "whole stream" if reply.answer.is_stream else "answer"
        found = dict(sifting.found)
        call.trail.append(
            Inspected(sieve.guards, over, sifting.characters, 0, found, said, sifting.is_scrubbed),
        )
        if kept is None:
            raise await _withheld(call, reply, _holds(sifting))
        warned = sifting.warns
        done = {"yes": sieve.config.classified, "unanswered": sieve.config.unclassified}.get(said or "no")
        if done == "block":
            why = "a classifier said yes of it" if said == "yes" else "the classifier gave no answer about it"
            raise await _withheld(call, reply, why)
        if done == "warn":
            warned.append("classifier")
        if kept != body:
            reply.put(kept)
        if warned:
            reply.headers = (*reply.headers, (b"x-penstock-warning", f"output: {', '.join(warned)}".encode()))
        return reply

    async def _classified(self, call: Call, onward: Next, sieve: Sieve, sifting: Sifting) -> str:
        """What the classifier says of the answer's texts: yes, no, or unanswered."""
        config = sieve.config
        assert config.question is not None, "texts are kept for a question alone"
        body = judgement(config.classifier, config.question, "\n\n".join(sifting.texts))
        try:
            said = await asked(call, onward, self._clock, aside="judgement", body=body)
        except Unanswered:
            return "unanswered"
        return {True: "yes", False: "no", None: "unanswered"}[verdict(said.text)]


def _check_batch(call: Call) -> None:
    """Raises Refused for a new batch: its results come later, to whoever asks for them, past any guard."""
    if call.path.rstrip("/").endswith("/cancel"):
        return
    feature = call.tags.feature or "default"
    raise Refused(
        f"The guards of the output of feature {feature!r} cannot run on a batch.",
        layer="inspection",
        code="guard_cannot_run",
        fix=f'Send its requests one by one, or set `batches = "unguarded"` under [features.{feature}.output].',
        status=403,
        type="permission_error",
    )


def _may_be_read(reply: Reply) -> bool:
    """Whether the body is JSON or events, as they are: neither compressed nor a cloud's own frames."""
    fields = dict(reply.headers)
    kind = fields.get(b"content-type", b"").lower()
    coding = fields.get(b"content-encoding", b"").strip().lower()
    return coding in (b"", b"identity") and not kind.startswith(b"application/vnd.amazon.eventstream")


def _gate(call: Call, sieve: Sieve, sifting: Sifting) -> EventGate:
    """The gate of a stream that is looked at as it passes."""

    def refusal() -> Refused:
        if sifting.is_blocked:
            return _refused(call, _holds(sifting))
        return _refused(call, _UNREADABLE, code="guard_cannot_run")

    def told(gate: EventGate) -> None:
        found, held = dict(sifting.found), gate.held_most
        call.trail.append(
            Inspected(sieve.guards, "stream", sifting.characters, held, found, None, sifting.is_scrubbed),
        )

    return EventGate(sifting, refusal, told)


async def _whole(call: Call, reply: Reply) -> bytes:
    """The answer read to its end. Raises UpstreamFailed where it broke off, with what it used noted."""
    try:
        body = await reply.looked()
        if not reply.answer.is_whole and reply.answer.error_type is None:
            raise UpstreamFailed("The answer ended before it was complete.", code="cut", fix="Retry the call.")
    except UpstreamFailed:
        await lost(call, Tried(reply))
        raise
    return body


def _sifted(call: Call, reply: Reply, body: bytes, sifting: Sifting) -> bytes | None:
    """A whole body as the caller may have it; None where they may not.

    Raises ValueError, RecursionError or msgspec.DecodeError where it cannot be looked at.
    """
    if not reply.answer.is_stream:
        kept = sifted(body, sifting)
        return None if sifting.is_blocked else kept
    gate = EventGate(sifting, lambda: _refused(call, _UNREADABLE), lambda gate: None)
    kept = gate.passed(body) + gate.flushed(Ending("complete" if reply.answer.is_whole else "truncated"))
    if gate.shut is not None and not sifting.is_blocked:
        raise ValueError(_UNREADABLE)
    return None if sifting.is_blocked else kept if sifting.is_scrubbed else body


def _holds(sifting: Sifting) -> str:
    return f"it has what its feature does not allow ({', '.join(sifting.blocking)})"


def _refused(call: Call, why: str, *, code: str = "output_blocked") -> Refused:
    feature, is_ours = call.tags.feature or "default", code == "output_blocked"
    fix = f"Ask for something else, or change [features.{feature}.output]."
    return Refused(
        f"The answer was withheld: {why}.",
        layer="inspection",
        code=code,
        fix=fix if is_ours else "Ask another upstream: this one's answers cannot be guarded.",
        status=403 if is_ours else 502,
        type="permission_error" if is_ours else "api_error",
    )


async def _withheld(call: Call, reply: Reply, why: str, *, code: str = "output_blocked") -> Refused:
    """The refusal of an answer, once it has been let go and what it used is noted."""
    answer, usage = reply.answer, reply.answer.usage
    if usage is not None and not answer.is_early_refusal:
        asked_for = call.request.model if call.request is not None else None
        model = answer.model or asked_for or ""
        call.trail.append(Spent(msgspec.structs.replace(usage), model, is_exact=answer.is_whole))
    call.trail.append(Withheld(why, is_spent=usage is not None))
    await reply.aclose()
    return _refused(call, why, code=code)
