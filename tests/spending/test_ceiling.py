"""The most an attempt can cost: never less than what its answer then does."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator.cache import count_prompt
from penstock.simulator.catalogue import find_model
from penstock.spending.ceiling import Ceiling
from penstock.wire.messages import Usage, read_request
from penstock.wire.models import shipped
from penstock.wire.prices import PriceBook

PRICES = PriceBook()
CEILING = Ceiling(PRICES)
NOW_US = 1_795_132_800_000_000
SERVED = [model.id for model in shipped().all if model.state == "active" and model.capabilities.may_force_tools]


def most(body: dict[str, Any], model: str = "claude-sonnet-4-6") -> int | None:
    raw = json.dumps({"model": model, "max_tokens": 100, **body}).encode()
    return held(raw, model)


def held(raw: bytes, model: str) -> int | None:
    request = read_request(raw)
    return CEILING.most(request, raw, model, NOW_US, CEILING.calibration.of(request, model, raw))


def turn(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SERVED), st.text(max_size=600), st.integers(1, 4000), st.booleans(), st.booleans())
def test_no_answer_the_simulator_gives_costs_more(model: str, text: str, size: int, caches: bool, us: bool) -> None:
    block: dict[str, Any] = {"type": "text", "text": text or "x"}
    if caches:
        block["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    body = {"system": [block], "max_tokens": size, **turn(text or "x"), **({"inference_geo": "us"} if us else {})}
    raw = json.dumps({"model": model, **body}).encode()
    counted = count_prompt({"model": model, **body}, find_model(model))
    usage = Usage(output_tokens=size, inference_geo="us" if us else None)
    usage.cache_write_1h_tokens, usage.input_tokens = (counted, 0) if caches else (0, counted)
    most_nano, cost = held(raw, model), PRICES.price(usage, model, NOW_US).nano
    assert most_nano is not None and cost is not None and most_nano >= cost


def test_output_counts_in_full_and_writes_to_a_cache_by_their_lifetime() -> None:
    plain = most(turn("Hello"))
    assert plain is not None and plain >= 100 * 15_000
    marked = {"role": "user", "content": [{"type": "text", "text": "Hello", "cache_control": {"type": "ephemeral"}}]}
    short = most({"messages": [marked]})
    marked["content"][0]["cache_control"]["ttl"] = "1h"  # type: ignore[index]
    long = most({"messages": [marked]})
    assert short is not None and long is not None and plain < short < long


def test_fast_and_geography_and_searches_are_weighed() -> None:
    plain = most(turn("Hello"), "claude-opus-5-5")
    assert plain is not None
    assert most({**turn("Hello"), "speed": "fast"}, "claude-opus-5-5") == 2 * plain
    assert most({**turn("Hello"), "inference_geo": "us"}, "claude-opus-5-5") == (plain * 11 + 5) // 10
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}]
    searching = most({**turn("Hello"), "tools": tools})
    assert searching is not None and searching > 3 * 10_000_000 + 1_000_000 * 3_000, "what it finds is input"


def test_models_that_may_go_on_are_held_for_too() -> None:
    alone = most(turn("Hello"), "claude-opus-5-5")
    assert alone is not None
    assert most({**turn("Hello"), "fallbacks": "default"}, "claude-opus-5-5") == 2 * alone
    named = most({**turn("Hello"), "fallbacks": [{"model": "claude-haiku-4-5"}]}, "claude-opus-5-5")
    assert named is not None and alone < named < 2 * alone


def test_what_has_no_max_tokens_is_held_for_all_the_model_can_say() -> None:
    raw = json.dumps({"model": "claude-haiku-4-5", **turn("Hello")}).encode()
    most_nano = held(raw, "claude-haiku-4-5")
    assert most_nano is not None and most_nano >= 64_000 * 5_000


@pytest.mark.parametrize("body", [b"", b"{}", b'{"requests": 5}', b'{"requests": [{"params": {"model": 5}}]}', b"["])
def test_a_batch_that_cannot_be_read_costs_nothing(body: bytes) -> None:
    assert CEILING.batch(body, NOW_US) == 0


def test_a_price_that_is_not_known_is_none_and_not_zero() -> None:
    assert most(turn("Hello"), "claude-unheard-of") is None
    params = {"model": "claude-unheard-of", "max_tokens": 9, **turn("Hi")}
    assert CEILING.batch(json.dumps({"requests": [{"custom_id": "a", "params": params}]}).encode(), NOW_US) is None
