"""Rules: what a call must be like to go elsewhere than its feature says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ..call import Call
from ..config.routes import WEEKDAYS, QualityConfig, RouteConfig, WhenConfig, minutes_of
from ..errors import StoreFailed
from ..ports import Ports
from ..spending.budget import Budget, who_asks
from ..wire.tokens import estimate

#: Why a call fits, as a part of a sentence; None where it does not. "" where nothing was wanted.
_Fit = Callable[[Call], str | None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rule:
    """One rule, ready to be asked. `model` is None where it leaves that alone."""

    def __init__(
        self, config: RouteConfig, quality: QualityConfig, budgets: Mapping[str, Budget], ports: Ports
    ) -> None:
        self.config, self.model = config, quality.model(config.model, config.quality)
        self._fits = _fits(config.when, ports)
        self._ports = ports
        self._left_percent = config.when.left_below_percent or 0
        self._budget = budgets[config.when.budget] if config.when.budget is not None else None

    async def because(self, call: Call) -> str | None:
        """Why the call fits, in words; None where it does not."""
        reasons = []
        for fit in self._fits:
            reason = fit(call)
            if reason is None:
                return None
            reasons.append(reason)
        if self._budget is not None:
            reason = await self._lacking(call, self._budget)
            if reason is None:
                return None
            reasons.append(reason)
        return " and ".join(reasons) or "a rule is for every call"

    async def _lacking(self, call: Call, budget: Budget) -> str | None:
        """A store that does not answer makes no call fit: budgets themselves refuse then."""
        charged = budget.about(who_asks(call), self._ports.clock.wall_us())
        if charged is None:
            return None
        try:
            held = await self._ports.budgets.hold(call.id, [charged.account], 0, 0)
        except StoreFailed:
            return None
        most = budget.limit_nano if budget.limit_nano is not None else budget.plan_nano
        left = max(0, most - held.balances[0].spent_nano - held.balances[0].held_nano)
        if left * 100 >= most * self._left_percent:
            return None
        return f"budget {charged.shown} has {left * 100 // max(1, most)} % left"


def rules(
    own: Sequence[RouteConfig], task: str | None, quality: QualityConfig, budgets: Mapping[str, Budget], ports: Ports
) -> tuple[Rule, ...]:
    """Those that calls of a feature with that task can fit, in order."""
    fitting = [one for one in own if not one.when.tasks or task in one.when.tasks]
    return tuple(Rule(one, quality, budgets, ports) for one in fitting)


def _fits(when: WhenConfig, ports: Ports) -> tuple[_Fit, ...]:
    """What is asked of each call, what costs nothing first."""
    found: list[_Fit] = []
    if when.tasks:
        found.append(lambda call: f"its task is one of {', '.join(when.tasks)}")
    if when.tiers:
        found.append(lambda call: _of_tier(when.tiers, call))
    if when.hours is not None or when.weekdays:
        zone = ZoneInfo(when.timezone)
        found.append(lambda call: _of_time(when, zone, ports.clock.wall_us()))
    if when.tokens_over is not None or when.tokens_up_to is not None:
        found.append(lambda call: _of_length(when, call))
    return tuple(found)


def _of_tier(tiers: tuple[str, ...], call: Call) -> str | None:
    tier = (call.caller.tier if call.caller is not None else None) or "default"
    return f"its caller's tier is {tier!r}" if tier in tiers else None


def _of_time(when: WhenConfig, zone: ZoneInfo, at_us: int) -> str | None:
    local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    day = WEEKDAYS[local.weekday()]
    if when.weekdays and day not in when.weekdays:
        return None
    if when.hours is not None:
        begins, ends = minutes_of(when.hours)
        now = local.hour * 60 + local.minute
        is_within = begins <= now < ends if begins < ends else now >= begins or now < ends
        if not is_within:
            return None
    return f"it is {day} {local:%H:%M} in {when.timezone}"


def _of_length(when: WhenConfig, call: Call) -> str | None:
    request = call.request
    if request is None or request.model is None:
        return None
    tokens = estimate(request, request.model, call.body).expected
    if when.tokens_over is not None and tokens <= when.tokens_over:
        return None
    if when.tokens_up_to is not None and tokens > when.tokens_up_to:
        return None
    return f"its input is about {tokens:,} tokens"
