"""Preserved thinking: blocks are bound to what came before them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from penstock.simulator import ApiKey, Running, running
from penstock.simulator.binding import CONTROLS_BETA

Got = tuple[int, dict[str, str], bytes]
BOUND = "claude-sonnet-5-5"
OLD = "sk-ant-" + "api03-old-account"
OTHER = "sk-ant-" + "api03-other-account"


@pytest.fixture(scope="module")
def sim() -> Any:
    keys = [
        ApiKey(OLD, organization="old", account_since="2026-01-01"),
        ApiKey(OTHER, organization="other"),
    ]
    with running(seed=11, keys=keys) as simulator:
        yield simulator


def ask(model: str = BOUND, **more: Any) -> dict[str, Any]:
    thinking = {"type": "adaptive", "display": "summarized"}
    if model == "claude-sonnet-4-5":
        thinking = {"type": "enabled", "budget_tokens": 1024}
    return {
        "model": model,
        "max_tokens": 4_000,
        "system": "Be brief.",
        "thinking": thinking,
        "messages": [{"role": "user", "content": "Why does water turn a wheel?"}],
        **more,
    }


def grown(request: dict[str, Any], content: list[dict[str, Any]]) -> dict[str, Any]:
    turns = [{"role": "assistant", "content": content}, {"role": "user", "content": "And then?"}]
    return {**request, "messages": [*request["messages"], *turns]}


@pytest.fixture
def conversation(sim: Running, send: Callable[..., Got]) -> Callable[..., dict[str, Any]]:
    """Two answered turns, ready for a third question."""

    def made(model: str = BOUND, **headers: str) -> dict[str, Any]:
        request = ask(model)
        for _ in range(2):
            status, _, body = send(sim, body=request, **headers)
            assert status == 200, body
            request = grown(request, json.loads(body)["content"])
        return request

    return made


def fault_of(got: Got) -> str:
    status, _, body = got
    assert status == 400, body
    return str(json.loads(body)["error"]["message"])


def test_an_unchanged_conversation_goes_on(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]]
) -> None:
    request = conversation()
    assert send(sim, body=request)[0] == 200
    marked = copy.deepcopy(request)
    marked["messages"][0]["content"] = [
        {"type": "text", "text": "Why does water turn a wheel?", "cache_control": {"type": "ephemeral"}}
    ]
    assert send(sim, body=marked)[0] == 200, "cache marks and the form of a text are not compared"


def edited(request: dict[str, Any], what: str) -> dict[str, Any]:
    request = copy.deepcopy(request)
    if what == "system":
        request["system"] = "Be long."
    elif what == "tools":
        request["tools"] = [{"name": "t", "input_schema": {"type": "object", "properties": {}}}]
    elif what == "question":
        request["messages"][0]["content"] = "Why?"
    elif what == "answer":
        request["messages"][1]["content"][1]["text"] = "Because."
    elif what == "first thought left out":
        del request["messages"][1]["content"][0]
    return request


@pytest.mark.parametrize(
    ("what", "at"),
    [("system", 1), ("tools", 1), ("question", 1), ("answer", 3), ("first thought left out", 3)],
)
def test_a_changed_prefix_invalidates_what_follows(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]], what: str, at: int
) -> None:
    request = edited(conversation(), what)
    assert fault_of(send(sim, body=request)) == (
        f"messages.{at}.content.0: Invalid `signature` in `thinking` block. The block is bound to a different "
        'conversation. Remove the block, or set thinking.block_binding.prefix_mismatch_behavior to "drop_block".'
    )


def test_removing_the_named_block_alone_does_not_help_and_removing_all_after_it_does(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]]
) -> None:
    request = edited(conversation(), "system")
    del request["messages"][1]["content"][0]
    assert "messages.3.content.0" in fault_of(send(sim, body=request))
    del request["messages"][3]["content"][0]
    assert send(sim, body=request)[0] == 200


def test_blocks_are_dropped_on_demand_and_listed(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]]
) -> None:
    request = edited(conversation(), "system")
    request["thinking"]["block_binding"] = {"prefix_mismatch_behavior": "drop_block"}
    assert fault_of(send(sim, body=request)) == "thinking.adaptive.block_binding: Extra inputs are not permitted"
    status, _, body = send(sim, body=request, anthropic_beta=CONTROLS_BETA)
    dropped = json.loads(body)["input_transformations"]
    assert status == 200 and [one["message_index"] for one in dropped] == [1, 3]
    streamed = send(sim, body={**request, "stream": True}, anthropic_beta=CONTROLS_BETA)[2]
    assert b'"input_transformations":[{' in streamed.partition(b"event: content_block_start")[0]


@pytest.mark.parametrize(
    ("model", "key", "is_held"),
    [
        (BOUND, None, True),
        (BOUND, OLD, False),
        ("claude-fable-5-2", OLD, True),
        ("claude-opus-4-8", None, False),
        ("claude-sonnet-4-5", None, False),
    ],
)
def test_who_is_held_to_it(
    sim: Running,
    send: Callable[..., Got],
    conversation: Callable[..., dict[str, Any]],
    model: str,
    key: str | None,
    is_held: bool,
) -> None:
    headers = {"x_api_key": key or sim.key}
    request = edited(conversation(model, **headers), "question")
    assert send(sim, body=request, **headers)[0] == (400 if is_held else 200)


def test_an_old_account_is_held_where_it_asks_for_it(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]]
) -> None:
    request = edited(conversation(x_api_key=OLD), "question")
    request["thinking"]["block_binding"] = {"prefix_mismatch_behavior": "error"}
    assert "bound to a different" in fault_of(send(sim, body=request, x_api_key=OLD, anthropic_beta=CONTROLS_BETA))


def test_an_altered_thought_in_the_latest_turn_is_refused_by_every_model(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]]
) -> None:
    for model in (BOUND, "claude-opus-4-8", "claude-sonnet-4-5"):
        request = conversation(model)
        request["messages"][3]["content"][0]["thinking"] += " Or not."
        said = fault_of(send(sim, body=request))
        assert said.startswith("messages.3.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant")


@pytest.mark.parametrize("signature", ["", "AAAA", "no base64 at all", "QUJD" * 150])
def test_a_signature_that_is_none_is_refused(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]], signature: str
) -> None:
    request = conversation()
    request["messages"][3]["content"][0]["signature"] = signature
    assert fault_of(send(sim, body=request)) == "messages.3.content.0: Invalid `signature` in `thinking` block"


def test_blocks_of_another_account_fail_and_those_of_an_unreadable_model_are_left_out(
    sim: Running, send: Callable[..., Got], conversation: Callable[..., dict[str, Any]]
) -> None:
    request = conversation()
    assert "bound to a different" in fault_of(send(sim, body=request, x_api_key=OTHER))
    assert send(sim, body={**request, "model": "claude-opus-4-8"})[0] == 200


def test_a_tool_loop_must_bring_its_thinking_back(sim: Running, send: Callable[..., Got]) -> None:
    tools = [{"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}]
    request = ask("claude-sonnet-4-5", tools=tools)
    request["messages"] = [{"role": "user", "content": "What is the weather in Paris?"}]
    content = json.loads(send(sim, body=request)[2])["content"]
    use = content[-1]
    assert [block["type"] for block in content] == ["thinking", "tool_use"]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use["id"], "content": "Rain"}]}
    whole = {**request, "messages": [*request["messages"], {"role": "assistant", "content": content}, result]}
    assert send(sim, body=whole)[0] == 200
    bare = {**request, "messages": [*request["messages"], {"role": "assistant", "content": [use]}, result]}
    said = fault_of(send(sim, body=bare))
    assert said.startswith(
        "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`"
    )


def test_signatures_have_the_recorded_length_and_come_the_same_again(sim: Running) -> None:
    def signatures() -> list[str]:
        found = []
        with running(seed=3) as one:
            client = anthropic.Anthropic(base_url=one.url, api_key=one.key, max_retries=0)
            for number in range(60):
                turns = [{"role": "user", "content": f"Thought {number}"}]
                message = client.messages.create(**{**ask(), "messages": turns})
                found.append(message.content[0].signature)  # type: ignore[union-attr]
        return found

    first = sorted(signatures(), key=len)
    assert 450 < len(first[30]) < 750 and len(first[-1]) < 3_400 and sorted(signatures(), key=len) == first
