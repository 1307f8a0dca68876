"""Context: does the conversation fit the model chosen, and the limits of its feature; what is beyond them goes.

Once per attempt, as a fallback may have a smaller window. What must stay whole, what is chosen and how it is edited is
in `penstock.context`; what became of it is on the trail.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ...aside import Unanswered
from ...call import Call, Fact
from ...config.context import ContextConfig
from ...config.features import ByFeature
from ...config.schema import Config
from ...context import serverside
from ...context.choosing import Choice, Limits, Weighed, chosen, oldest
from ...context.editing import edited, first_changed, kept, thoughtless
from ...context.importance import worth_of
from ...context.limits import is_small, limits_of
from ...context.summaries import ROOM_TOKENS, Summaries, Summed
from ...context.thinking import Sent, is_bound, is_misplaced, plain
from ...context.turns import Conversation, Unreadable, read
from ...context.weights import Weights
from ...errors import Refused
from ...layer import Next
from ...ports import Clock
from ...reply import Ending, Reply, Tap
from ...wire.messages import Request, read_request

_FOR = ("messages", "count_tokens")


class Pruned(Fact, frozen=True):
    """Something was left out of a conversation: so many exchanges, attachments, and blocks of thinking.

    Tokens are estimates. `summary` is "made" or "known", or why there is none; empty where none was wanted.
    `is_over`: what had to stay is still beyond a limit.
    """

    beyond: str
    exchanges: int
    kept: int
    attachments: int
    thoughts: int
    tokens_before: int
    tokens_after: int
    summary: str = ""
    is_over: bool = False

    def told(self) -> str:
        gone = [(self.exchanges, "exchanges"), (self.attachments, "images and documents"), (self.thoughts, "thoughts")]
        left = ", ".join(f"{count} {name}" for count, name in gone if count) or "nothing"
        said = f"Left out of the conversation: {left}; {self.kept} exchanges stayed. It went from about "
        said += f"{self.tokens_before:,} tokens to {self.tokens_after:,}"
        said += ", which is still beyond a limit." if self.is_over else "."
        how = {"made": "Its summary was written.", "known": "Its summary was known.", "": ""}
        word = how.get(self.summary, f"It has no summary: {self.summary}.")
        return f"{said} {word}".rstrip()


class Unpruned(Fact, frozen=True):
    """A conversation that may be beyond a limit went on as it came."""

    reason: str

    def told(self) -> str:
        return f"The conversation was left as it is: {self.reason}."


class Delegated(Fact, frozen=True):
    """The API was asked to manage the context itself, by these edits."""

    edits: tuple[str, ...]

    def told(self) -> str:
        return f"The API was asked to manage the context itself: {', '.join(self.edits)}."


class _Cut(NamedTuple):
    """A conversation, what it weighs, its limits, and what was chosen of it."""

    talk: Conversation
    weighed: Weighed
    limits: Limits
    choice: Choice


class Context:
    """Keeps conversations within limits. What it remembers is this process's."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._configs = ByFeature(config.features, lambda name, feature: feature.context)
        self._weights, self._sent = Weights(), Sent()
        self._summaries = Summaries(clock)

    async def __call__(self, call: Call, onward: Next) -> Reply:
        config, request = self._configs(call.tags.feature), call.request
        is_ours = call.endpoint.name in _FOR and call.aside is None and config.is_on
        if not is_ours or request is None or request.model is None or not request.messages:
            return await onward(call)
        fitted, weight = await self._fitted(call, request, request.model, onward, config)
        reply = await onward(fitted)
        if reply.status == 400 and b'"signature"' in fitted.body and is_bound(request.model, call.body):
            while await reply.look():
                pass
            if is_misplaced(reply.answer.error_message):
                # No retry of the same body could succeed. Its thoughts came from another process, or from before the
                # config changed: once more, without those that are not known to be good.
                self._sent.went_adrift(request)
                await reply.aclose()
                fitted, weight = await self._fitted(call, request, request.model, onward, config)
                reply = await onward(fitted)
        if weight and call.endpoint.name == "messages":
            return reply.tap(_Learning(self._weights, request.model, weight, reply))
        return reply

    async def _fitted(
        self, call: Call, request: Request, model: str, onward: Next, config: ContextConfig
    ) -> tuple[Call, int]:
        """The call within the limits, and its weight, 0 where it was not weighed. Raises Refused."""
        if config.beyond == "server" and serverside.may_ask(call):
            return self._delegated(call, config), 0
        binds = is_bound(model, call.body)
        is_adrift = binds and self._sent.is_adrift(request)
        limits = limits_of(config, request, model, self._weights.factor(model), binds=binds)
        if is_small(request, len(call.body), limits) and not is_adrift:
            return call, 0
        try:
            if serverside.is_callers_own(call, with_blocks=True):
                raise Unreadable("its caller has the API manage it")
            talk = read(request.messages)
            weighed = self._weighed(talk, request, call.body, model)
            choice = chosen(talk, weighed, limits, worth_of(talk) if config.beyond == "importance" else oldest)
            is_whole = not choice.exchanges and not choice.attachments
            if config.beyond == "refuse" and (choice.is_over or not is_whole):
                raise _too_long(config, call.tags.feature)
            if is_whole and choice.is_over:
                call.trail.append(Unpruned("it is beyond a limit, and all of it has to stay"))
            if is_whole and not is_adrift:
                return call, choice.tokens
            cut = _Cut(talk, weighed, limits, choice)
            return await self._made(call, request, model, cut, onward, config)
        except (ValueError, msgspec.DecodeError, RecursionError) as fault:
            call.trail.append(Unpruned(str(fault) if isinstance(fault, Unreadable) else "its body cannot be edited"))
            return call, 0

    async def _made(
        self, call: Call, request: Request, model: str, cut: _Cut, onward: Next, config: ContextConfig
    ) -> tuple[Call, int]:
        """The call with what was chosen, and its weight. Raises ValueError where its body cannot be edited."""
        talk, weighed, _, choice = cut
        text, took_s, summary = None, 0.0, ""
        if config.beyond == "summarise" and choice.exchanges:
            try:
                summed = await self._summed(call, cut, onward, config)
                text, took_s = summed.text, summed.took_s or 0.0
                summary = "known" if summed.took_s is None else "made"
            except Unanswered as reason:
                summary = str(reason)
        turns, thoughts = kept(talk, choice, text), 0
        if is_bound(model, call.body):
            first = 0 if self._sent.is_adrift(request) else first_changed(talk, turns)
            lost = self._sent.unbound(_frame(call, request, model), talk.turns, turns, first)
            turns, thoughts = thoughtless(turns, lost)
        body = edited(call.body, turns)
        if body == call.body:
            return call, choice.tokens
        factor, stayed = self._weights.factor(model), len(talk.begins) - len(choice.exchanges)
        counts = (len(choice.exchanges), stayed, len(choice.attachments), thoughts)
        weight = weighed.frame + sum(self._weights.turn(one.raw, model) for one in turns)
        tokens = (round((weighed.frame + sum(weighed.turns)) * factor), round(weight * factor))
        call.trail.append(Pruned(config.beyond or "drop", *counts, *tokens, summary, choice.is_over))
        return replace(call.later(took_s), body=body, request=read_request(body)), weight

    async def _summed(self, call: Call, cut: _Cut, onward: Next, config: ContextConfig) -> Summed:
        """The summary of what is left out. Raises Unanswered."""
        most, choice = cut.limits.tokens, cut.choice
        if most is not None and choice.tokens + ROOM_TOKENS > most:
            raise Unanswered("there is no room for one")
        may_ask = call.endpoint.name == "messages"
        return await self._summaries.of(cut.talk, choice.exchanges, call, onward, config.summary_model, may_ask=may_ask)

    def _weighed(self, talk: Conversation, request: Request, body: bytes, model: str) -> Weighed:
        return Weighed(
            self._weights.frame(request, body, model),
            [self._weights.turn(raw, model) for raw in talk.raws],
            [self._weights.block(attached.block, model) for attached in talk.attachments],
        )

    def _delegated(self, call: Call, config: ContextConfig) -> Call:
        if serverside.is_callers_own(call, with_blocks=False):
            call.trail.append(Unpruned("its caller has the API manage it"))
            return call
        try:
            asking = serverside.asking(call, config.tokens)
        except ValueError:
            call.trail.append(Unpruned("its body cannot be edited"))
            return call
        call.trail.append(Delegated(asking.edits))
        return asking.call


class _Learning(Tap):
    """Tells what a request of some weight was counted as."""

    __slots__ = ("_model", "_reply", "_weight", "_weights")

    def __init__(self, weights: Weights, model: str, weight: int, reply: Reply) -> None:
        self._weights, self._model, self._weight, self._reply = weights, model, weight, reply

    async def ended(self, ending: Ending) -> None:
        usage = self._reply.answer.usage
        if usage is not None:
            self._weights.learn(self._model, self._weight, usage)


def _frame(call: Call, request: Request, model: str) -> tuple[bytes, ...]:
    """All that stands before the turns, and whose it is: a thought is good for one model, and one account."""
    target = call.plan.candidates[0].target.name if call.plan is not None else ""
    return target.encode(), model.encode(), plain(request.tools), plain(request.system)


def _too_long(config: ContextConfig, feature: str | None) -> Refused:
    limits = [(config.turns, "exchanges"), (config.tokens, "tokens"), (config.attachments_max, "images and documents")]
    said = ", ".join(f"{most:,} {name}" for most, name in limits if most is not None) or "the model's window"
    return Refused(
        f"The conversation is longer than feature {feature or 'default'!r} takes: {said}.",
        layer="context",
        code="context_too_long",
        fix=f"Begin a new one, or change `beyond` or the limits under [features.{feature or 'default'}.context].",
        status=400,
        type="invalid_request_error",
    )
