"""What would become of a feature's calls at each of its fallbacks: tried on samples, without sending any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from ..config.faults import is_candidate
from ..config.features import FeatureConfig
from ..config.schema import Config
from ..wire.adapting import Unadaptable, adapted
from ..wire.models import Model, shipped

_TOOL = {"name": "look_up", "description": "Looks something up.", "input_schema": {"type": "object"}}
_USER = {"role": "user", "content": "Where does the river end?"}


class Tried(msgspec.Struct, frozen=True):
    """One sample at one hop: taken as it is, taken with `changes`, or not at all, for the reason in `skipped`."""

    sample: str
    changes: tuple[str, ...] = ()
    skipped: str | None = None


class Hop(msgspec.Struct, frozen=True):
    """One entry of a `fallback` for calls of `source`. `faults` are what makes it useless, `warnings` what soon may."""

    feature: str
    source: str
    entry: str
    samples: tuple[Tried, ...] = ()
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_useful(self) -> bool:
        return not self.faults and (not self.samples or any(one.skipped is None for one in self.samples))


def newest() -> str:
    """The model to try where none is named: the one released last of those in service."""
    alive = [model for model in shipped().all if model.state == "active" and model.released is not None]
    return max(alive, key=lambda model: (model.released, model.id)).id


def dry_run(config: Config, source: str, features: list[str] | None = None) -> Iterator[Hop]:
    """Every hop of those features, or of all; a whole request of each kind that `source` takes is tried at each."""
    for name, feature in config.features.items():
        if features is None or name in features:
            for entry in feature.fallback:
                yield _hop(config, name, feature, entry, source)


def _hop(config: Config, name: str, feature: FeatureConfig, entry: str, source: str) -> Hop:
    if not is_candidate(entry):
        return Hop(name, source, entry)
    model, _, upstream = entry.partition("@")
    first = config.default_upstream
    is_same_account = not upstream or upstream == first
    target = model or source
    faults, warnings = _of_model(shipped().find(target), target)
    if upstream and upstream == first and not model:
        faults += ("it is the upstream and the model that were asked first",)
    if is_same_account and target == source:
        warnings += (f"calls of {source} are asked of it first, so to them it is no other",)
    tried = tuple(
        _tried(sample, body, betas, source, target, is_same_account=is_same_account)
        for sample, betas, body in samples(source)
    )
    return Hop(name, source, entry, tried, faults, warnings)


def _of_model(model: Model | None, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if model is None:
        return (), (f"{name} is not known: requests go there with only the name changed, and at no known price",)
    if model.state == "retired":
        return (f"{name} was retired on {model.retires}",), ()
    if model.retires is not None:
        return (), (f"{name} retires on {model.retires}",)
    return (), ()


def _tried(sample: str, body: bytes, betas: bytes, source: str, target: str, *, is_same_account: bool) -> Tried:
    try:
        made = adapted(body, betas, from_model=source, to_model=target, is_same_account=is_same_account)
    except Unadaptable as reason:
        return Tried(sample, skipped=str(reason))
    return Tried(sample, made.changes)


def samples(source: str) -> Iterator[tuple[str, bytes, bytes]]:
    """A request of each kind that the model takes: what it is, the betas it asks for, its body."""
    model = shipped().find(source)
    can = model.capabilities if model is not None else None
    most = model.output_tokens_max if model is not None else 8192
    yield _sample("a question", source)
    yield _sample("tools to choose from", source, tools=[_TOOL])
    yield _sample("the longest answer", source, max_tokens=most, stream=True)
    if can is None:
        return
    if can.may_force_tools:
        forced = {"type": "tool", "name": "look_up"}
        yield _sample("a tool that must be used", source, tools=[_TOOL], tool_choice=forced)
    if can.may_be_prefilled:
        yield _sample("a beginning of the answer", source, messages=[_USER, {"role": "assistant", "content": "At"}])
    if can.takes_sampling:
        yield _sample("a temperature", source, temperature=0.2)
    for kind in can.thinking_types:
        if kind in ("enabled", "adaptive"):
            given = {"type": kind, "budget_tokens": 4096} if kind == "enabled" else {"type": kind}
            yield _sample(f"thinking, {kind}", source, max_tokens=8192, thinking=given)
            thoughts = [{"type": "thinking", "thinking": "", "signature": "sig"}, {"type": "text", "text": "The sea."}]
            turns = [_USER, {"role": "assistant", "content": thoughts}, _USER]
            yield _sample(f"earlier thinking, {kind}", source, max_tokens=8192, thinking=given, messages=turns)
    for effort in can.efforts[-1:]:
        yield _sample(f"effort {effort}", source, output_config={"effort": effort})
    if can.hears_system_turns:
        turns = [_USER, {"role": "assistant", "content": "The sea."}, {"role": "system", "content": "Be brief."}, _USER]
        yield _sample("a turn of the system", source, messages=turns)
    picture = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    images = [{"role": "user", "content": [{"type": "image", "source": picture}] * 101}]
    if model is not None and model.context_tokens >= 1_000_000:
        yield _sample("101 images", source, messages=images)
    if model is not None and model.has_geo:
        yield _sample("kept to a region", source, inference_geo="us")


def _sample(what: str, model: str, betas: bytes = b"", **more: Any) -> tuple[str, bytes, bytes]:
    body = {"model": model, "max_tokens": 1024, "messages": [_USER], **more}
    return what, betas, msgspec.json.encode(body)
