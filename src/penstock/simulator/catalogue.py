"""The models the simulated API knows, and what each of them refuses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from ..wire import models
from ..wire.traits import Traits, family_and_version
from .problems import invalid, missing
from .tokens import Weights, weights_of

LIFECYCLES = ("active", "deprecated", "retired")
NOTICE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Model(Traits):
    """A model the API serves, and what it takes."""

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
    def calls_tools_from_code(self) -> bool:
        """The capability `code_execution`: recorded for all models of its time but Haiku 4.5."""
        return (self.family, self.version) != ("haiku", (4, 5))

    @property
    def needs_beta_for_speed(self) -> bool:
        """Whether `speed` is open only to the beta `fast-mode-2026-02-01`: Opus 5 and 4.8 (§7.3)."""
        return self.facts.may_be_fast and self.version < (5, 2)

    def lifecycle(self, now_s: float | None = None) -> str:
        """active, deprecated or retired. A model is retired from the day it was to be, once the clock is there."""
        if now_s is not None and self.facts.retires is not None and _date(now_s) >= self.facts.retires:
            return "retired"
        return self.facts.state


@cache
def known_models() -> tuple[Model, ...]:
    """All models, retired ones too, newest first."""
    facts = sorted(models.shipped().all, key=lambda one: str(one.released or ""), reverse=True)
    return tuple(_model(one) for one in facts)


@cache
def served_models() -> tuple[Model, ...]:
    """All models that are not retired, newest first."""
    return tuple(model for model in known_models() if model.facts.state != "retired")


def _model(facts: models.Model) -> Model:
    return Model(facts, *family_and_version(facts.id))


@cache
def _by_name() -> dict[str, Model]:
    return {name: model for model in known_models() for name in (model.id, *model.facts.aliases)}


def find_model(name: str, now_s: float | None = None) -> Model:
    """The model of this id or alias, by Unix time. Raises Problem 404 where none has it, or the model is retired."""
    model = _by_name().get(name)
    if model is None or model.lifecycle(now_s) == "retired":
        raise missing(f"model: {name}")
    return model


def show_model(name: str, now_s: float) -> dict[str, Any]:
    """`GET /v1/models/{id or alias}`: retired models stay on show (SDK, model_info.py). Raises Problem 404."""
    model = _by_name().get(name)
    if model is None:
        raise missing(f"model: {name}")
    return described(model, now_s)


def show_models(query: dict[str, list[str]], now_s: float) -> dict[str, Any]:
    """`GET /v1/models`: a page of the models in the life cycles asked for, else of those in use. Raises Problem 400."""
    asked = [one for name in ("lifecycle", "lifecycle[]") for given in query.get(name, []) for one in given.split(",")]
    if any(one not in LIFECYCLES for one in asked):
        raise invalid("lifecycle: Input should be 'active', 'deprecated' or 'retired'")
    wanted = asked or LIFECYCLES[:2]
    shown = [described(model, now_s) for model in known_models() if model.lifecycle(now_s) in wanted]
    return page(shown, {name: given[-1] for name, given in query.items()})


def described(model: Model, now_s: float) -> dict[str, Any]:
    """A model as `GET /v1/models` shows it."""
    lifecycle, retires = model.lifecycle(now_s), model.facts.retires
    return {
        "type": "model",
        "id": model.id,
        "display_name": _display(model),
        "created_at": _day(model.facts.released) or "1970-01-01T00:00:00Z",
        "lifecycle": lifecycle,
        # No source has the day of the notice; it comes at least 60 days ahead (Anthropic, model deprecations).
        "deprecated_at": None if lifecycle == "active" or retires is None else _day(retires - NOTICE),
        "retires_at": None if lifecycle == "active" else _day(retires),
        "line": model.family or None,
        "max_input_tokens": model.window_tokens,
        "max_tokens": model.output_tokens,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Model) -> dict[str, Any]:
    """Recorded in May 2026; `server_tools`, `xhigh` and two of the thinking types are newer (SDK)."""
    yes = {"supported": True}
    levels = ("low", "medium", "high", "xhigh", "max")
    return {
        "batch": yes,
        "citations": yes,
        "code_execution": {"supported": model.calls_tools_from_code},
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": yes,
            "clear_tool_uses_20250919": yes,
            "compact_20260112": {"supported": model.may_compact},
        },
        "effort": {
            "supported": bool(model.efforts),
            **{level: {"supported": level in model.efforts} for level in levels},
        },
        "image_input": yes,
        "pdf_input": yes,
        "server_tools": {"supported": True, "web_search": yes, "code_execution": yes},
        "structured_outputs": yes,
        "thinking": {
            "supported": True,
            "types": {kind: {"supported": may} for kind, may in model.thinking_types.items()},
        },
    }


def _date(now_s: float) -> date:
    return datetime.fromtimestamp(now_s, UTC).date()


def _day(day: date | None) -> str | None:
    return None if day is None else f"{day.isoformat()}T00:00:00Z"


def _display(model: Model) -> str:
    major, minor = model.version
    if not model.family:
        return model.id.replace("claude-", "Claude ")
    return f"Claude {model.family.capitalize()} {major}" + (f".{minor}" if minor else "")


def page(items: list[dict[str, Any]], query: dict[str, str]) -> dict[str, Any]:
    """One page of a list, by `limit`, `after_id` and `before_id`. Raises Problem for a limit outside 1 to 1000."""
    try:
        limit = int(query.get("limit", "20"))
    except ValueError:
        raise invalid("limit: Input should be a valid integer") from None
    if limit < 1:
        raise invalid("limit: Input should be greater than or equal to 1")
    if limit > 1000:
        raise invalid("limit: Input should be less than or equal to 1000")
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
