"""Routing: whom to ask, in order, and how the call is to be treated: what its feature decides.

A conversation stays with one upstream and key, for prompt caches and thinking are bound to them: each ranks those it
may go to by a hash of its own (rendezvous hashing), so that nothing need be remembered, weights hold, and one that is
left out moves only the conversations it had.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from ...call import FEATURE, Call, Candidate, Fact, Plan, Policy, Target
from ...choosing.chooser import Choice, Chooser
from ...choosing.copies import Shadow, copy_for, original
from ...choosing.splits import Arm
from ...config.features import ByFeature, FeatureConfig
from ...config.schema import Config
from ...errors import PenstockError, Refused
from ...layer import Next
from ...ports import Ports
from ...prompts import Prompts
from ...record import Record
from ...reply import Ending, Reply, Tap, ending_of
from ...wire.adapting.splice import Spliced

_PLACES = 1 << 64


class Routed(Fact, frozen=True):
    """Who may be asked, in order of preference: upstreams, with the model where it is another than the one named."""

    upstreams: tuple[str, ...]
    lane: str = "interactive"

    def told(self) -> str:
        lane = "" if self.lane == "interactive" else f", in the {self.lane} lane"
        return f"Planned for {', then '.join(self.upstreams)}{lane}."


class Named(Fact, frozen=True):
    """The caller named a feature instead of a model."""

    feature: str
    model: str

    def mark(self, record: Record) -> None:
        record.model_asked = self.model

    def told(self) -> str:
        return f"It named the feature {self.feature!r}, whose model is {self.model}."


@dataclass(frozen=True, slots=True)
class Routes:
    """What plans are made of: the targets of each upstream, one for each key, and the texts that `static:` names.

    `admins` are the upstreams that can be asked for their limits, with the key for that. `prompts` are there where a
    feature has one, `schemas` are the files that forms name.
    """

    targets: Mapping[str, tuple[Target, ...]]
    texts: Mapping[str, str]
    admins: Mapping[str, Target] = field(default_factory=dict)
    prompts: Prompts | None = None
    schemas: Mapping[str, bytes] = field(default_factory=dict)


class Routing:
    """Chooses the model, and makes the plan that resilience walks."""

    def __init__(self, config: Config, routes: Routes, ports: Ports) -> None:
        self._targets = routes.targets
        own = config.routing
        names = own.among or ((config.default_upstream,) if config.default_upstream else tuple(routes.targets)[:1])
        self._first = tuple(target for name in names for target in routes.targets.get(name, ()))
        features = config.features
        self._chains = ByFeature(features, lambda _, feature: _Chain(feature, routes))
        self._choosers = ByFeature(features, lambda name, feature: Chooser(name, feature, config, ports))
        self._shadows = ByFeature(features, lambda _, feature: Shadow(feature, config.quality))
        models = {name: config.quality.model(feature.model, feature.quality) for name, feature in features.items()}
        self._models = {name: model for name, model in models.items() if model is not None}

    async def __call__(self, call: Call, onward: Next) -> Reply:
        request, feature, copy = call.request, call.tags.feature, original(call)
        is_named = request is not None and request.model is not None and request.model.startswith(FEATURE)
        if is_named:
            call = named(call, self._models)
        choice, chooser = Choice(call), self._choosers(feature)
        if copy is None and not chooser.is_idle:
            choice = await chooser.chosen(call, is_named=is_named)
            call = choice.call
        chain = self._chains(feature)
        first = self._first if call.target is None else (call.target,)
        plan, routed = chain.plan(first, call)
        if choice.lane is not None:
            plan = replace(plan, policy=replace(plan.policy, lane=choice.lane))
            routed = replace(routed, lane=choice.lane)
        timeouts = call.timeouts
        if chain.timeout_s is not None and chain.timeout_s < timeouts.total_s:
            timeouts = replace(timeouts, total_s=chain.timeout_s)
        if copy is not None:
            return await onward(replace(copy_for(call, copy.model, plan), timeouts=timeouts))
        call.trail.append(routed)
        call = replace(call, plan=plan, timeouts=timeouts)
        drawn = self._shadows(feature).drawn(call)
        if drawn is not None:
            call.trail.append(drawn)
        return await (onward(call) if choice.arm is None else _heard(choice.arm, call, onward))


async def _heard(arm: Arm, call: Call, onward: Next) -> Reply:
    """The reply, of whose end the arm hears. What is refused says nothing of the model."""
    try:
        reply = await onward(call)
    except PenstockError as error:
        if ending_of(error).kind == "failed":
            arm.ended(is_failure=True)
        raise
    return reply.tap(_Hearing(arm, reply))


class _Hearing(Tap):
    __slots__ = ("_arm", "_reply")

    def __init__(self, arm: Arm, reply: Reply) -> None:
        self._arm, self._reply = arm, reply

    async def ended(self, ending: Ending) -> None:
        status = self._reply.status
        if ending.kind != "abandoned" and status != 429:
            self._arm.ended(is_failure=status >= 400 or ending.kind != "complete")


def named(call: Call, models: Mapping[str, str]) -> Call:
    """The call with its feature's model in place of the feature's name. Raises Refused."""
    request, caller = call.request, call.caller
    assert request is not None and request.model is not None
    name = request.model.removeprefix(FEATURE)
    model = models.get(name)
    if model is None:
        there = ", ".join(f"{FEATURE}{known}" for known in models) or "none"
        raise _refusal(404, "no_such_feature", f"model: {request.model}", f"There are: {there}.")
    if call.tags.feature != name:
        said = f"model: {request.model}, and `x-penstock-feature` says {call.tags.feature!r}."
        raise _refusal(400, "feature_conflict", said, "Name one feature.")
    if caller is not None and caller.models is not None and model not in caller.models:
        said = f"Key {caller.key_id} may not use model {model!r}, which is that of feature {name!r}."
        raise _refusal(403, "model_not_allowed", said, f"Use one of: {', '.join(sorted(caller.models))}.")
    try:
        fields = Spliced(call.body)
    except ValueError as fault:
        raise _refusal(
            400, "malformed_body", f"The body cannot be edited: {fault}.", "Give each field once."
        ) from fault
    fields.put("model", msgspec.json.encode(model))
    call.trail.append(Named(name, model))
    return replace(call, body=fields.text, request=replace(request, model=model))


_TYPES = {400: "invalid_request_error", 403: "permission_error", 404: "not_found_error"}


def _refusal(status: int, code: str, message: str, fix: str) -> Refused:
    return Refused(message, layer="routing", code=code, fix=fix, status=status, type=_TYPES[status])


class _Chain:
    """What one feature does with a call. Plans that do not depend on the conversation are made once."""

    def __init__(self, feature: FeatureConfig, routes: Routes) -> None:
        self.timeout_s = feature.timeout_s
        hops: list[tuple[str | None, tuple[Target, ...] | None]] = []
        earlier_s, text = 0.0, None
        for entry in feature.fallback:
            kind, _, rest = entry.partition(":")
            if kind == "cached":
                earlier_s = float(rest)
            elif kind == "static":
                text = routes.texts[rest]
            else:
                model, _, upstream = entry.partition("@")
                hops.append((model or None, routes.targets.get(upstream, ()) if upstream else None))
        self._hops = tuple(hops)
        self._policy = Policy(
            lane=feature.lane,
            earlier_s=earlier_s,
            text=text,
            hops_on_refusal=feature.on_refusal != "return",
            hops_on_invalid=feature.form.invalid == "hop",
            hands_over=feature.on_refusal == "server",
            is_shared=feature.single_flight,
            reuse_s=feature.reuse_s,
            reuses_tools=feature.reuse_tools,
            hedge_after_s=feature.hedge_after_s,
        )
        self._made: dict[tuple[Target, ...], tuple[Plan, Routed]] = {}

    def plan(self, first: tuple[Target, ...], call: Call) -> tuple[Plan, Routed]:
        known = self._made.get(first)
        if known is not None:
            return known
        is_settled = len(first) == 1 and all(targets is None or len(targets) == 1 for _, targets in self._hops)
        name = b"" if is_settled else conversation(call)
        groups = [(None, first), *((model, first if targets is None else targets) for model, targets in self._hops)]
        candidates = tuple(Candidate(target, model) for model, targets in groups for target in ranked(targets, name))
        routed = Routed(tuple(map(_shown, candidates)), self._policy.lane)
        made = Plan(candidates, self._policy), routed
        if is_settled and len(self._made) < 64:  # in process a program may name hosts without end
            self._made[first] = made
        return made


def ranked(targets: Sequence[Target], name: bytes) -> Sequence[Target]:
    """The targets in the order of one conversation: each first as often as its weight says."""
    if len(targets) < 2:
        return targets

    def cost(target: Target) -> float:
        drawn = hashlib.blake2b(name + b"\0" + target.name.encode(), digest_size=8).digest()
        return -math.log((int.from_bytes(drawn) + 1) / (_PLACES + 1)) / target.weight

    return sorted(targets, key=cost)


def conversation(call: Call) -> bytes:
    """What is the same for all calls of a conversation: its session, or else its user, prompt and first message."""
    tags, request = call.tags, call.request
    if tags.session is not None:
        return b"session " + tags.session.encode()
    if request is None:
        return b""
    said = hashlib.blake2b(digest_size=16)
    for part in ((tags.user or request.user_id or "").encode(), bytes(request.system), request.first_message()):
        said.update(b"%d:" % len(part) + part)
    return said.digest()


def _shown(candidate: Candidate) -> str:
    name = candidate.target.name
    return name if candidate.model is None else f"{candidate.model} at {name}"
