"""Server-side fallback: a model declines, and another goes on in the same answer.

Which models have a default is not known; here it is the one released last before it, of another family. That a
conversation stays with its new model for an hour is not simulated. Shapes: the official SDK
2.11, beta_fallback_block.py and beta_fallback_message_iteration_usage.py.
"""

from __future__ import annotations

from typing import Any

from .catalogue import Model, find_model, served_models

_OVERRIDES = ("max_tokens", "thinking", "output_config", "speed")


def successor(request: dict[str, Any], model: Model, now_s: float) -> tuple[Model, dict[str, Any]] | None:
    """Who goes on, and the request as it is put to them; None where nobody is named. Raises Problem."""
    given = request.get("fallbacks")
    if given == "default":
        others = [one for one in served_models() if one.family != model.family and one.version <= model.version]
        return (others[0], {**request, "model": others[0].id}) if others else None
    if not given:
        return None
    entry = given[0]
    own = {name: entry[name] for name in _OVERRIDES if entry.get(name) is not None}
    following = find_model(entry["model"], now_s)
    return following, {**request, **own, "model": following.id}


def boundary(asked: str, following: Model, details: dict[str, Any] | None) -> dict[str, Any]:
    """The block between what one model said and the other."""
    return {
        "type": "fallback",
        "from": {"model": asked},
        "to": {"model": following.id},
        "trigger": {"type": "refusal", "category": (details or {}).get("category")},
    }
