"""Our prices against genai-prices, an independent table: each disagreement is named, and all others are failures."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from penstock.wire.messages import Usage
from penstock.wire.models import Model, shipped
from penstock.wire.prices import price

genai_prices = pytest.importorskip("genai_prices")

_MIXED: dict[str, Any] = {
    "input_tokens": 1000,
    "output_tokens": 10,
    "cache_read_tokens": 7,
    "cache_write_5m_tokens": 3,
    "cache_write_1h_tokens": 5,
}

#: What is priced: a usage of ours, and the context genai-prices has to be told.
CASES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "input": ({"input_tokens": 1000}, {}),
    "output": ({"output_tokens": 1000}, {}),
    "cache read": ({"cache_read_tokens": 1000}, {}),
    "write 5m": ({"cache_write_5m_tokens": 1000}, {}),
    "write 1h": ({"cache_write_1h_tokens": 1000}, {}),
    "mixed": (_MIXED, {}),
    "batch": ({**_MIXED, "service_tier": "batch"}, {"processing": "batch"}),
    "fast": ({**_MIXED, "speed": "fast"}, {"speed": "fast"}),
    "fast batch": ({**_MIXED, "speed": "fast", "service_tier": "batch"}, {"processing": "batch", "speed": "fast"}),
    "us": ({**_MIXED, "inference_geo": "us"}, {"inference_geo": "us"}),
    "prompt 100,000": ({"input_tokens": 60_000, "cache_read_tokens": 40_000, "output_tokens": 1000}, {}),
    "prompt 100,001": ({"input_tokens": 60_000, "cache_read_tokens": 40_001, "output_tokens": 1000}, {}),
    "prompt 200,001": ({"input_tokens": 200_001, "output_tokens": 1000}, {}),
    "web search": ({"web_searches": 3}, {}),
}
DAYS = ("2026-01-10", "2026-03-12", "2026-03-13", "2026-10-06", "2026-10-07", "2026-10-14", "2026-11-20")

UNKNOWN_TO_THEM = {"claude-mythos-5-1", "claude-mythos-5", "claude-mythos-preview"}


def explained(model: Model, case: str, day: str) -> str | None:
    """Why the two differ here; None where they must agree. docs/prices.md says the same to people."""
    usage, _ = CASES[case]
    has_cache = any(name.startswith("cache") for name in usage)
    if model.id in UNKNOWN_TO_THEM:
        return "not in their table"
    if model.id.startswith("claude-2") and has_cache:
        return "had no prompt cache: unpriced here, priced as input there"
    if case == "us" and model.has_geo:
        return "they do not know inference_geo"
    if "batch" in case and (day < "2026-10-14" or model.state == "retired") and not model.id.endswith("-5-2"):
        return "they halve batches only from 2026-10-14 on, and not for retired models"
    if model.id == "claude-sonnet-5-5" and usage.get("cache_read_tokens") and day < "2026-10-07":
        return "they lack the dearer cache reads of before 2026-10-07"
    if case == "web search" and model.id.startswith(("claude-2", "claude-3-opus", "claude-3-sonnet", "claude-3-haiku")):
        return "these models could not search"
    if "batch" in case and model.id == "claude-haiku-5-5":
        return "half a nano-dollar: we round to whole ones"
    return None


def theirs(model: str, case: str, day: datetime) -> Decimal | None:
    """Their price in nano-dollars; their `input_tokens` is the whole prompt."""
    usage, context = CASES[case]
    read, short, long = (
        usage.get(name, 0) for name in ("cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens")
    )
    told = {
        "input_tokens": usage.get("input_tokens", 0) + read + short + long,
        "cache_read_tokens": read,
        "cache_write_tokens": short + long,
        "cache_write_1h_tokens": long,
        "output_tokens": usage.get("output_tokens", 0),
        "web_searches": usage.get("web_searches", 0),
    }
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(**{name: count for name, count in told.items() if count}),
            model,
            provider_id="anthropic",
            genai_request_timestamp=day,
            price_context=context or None,
        )
    except LookupError:
        return None
    return Decimal(found.total_price) * 10**9


@pytest.mark.parametrize("model", shipped().all, ids=lambda model: model.id)
def test_the_two_tables_agree_but_for_what_is_named(model: Model) -> None:
    for name in DAYS:
        day = datetime.fromisoformat(name).replace(tzinfo=UTC)
        for case, (usage, _) in CASES.items():
            ours = price(Usage(**usage), model.id, int(day.timestamp()) * 1_000_000).nano
            other = theirs(model.id, case, day)
            reason = explained(model, case, name)
            assert (ours == other) == (reason is None), (case, name, ours, other, reason)
