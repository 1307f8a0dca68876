"""How calls and money are spread over the tiers of quality, against the rule of thumb; and where nobody said why.

The rule of thumb: of a hundred calls eighty do with the fast tier, fifteen want the balanced one, five the top.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..config.features import FeatureConfig
from ..config.routes import QUALITIES, QualityConfig
from ..wire.models import shipped
from ..wire.prices import usd
from .ledger import opened

#: Of a hundred calls, by tier.
THUMB = {"top": 5, "balanced": 15, "fast": 80}
#: What no tier is known for.
OTHER = "other"

_FAMILIES = {"haiku": "fast", "sonnet": "balanced", "opus": "top", "fable": "top", "mythos": "top"}
_QUERY = """SELECT feature, coalesce(model_served, model_asked, '?'), count(*), coalesce(sum(cost_nano), 0)
    FROM calls WHERE endpoint = 'messages' AND ending <> 'refused' AND (arm IS NULL OR arm NOT LIKE 'shadow:%')
    AND began_at_us >= ? AND began_at_us < ? GROUP BY 1, 2 ORDER BY 4 DESC"""


class Part(msgspec.Struct, frozen=True):
    """The calls of one feature to one model, and what they cost, in nano-dollars."""

    feature: str | None
    model: str
    quality: str
    calls: int
    cost_nano: int
    reason: str | None = None


class Mix(msgspec.Struct, frozen=True):
    """The parts, the dearest first. `unreasoned`: features with calls or a config in the top tier, and no reason."""

    parts: tuple[Part, ...]
    unreasoned: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """As JSON: costs as decimal strings in dollars, shares in percent."""
        calls, cost = sum(part.calls for part in self.parts), sum(part.cost_nano for part in self.parts)
        tiers = []
        for quality in (*QUALITIES, OTHER):
            own = [part for part in self.parts if part.quality == quality]
            own_calls, own_cost = sum(part.calls for part in own), sum(part.cost_nano for part in own)
            tiers.append(
                {
                    "quality": quality,
                    "calls": own_calls,
                    "calls_percent": _percent(own_calls, calls),
                    "thumb_percent": THUMB.get(quality),
                    "cost_usd": usd(own_cost),
                    "cost_percent": _percent(own_cost, cost),
                }
            )
        features = [
            {
                "feature": part.feature,
                "model": part.model,
                "quality": part.quality,
                "calls": part.calls,
                "calls_percent": _percent(part.calls, calls),
                "cost_usd": usd(part.cost_nano),
                "reason": part.reason,
            }
            for part in self.parts
        ]
        return {"tiers": tiers, "features": features, "unreasoned": list(self.unreasoned)}


def mix(
    data: Path,
    features: Mapping[str, FeatureConfig],
    quality: QualityConfig,
    *,
    since_us: int | None = None,
    until_us: int | None = None,
) -> Mix:
    """Of the calls between two moments, in Unix microseconds, copies left out. Raises StoreFailed."""
    span = (since_us or 0, (1 << 62) if until_us is None else until_us)
    parts = []
    with opened(data) as connection:
        for feature, model, calls, cost_nano in connection.execute(_QUERY, span):
            own = features.get(feature or "default") or features.get("default")
            reason = own.reason if own is not None else None
            parts.append(Part(feature, model, quality_of(model, quality), calls, cost_nano, reason))
    used = {part.feature or "default" for part in parts if part.quality == "top" and not part.reason}
    return Mix(tuple(parts), tuple(sorted(used | set(unreasoned(features, quality)))))


def unreasoned(features: Mapping[str, FeatureConfig], quality: QualityConfig) -> list[str]:
    """The features whose config names the top tier without saying why."""
    models = {name: quality.model(own.model, own.quality) for name, own in features.items() if not own.reason}
    return [name for name, model in models.items() if model is not None and quality_of(model, quality) == "top"]


def quality_of(model: str, quality: QualityConfig) -> str:
    """The tier of a model: the one whose model it is, or else that of its family."""
    found = _id(model)
    for tier in QUALITIES:
        if _id(getattr(quality, tier)) == found:
            return tier
    families = [tier for family, tier in _FAMILIES.items() if found.startswith("claude-") and family in found]
    return families[0] if families else OTHER


def _id(name: str) -> str:
    known = shipped().find(name)
    return name if known is None else known.id


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0
