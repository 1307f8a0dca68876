"""Refusals and the rarer ways an answer ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from penstock.simulator import Running, running
from penstock.simulator.endings import REFUSED_WORD

Got = tuple[int, dict[str, str], bytes]


def both(client: anthropic.Anthropic, sim: Running, ask: dict[str, Any], fault: str | None) -> list[Any]:
    """The message plain and streamed."""
    messages = []
    for stream in (False, True):
        if fault is not None:
            sim.trigger(fault)
        if stream:
            with client.messages.stream(**ask) as events:
                messages.append(events.get_final_message())
        else:
            messages.append(client.messages.create(**ask))
    return messages


@pytest.mark.parametrize(
    ("fault", "reason", "has_text"),
    [
        ("refusal", "refusal", False),
        ("refusal_mid", "refusal", True),
        ("empty_turn", "end_turn", False),
        ("pause_turn", "pause_turn", True),
        ("context_full", "model_context_window_exceeded", True),
    ],
)
def test_each_ending_is_the_sdks_own_in_both_forms(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], fault: str, reason: str, has_text: bool
) -> None:
    for message in both(client, sim, ask, fault):
        assert message.stop_reason == reason and bool(message.content) == has_text
        details = message.stop_details
        assert (details is not None and details.category == "general_harms") == (reason == "refusal")


def test_an_early_refusal_has_counts_and_costs_nothing_and_a_late_one_costs(
    send: Callable[..., Got], ask: dict[str, Any]
) -> None:
    with running(seed=1) as sim:
        for fault in ("refusal", "refusal_mid"):
            sim.trigger(fault)
            body = json.loads(send(sim, body=ask)[2])
            assert body["usage"]["input_tokens"] > 0
        early, late = sim.books
    assert (early.cost_nano, early.output_tokens, early.stop_reason) == (0, 0, "refusal") and early.input_tokens > 0
    assert late.cost_nano == late.input_tokens * 3_000 + late.output_tokens * 15_000 > 0


def test_the_documented_word_is_refused(client: anthropic.Anthropic, sim: Running, ask: dict[str, Any]) -> None:
    turns = [{"role": "user", "content": f"Say this: {REFUSED_WORD}_1FAE"}]
    for message in both(client, sim, {**ask, "messages": turns}, None):
        assert message.stop_reason == "refusal" and message.content == []


def test_redacted_thinking_comes_whole(client: anthropic.Anthropic, sim: Running, ask: dict[str, Any]) -> None:
    for message in both(client, sim, ask, "redacted"):
        assert message.content[0].type == "redacted_thinking" and message.content[0].data
        assert message.content[1].type == "text"


@pytest.mark.parametrize("fallbacks", ["default", [{"model": "claude-haiku-4-5", "max_tokens": 20}]])
@pytest.mark.parametrize(
    ("fault", "kinds"), [("refusal", ["fallback", "text"]), ("refusal_mid", ["text", "fallback", "text"])]
)
def test_with_fallbacks_another_model_goes_on_in_the_same_answer(
    sim: Running, client: anthropic.Anthropic, fallbacks: Any, fault: str, kinds: list[str]
) -> None:
    ask: dict[str, Any] = {"model": "claude-opus-5-5", "max_tokens": 300, "betas": ["server-side-fallback-2026-07-01"]}
    ask["messages"] = [{"role": "user", "content": "Tell me of rivers in 40 words."}]
    for stream in (False, True):
        sim.trigger(fault)
        if stream:
            with client.beta.messages.stream(**ask, fallbacks=fallbacks) as events:
                message = events.get_final_message()
        else:
            message = client.beta.messages.create(**ask, fallbacks=fallbacks)
        assert [block.type for block in message.content if block.type != "thinking"] == kinds
        block = next(block for block in message.content if block.type == "fallback")
        assert (block.from_.model, block.to.model) == ("claude-opus-5-5", list(sim.books)[-1].model)
        declined, served = message.usage.iterations or []
        assert (declined.type, served.type) == ("message", "fallback_message")
        assert served.output_tokens == message.usage.output_tokens and bool(declined.output_tokens) == (len(kinds) == 3)
        if fallbacks != "default":
            assert message.stop_reason == "max_tokens" and message.usage.output_tokens == 20


def test_fallbacks_take_their_beta_and_a_model_that_is_there(sim: Running, client: anthropic.Anthropic) -> None:
    ask: dict[str, Any] = {
        "model": "claude-opus-5-5",
        "max_tokens": 30,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    with pytest.raises(anthropic.BadRequestError, match="fallbacks"):
        client.messages.create(**ask, extra_body={"fallbacks": "default"})
    sim.trigger("refusal")
    with pytest.raises(anthropic.NotFoundError, match="claude-none"):
        client.beta.messages.create(
            **ask, fallbacks=[{"model": "claude-none"}], betas=["server-side-fallback-2026-07-01"]
        )
