"""What the ledger says beside savings: the mix of models, answers cut off, models that end, calls left out."""

from __future__ import annotations

from collections.abc import Mapping

from ...wire.models import shipped
from ...wire.prices import usd
from .change import counted, percent
from .models import TIERS, tier
from .result import Tier
from .rows import Rows
from .survey import Answers, Mixed, Survey

#: The rule of thumb: the share of calls of each tier in percent; opus and above are one.
RULE: Mapping[str, int] = {"haiku": 80, "sonnet": 15, "opus and above": 5}
#: From which share of cut answers it is said, in percent, and of how many answers at least.
_CUT_PERCENT, _CUT_CALLS = 5, 20


def mix(mixed: tuple[Mixed, ...]) -> tuple[Tier, ...]:
    """The calls by tier against the rule of thumb; unknown models are left out."""
    sums = {name: [0, 0] for name in RULE}
    for one in mixed:
        name = tier(one.model)
        if name in TIERS:
            own = sums[name if name in sums else "opus and above"]
            own[0] += one.calls
            own[1] += one.cost_nano
    total = sum(calls for calls, _ in sums.values())
    return tuple(
        Tier(name, calls, cost, round(100 * calls / total, 1) if total else 0.0, RULE[name])
        for name, (calls, cost) in sums.items()
    )


def notes(found: Survey, tiers: tuple[Tier, ...], rows: Rows) -> tuple[str, ...]:
    """One sentence each."""
    said = [_cut(feature, own) for feature, own in found.answers.items() if _is_cut(own)]
    said += [_ending(one) for one in found.mix if _is_ending(one.model)]
    if any(one.calls for one in tiers):
        shares = ", ".join(f"{one.name} {one.percent:g} % (rule of thumb {one.rule_percent} %)" for one in tiers)
        said.append(f"Calls by tier: {shares}.")
    if rows.left_out:
        said.append(
            f"{counted(rows.left_out, 'call')} for {usd(rows.left_nano)} dollars left out, for token counts do not "
            "come to their cost: several samplings in one call, or prices that have changed."
        )
    return tuple(said)


def _is_cut(own: Answers) -> bool:
    return own.calls >= _CUT_CALLS and own.capped * 100 >= own.calls * _CUT_PERCENT


def _cut(feature: str | None, own: Answers) -> str:
    return (
        f"`max_tokens` cuts off {percent(own.capped, own.calls)} of the answers of "
        f"{feature or 'calls without a feature'}; where they are asked for again, a higher cap is cheaper."
    )


def _is_ending(name: str) -> bool:
    model = shipped().find(name)
    return model is not None and model.state != "active"


def _ending(one: Mixed) -> str:
    model = shipped().find(one.model)
    assert model is not None
    when = f", and retires on {model.retires}" if model.retires is not None and model.state == "deprecated" else ""
    return f"{one.model} is {model.state}{when}: {counted(one.calls, 'call')}."
