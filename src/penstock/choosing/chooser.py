"""What one feature decides about the model of a call, and where it stands on the trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..call import Call, Fact
from ..config.features import FeatureConfig
from ..config.schema import Config
from ..ports import Ports
from ..record import Record
from ..recovery.hop import moved
from ..spending.budget import Budget
from ..wire.adapting.splice import Spliced
from ..wire.messages import read_request
from .rules import Rule, rules
from .splits import Arm, Split

_CHOSEN = ("messages", "count_tokens")


class Chosen(Fact, frozen=True):
    """The model was chosen here: by a rule, by a split, or because the feature chooses for all of its calls.

    `instead_of` is the one it would have gone to, None for the same; `arm` the part of a split that the call fell to.
    """

    model: str
    because: str
    instead_of: str | None = None
    changes: tuple[str, ...] = ()
    arm: str | None = None

    def mark(self, record: Record) -> None:
        record.model_asked = self.model
        if self.arm is not None:
            record.arm = self.arm

    def told(self) -> str:
        instead = f" instead of {self.instead_of}" if self.instead_of is not None else ""
        changed = f", with {'; '.join(self.changes)}" if self.changes else ""
        return f"Goes to {self.model}{instead}{changed}, because {self.because}."


class Unfit(Fact, frozen=True):
    """A model that a rule or a split names was passed over."""

    model: str
    reason: str

    def told(self) -> str:
        return f"{self.model} was not chosen: {self.reason}."


class Choice(NamedTuple):
    """A call as it goes on. `lane` is None for the feature's own; `arm` is there where it is to hear of the end."""

    call: Call
    lane: str | None = None
    arm: Arm | None = None


class Chooser:
    """The choice of one feature."""

    def __init__(self, name: str, feature: FeatureConfig, config: Config, ports: Ports) -> None:
        budgets: Mapping[str, Budget] = {own.title: Budget(own) for own in config.budgets}
        self.model = config.quality.model(feature.model, feature.quality)
        self._is_for_all = feature.chooses == "all"
        self._rules = rules((*feature.routes, *config.routes), feature.task, config.quality, budgets, ports)
        self._split = Split(name, feature.split, config.quality) if feature.split.arms else None
        #: Whether a call that has its feature's model is to be looked at at all.
        self.is_idle = not self._rules and self._split is None and not (self._is_for_all and self.model is not None)

    async def chosen(self, call: Call, *, is_named: bool) -> Choice:
        """The call for the model it is to go to. `is_named`: its caller named the feature, whose model it has now."""
        if not (is_named or self._is_for_all) or call.endpoint.name not in _CHOSEN:
            return Choice(call)
        if call.request is None or call.request.model is None:
            return Choice(call)
        for rule in self._rules:
            reason = await rule.because(call)
            if reason is not None:
                made = self._by_rule(call, rule, reason)
                if made is not None:
                    return made
        if self._split is not None and _may_have(call, self._split.models):
            return self._by_split(call, self._split)
        own = self._own(call)
        if own == call.request.model:
            return Choice(call)
        return Choice(_gone(call, own, "its feature chooses for all of its calls") or call)

    def _own(self, call: Call) -> str:
        """The model of calls that nothing else is decided of."""
        assert call.request is not None and call.request.model is not None
        own = self.model
        return own if own is not None and _may_have(call, (own,)) else call.request.model

    def _by_rule(self, call: Call, rule: Rule, reason: str) -> Choice | None:
        model = rule.model or self._own(call)
        if not _may_have(call, (model,)):
            call.trail.append(Unfit(model, "its key may not use it"))
            return None
        made = _gone(call, model, reason, most=rule.config.max_tokens)
        return None if made is None else Choice(made, rule.config.lane)

    def _by_split(self, call: Call, split: Split) -> Choice:
        """A call that its arm's model cannot take stays in that arm: left out, it would make the arm look better."""
        arm, own = split.arm(call), self._own(call)
        if arm is not None and arm.is_stopped:
            reason = f"arm {arm.name!r} of split {split.name!r} is stopped, as too many of its calls failed"
            return Choice(_gone(call, own, reason) or call)
        label = split.label(arm)
        made = None if arm is None else _gone(call, arm.model, f"it fell to {label!r}", arm=label)
        if made is None:
            made = _gone(call, own, f"it fell to {label!r}", arm=label) or call
        return Choice(made, arm=arm if arm is not None and arm.stop_percent else None)


def _may_have(call: Call, models: frozenset[str] | tuple[str, ...]) -> bool:
    allowed = call.caller.models if call.caller is not None else None
    return allowed is None or allowed.issuperset(models)


def _gone(call: Call, model: str, because: str, *, arm: str | None = None, most: int | None = None) -> Call | None:
    """The call as that model takes it, and a word about it on the trail; None where the model cannot take it."""
    assert call.request is not None
    was = call.request.model
    try:
        made, changes = moved(call, model)
        made, shortened = _shortened(made, most)
    except ValueError as reason:
        call.trail.append(Unfit(model, str(reason)))
        return None
    call.trail.append(Chosen(model, because, None if was == model else was, (*changes, *shortened), arm))
    return made


def _shortened(call: Call, most: int | None) -> tuple[Call, tuple[str, ...]]:
    """The call with at most so long an answer. One that says how long to think is left as it is. Raises ValueError."""
    request = call.request
    if most is None or request is None or call.endpoint.name != "messages" or b'"budget_tokens"' in call.body:
        return call, ()
    if request.max_tokens is not None and request.max_tokens <= most:
        return call, ()
    fields = Spliced(call.body)
    fields.put("max_tokens", msgspec.json.encode(most))
    was = "not given" if request.max_tokens is None else f"{request.max_tokens:,}"
    return replace(call, body=fields.text, request=read_request(fields.text)), (f"max_tokens: {was} became {most:,}",)
