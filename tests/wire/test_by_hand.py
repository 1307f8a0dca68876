"""Every rule of pricing, each on an answer as the API words it, against its arithmetic written out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.wire.messages import endpoint
from penstock.wire.prices import price
from penstock.wire.reading import reading

NO_CACHE = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
WRITES = {"ephemeral_5m_input_tokens": 2_000, "ephemeral_1h_input_tokens": 3_000}


def iteration(kind: str, model: str, new: int, out: int) -> dict[str, Any]:
    return {"type": kind, "model": model, "input_tokens": new, "output_tokens": out, **NO_CACHE}


#: Model, usage, nano-dollars. A dollar per million tokens is 1,000 nano-dollars a token.
CASES = {
    "plain": ("claude-haiku-4-5", {"input_tokens": 412, "output_tokens": 57}, 412 * 1_000 + 57 * 5_000),
    "cache reads apart from input": (
        "claude-sonnet-4-6",
        {"input_tokens": 10, "cache_read_input_tokens": 9_000, "output_tokens": 1},
        10 * 3_000 + 9_000 * 300 + 15_000,
    ),
    "writes by lifetime": (
        "claude-opus-5",
        {"input_tokens": 5, "cache_creation_input_tokens": 5_000, "cache_creation": WRITES, "output_tokens": 4},
        5 * 5_000 + 2_000 * 6_250 + 3_000 * 10_000 + 4 * 25_000,
    ),
    "writes of no stated lifetime are for five minutes": (
        "claude-opus-5",
        {"input_tokens": 0, "cache_creation_input_tokens": 1_000, "output_tokens": 0},
        1_000 * 6_250,
    ),
    "a prompt of 100,000 is below the step": (
        "claude-haiku-5-5",
        {"input_tokens": 100_000, "output_tokens": 1_000},
        100_000 * 100 + 1_000 * 500,  # $0.0105
    ),
    "one token more reprices all of it": (
        "claude-haiku-5-5",
        {"input_tokens": 100_001, "output_tokens": 1_000},
        100_001 * 500 + 1_000 * 2_500,  # $0.0525005
    ),
    "the step counts what was read and written too": (
        "claude-haiku-5-5",
        {
            "input_tokens": 1,
            "cache_read_input_tokens": 60_000,
            "cache_creation_input_tokens": 40_000,
            "output_tokens": 10,
        },
        1 * 500 + 60_000 * 50 + 40_000 * 625 + 10 * 2_500,
    ),
    "geography": (
        "claude-opus-5-5",
        {"input_tokens": 1_000, "output_tokens": 100, "inference_geo": "us"},
        (1_000 * 4_000 + 100 * 20_000) * 11 // 10,
    ),
    "geography is free before 4.6": (
        "claude-sonnet-4-5",
        {"input_tokens": 1_000, "output_tokens": 100, "inference_geo": "us"},
        1_000 * 3_000 + 100 * 15_000,
    ),
    "fast is double, cache included": (
        "claude-opus-5-5",
        {"input_tokens": 1_000, "cache_read_input_tokens": 500, "output_tokens": 100, "speed": "fast"},
        2 * (1_000 * 4_000 + 500 * 200 + 100 * 20_000),
    ),
    "fast that the model does not have costs nothing more": (
        "claude-opus-4-6",
        {"input_tokens": 1_000, "output_tokens": 100, "speed": "fast"},
        1_000 * 5_000 + 100 * 25_000,
    ),
    "a batch is half, and stacks with caching and geography": (
        "claude-sonnet-5",
        {
            "input_tokens": 1_000,
            "cache_read_input_tokens": 100,
            "output_tokens": 10,
            "service_tier": "batch",
            "inference_geo": "us",
        },
        (1_000 * 2_000 + 100 * 200 + 10 * 10_000) * 11 // 20,
    ),
    "searches are a cent each, in batches too": (
        "claude-sonnet-5",
        {
            "input_tokens": 100,
            "output_tokens": 10,
            "service_tier": "batch",
            "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 9},
        },
        (100 * 2_000 + 10 * 10_000) // 2 + 3 * 10_000_000,
    ),
    "iterations at their own models; what declined before a word is free": (
        "claude-sonnet-5",
        {
            "input_tokens": 50,
            "output_tokens": 20,
            "iterations": [
                iteration("message", "claude-opus-5-5", 50, 0),
                iteration("fallback_message", "claude-sonnet-5", 50, 20),
            ],
        },
        50 * 2_000 + 20 * 10_000,
    ),
    "what declined after some words is not": (
        "claude-sonnet-5",
        {
            "input_tokens": 50,
            "output_tokens": 20,
            "iterations": [
                iteration("message", "claude-opus-5-5", 50, 7),
                iteration("fallback_message", "claude-sonnet-5", 57, 20),
            ],
        },
        50 * 4_000 + 7 * 20_000 + 57 * 2_000 + 20 * 10_000,
    ),
    "compactions are on top of what the totals say": (
        "claude-opus-5-5",
        {
            "input_tokens": 30,
            "output_tokens": 5,
            "iterations": [
                iteration("compaction", "claude-opus-5-5", 9_000, 400),
                iteration("message", "claude-opus-5-5", 30, 5),
            ],
        },
        9_030 * 4_000 + 405 * 20_000,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_answer_costs_what_its_arithmetic_says(case: str) -> None:
    model, usage, nano = CASES[case]
    assert priced(model, {**NO_CACHE, **usage}) == nano


def test_a_refusal_before_the_first_word_is_free_and_one_after_it_is_not() -> None:
    usage = {**NO_CACHE, "input_tokens": 1_000, "output_tokens": 9}
    assert priced("claude-opus-5-5", usage, stop_reason="refusal", content=[]) == 0
    said = [{"type": "text", "text": "I"}]
    assert priced("claude-opus-5-5", usage, stop_reason="refusal", content=said) == 1_000 * 4_000 + 9 * 20_000


def test_prices_are_those_of_the_day() -> None:
    usage = {**NO_CACHE, "input_tokens": 0, "cache_read_input_tokens": 1_000, "output_tokens": 0}
    assert priced("claude-sonnet-5-5", usage, day="2026-10-06") == 1_000 * 200
    assert priced("claude-sonnet-5-5", usage, day="2026-10-07") == 1_000 * 100


def priced(
    model: str, usage: dict[str, Any], *, day: str = "2026-11-20", stop_reason: str = "end_turn", content: Any = None
) -> int | None:
    """What the body of an answer comes to, read as a reply reads it."""
    body = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": "Hi"}] if content is None else content,
        "stop_reason": stop_reason,
        "usage": usage,
    }
    seen = reading(endpoint("POST", "/v1/messages"), 200, ((b"content-type", b"application/json"),))
    seen.feed(json.dumps(body).encode())
    seen.finish()
    answer = seen.answer
    assert answer.usage is not None and answer.model is not None
    at_us = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000
    return price(answer.usage, answer.model, at_us, is_early_refusal=answer.is_early_refusal).nano
