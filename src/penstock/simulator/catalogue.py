"""The models the simulated API knows, and what each of them refuses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from ..wire import models
from .problems import invalid, missing
from .tokens import Weights, weights_of

_NAME = re.compile(r"claude-([a-z]+)-(\d+)(?:-(\d)(?!\d))?")


@dataclass(frozen=True, slots=True)
class Model:
    """A model the API serves. `version` is major and minor, so that rules can say "4.7 and later"."""

    facts: models.Model
    family: str
    version: tuple[int, int]

    @property
    def id(self) -> str:
        return self.facts.id

    @property
    def window_tokens(self) -> int:
        return self.facts.context_tokens

    @property
    def output_tokens(self) -> int:
        return self.facts.output_tokens_max

    @property
    def cacheable_tokens(self) -> int:
        return self.facts.cacheable_tokens_min or 1024

    @property
    def weights(self) -> Weights:
        return weights_of(self.id, is_dense=self.version >= (4, 7))

    @property
    def thinks_always(self) -> bool:
        return self.family in ("fable", "mythos") or (self.family == "opus" and self.version >= (5, 5))

    @property
    def may_force_tools(self) -> bool:
        if self.family in ("fable", "mythos"):
            return self.version < (5, 1)
        return self.family == "haiku" or self.version < (5, 5)


@cache
def served_models() -> tuple[Model, ...]:
    """All models that are not retired, newest first."""
    alive = [facts for facts in models.shipped().all if facts.state != "retired"]
    alive.sort(key=lambda facts: str(facts.released or ""), reverse=True)
    return tuple(_model(facts) for facts in alive)


def _model(facts: models.Model) -> Model:
    found = _NAME.match(facts.id)
    family, major, minor = found.groups() if found else ("", "0", None)
    return Model(facts, family, (int(major), int(minor or 0)))


@cache
def _by_name() -> dict[str, Model]:
    return {name: model for model in served_models() for name in (model.id, *model.facts.aliases)}


def find_model(name: Any) -> Model:
    """The model of this id or alias. Raises Problem: 400 where `name` is no text, 404 where no model has it."""
    if name is None:
        raise invalid("model: Field required")
    if not isinstance(name, str):
        raise invalid("model: Input should be a valid string")
    model = _by_name().get(name)
    if model is None:
        raise missing(f"model: {name}")
    return model


def described(model: Model) -> dict[str, Any]:
    """A model as `GET /v1/models` shows it."""
    yes, version = {"supported": True}, model.version
    effort: dict[str, Any] = {"supported": version >= (4, 5), "low": yes, "medium": yes, "high": yes}
    return {
        "type": "model",
        "id": model.id,
        "display_name": _display(model),
        "created_at": _day(model.facts.released),
        "lifecycle": model.facts.state,
        "deprecated_at": None,
        "retires_at": _day(model.facts.retires),
        "line": model.family,
        "max_input_tokens": model.window_tokens,
        "max_tokens": model.output_tokens,
        "capabilities": {
            "batch": yes,
            "citations": yes,
            "code_execution": yes,
            "context_management": {"supported": True},
            "effort": effort,
            "image_input": yes,
            "pdf_input": yes,
            "server_tools": yes,
            "structured_outputs": yes,
            "thinking": {
                "supported": True,
                "types": {
                    "adaptive": {"supported": version >= (4, 6)},
                    "enabled": {"supported": version < (4, 7)},
                },
            },
        },
    }


def _day(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00Z"


def _display(model: Model) -> str:
    major, minor = model.version
    return f"Claude {model.family.capitalize()} {major}" + (f".{minor}" if minor else "")


def page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """One page of a list, by `limit`, `after_id` and `before_id`. Raises Problem for a limit outside 1 to 1000."""
    try:
        limit = int(query.get("limit", "20"))
    except ValueError:
        raise invalid("limit: Input should be a valid integer") from None
    if not 1 <= limit <= 1000:
        raise invalid(f"limit: Input should be between 1 and 1000, not {limit}")
    names = [item["id"] for item in items]
    if (after := query.get("after_id")) in names and after is not None:
        items = items[names.index(after) + 1 :]
        shown = items[:limit]
        has_more = len(items) > limit
    elif (before := query.get("before_id")) in names and before is not None:
        items = items[: names.index(before)]
        shown = items[-limit:]
        has_more = len(items) > limit
    else:
        shown = items[:limit]
        has_more = len(items) > limit
    return {
        "data": shown,
        "has_more": has_more,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
    }
