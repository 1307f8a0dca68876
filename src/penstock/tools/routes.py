"""What features choose of models, in words, and what would not work: read from the config, without a call."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ..config.features import FeatureConfig
from ..config.routes import CONTROL, ArmConfig, RouteConfig, WhenConfig
from ..config.schema import Config
from ..wire.models import shipped
from ..wire.prices import PriceBook
from .mix import unreasoned


class Choices(msgspec.Struct, frozen=True):
    """What one feature chooses. `says` are sentences for its owner, `faults` what is wrong with it."""

    feature: str
    says: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def choices(config: Config, prices: PriceBook) -> Iterator[Choices]:
    """Those of every feature that names a model, or has calls copied."""
    without_reason = unreasoned(config.features, config.quality)
    for name, feature in config.features.items():
        model = config.quality.model(feature.model, feature.quality)
        rules = (*feature.routes, *config.routes)
        has_own = bool(feature.routes or feature.split.arms)
        is_reached = model is not None or (bool(rules) and feature.chooses == "all")
        if not has_own and not is_reached and not feature.shadow.share_percent:
            continue
        faults = [fault for one in dict.fromkeys(_models(config, feature)) for fault in _faults(one, prices)]
        if name in without_reason:
            faults.append("it is in the top tier of quality, and has no `reason`")
        if model is None and has_own and feature.chooses == "named":
            faults.append(f"it has neither `model` nor `quality`, so no call can name feature:{name}")
        yield Choices(name, tuple(_says(config, name, feature, model, rules)), tuple(faults))


def _says(
    config: Config, name: str, feature: FeatureConfig, model: str | None, rules: tuple[RouteConfig, ...]
) -> Iterator[str]:
    who = f"Calls that name feature:{name}" if feature.chooses == "named" else "All of its calls"
    yield f"{who} go to {model or 'the model they name'}{f': {feature.reason}' if feature.reason else ''}."
    for place, rule in enumerate(rules, 1):
        if not rule.when.tasks or feature.task in rule.when.tasks:
            yield f"Rule {place}: {_wants(rule.when)}: {_does(config, rule)}."
    split = feature.split
    if split.arms:
        arms = [
            f"{arm.name} {arm.share_percent:g} % ({config.quality.model(arm.model, arm.quality)})" for arm in split.arms
        ]
        rest = 100 - sum(arm.share_percent for arm in split.arms)
        arms += [f"{CONTROL} {rest:g} %"] if rest else []
        yield f"Split {split.name or name!r} by {split.by}: {', '.join(arms)}."
    shadow = feature.shadow
    if shadow.share_percent:
        yield (
            f"Of its answered calls {shadow.share_percent:g} % are copied to "
            f"{config.quality.model(shadow.model, shadow.quality)}. Copies are paid; they count to budgets on the "
            "environment, the feature or the model, never to those of a key, user, session or segment."
        )


def _wants(when: WhenConfig) -> str:
    found = [f"task is {' or '.join(when.tasks)}"] if when.tasks else []
    found += [f"tier is {' or '.join(when.tiers)}"] if when.tiers else []
    found += [f"over {when.tokens_over:,} tokens"] if when.tokens_over is not None else []
    found += [f"up to {when.tokens_up_to:,} tokens"] if when.tokens_up_to is not None else []
    found += [f"on {', '.join(when.weekdays)}"] if when.weekdays else []
    found += [f"from {when.hours.replace('-', ' to ')}"] if when.hours is not None else []
    if when.hours is not None or when.weekdays:
        found.append(f"in {when.timezone}")
    if when.budget is not None:
        found.append(f"less than {when.left_below_percent} % left of budget {when.budget!r}")
    return ", ".join(found) or "every call"


def _does(config: Config, rule: RouteConfig) -> str:
    model = config.quality.model(rule.model, rule.quality)
    found = [f"goes to {model}"] if model is not None else []
    found += [f"at most {rule.max_tokens:,} tokens of answer"] if rule.max_tokens is not None else []
    found += [f"in the {rule.lane} lane"] if rule.lane is not None else []
    return ", ".join(found)


def _models(config: Config, feature: FeatureConfig) -> Iterator[str]:
    rules = (*feature.routes, *config.routes)
    places: tuple[FeatureConfig | RouteConfig | ArmConfig, ...] = (feature, *rules, *feature.split.arms)
    named = [config.quality.model(one.model, one.quality) for one in places]
    if feature.shadow.share_percent:
        named.append(config.quality.model(feature.shadow.model, feature.shadow.quality))
    yield from (one for one in named if one is not None)


def _faults(model: str, prices: PriceBook) -> Iterator[str]:
    known = shipped().find(model)
    if known is not None and known.state == "retired":
        yield f"{model} is retired: the API refuses it"
    elif not prices.knows(model):
        yield f"no price is known for {model}"
