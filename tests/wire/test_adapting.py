"""A request made for one model, as another takes it. The oracle: the simulator's rules, which judge as the API does."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator.catalogue import find_model, served_models
from penstock.simulator.problems import Problem
from penstock.simulator.rules import EVERY, check_message
from penstock.wire.adapting import Adapted, Unadaptable, adapted
from penstock.wire.traits import traits_of

MODELS = [model.id for model in served_models() if model.family]
OLD, NEW = "2023-06-01", "2026-10-21"
SCHEMA = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
TOOL = {"name": "look", "input_schema": SCHEMA}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}


def a_request(random: Random, model: str) -> dict[str, Any]:
    """Something a caller might send: most of it is good for the model, the rules say whether all of it is."""

    def sometimes(share: float) -> bool:
        return random.random() < share

    body: dict[str, Any] = {"model": model, "max_tokens": random.choice([200, 1500, 20_000, 64_000, 128_000])}
    turns: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]
    if sometimes(0.3):
        turns[0]["content"].append(IMAGE)
    for number in range(random.randrange(3)):
        said: list[dict[str, Any]] = [THOUGHT] if sometimes(0.6) else []
        if sometimes(0.5):
            said.append({"type": "tool_use", "id": f"toolu_{number}", "name": "look", "input": {"x": "1"}})
            answer = [{"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "2"}]
        else:
            said += [{"type": "text", "text": "Well."}] if sometimes(0.9) or not said else []
            answer = [{"type": "text", "text": "Go on."}]
        turns += [{"role": "assistant", "content": said}, {"role": "user", "content": answer}]
    if sometimes(0.1):
        turns.append({"role": "system", "content": "Be brief."})
        turns.append({"role": "user", "content": "And?"})
    if sometimes(0.1):
        turns.append({"role": "assistant", "content": "It is"})
    body["messages"] = turns
    if sometimes(0.6):
        kinds = [{"type": "enabled", "budget_tokens": random.choice([1024, 9000, 30_000])}, {"type": "adaptive"}]
        body["thinking"] = random.choice([*kinds, {"type": "disabled"}, {"type": "between_tools"}])
    if sometimes(0.5):
        body["output_config"] = {"effort": random.choice(["low", "medium", "high", "xhigh", "max"])}
    if sometimes(0.5):
        body["tools"] = [TOOL]
        if sometimes(0.4):
            body["tool_choice"] = random.choice([{"type": "any"}, {"type": "tool", "name": "look"}, {"type": "auto"}])
        if sometimes(0.1):
            body["tools"].append({"type": "bash_20250124", "name": "bash"})
    for name, value in (("temperature", 0.3), ("top_p", 0.9), ("top_k", 5), ("speed", "fast"), ("inference_geo", "us")):
        if sometimes(0.1):
            body[name] = value
    if sometimes(0.1):
        body["fallbacks"] = [{"model": random.choice(MODELS)}]
    return body


def fault(body: dict[str, Any], version: str = OLD) -> str | None:
    try:
        check_message(json.loads(json.dumps(body)), version, EVERY)
    except Problem as problem:
        return problem.message
    return None


@settings(deadline=None, max_examples=600, database=None)
@given(st.integers(0, 1 << 48), st.sampled_from(MODELS), st.sampled_from(MODELS), st.booleans())
def test_what_one_model_takes_another_takes_too_once_adapted(
    seed: int, source: str, target: str, is_same: bool
) -> None:
    body = a_request(Random(seed), source)
    version = OLD if seed % 2 else NEW
    if fault(body, version) is not None:
        return
    raw = json.dumps(body).encode()
    try:
        made = adapted(raw, from_model=source, to_model=target, is_same_account=is_same)
    except Unadaptable:
        return
    after = json.loads(made.body)
    assert fault(after, version) is None, (made.changes, after)
    assert after["model"] == target
    again = adapted(made.body, from_model=target, to_model=target, is_same_account=True)
    assert again.body is made.body
    if source != target:
        assert not any(block["type"] == "thinking" for turn in after["messages"] for block in _blocks(turn)) or (
            is_same and (source, target) in READABLE
        )


READABLE = {("claude-opus-5", "claude-fable-5-1"), ("claude-opus-5-5", "claude-fable-5-1")}


def _blocks(turn: dict[str, Any]) -> list[dict[str, Any]]:
    return turn["content"] if isinstance(turn["content"], list) else []


def test_most_requests_can_go_elsewhere() -> None:
    """The law above would hold for a function that refuses everything; so what is refused is counted."""
    gone = stayed = 0
    for seed in range(2000):
        random = Random(seed)
        source, target = random.choice(MODELS), random.choice(MODELS)
        body = a_request(random, source)
        if fault(body) is None:
            try:
                adapted(json.dumps(body).encode(), from_model=source, to_model=target, is_same_account=True)
                gone += 1
            except Unadaptable:
                stayed += 1
    assert gone > 400
    assert stayed < gone / 3


def hop(source: str, target: str, *, is_same: bool = True, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = {"model": source, "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi"}], **fields}
    made = adapted(json.dumps(body).encode(), from_model=source, to_model=target, is_same_account=is_same)
    return json.loads(made.body), made.changes


def test_each_change_is_made_and_said() -> None:
    body, changes = hop(
        "claude-haiku-4-5",
        "claude-opus-5-5",
        thinking={"type": "enabled", "budget_tokens": 1500},
        top_k=4,
        max_tokens=2000,
    )
    assert body["thinking"] == {"type": "adaptive"} and body["output_config"] == {"effort": "low"}
    assert "top_k" not in body
    assert changes == ("adaptive thinking instead of a budget", "effort low", "without `top_k`")
    body, changes = hop("claude-opus-5", "claude-haiku-4-5", thinking={"type": "adaptive"}, max_tokens=128_000)
    assert body["max_tokens"] == 64_000 and body["thinking"] == {"type": "enabled", "budget_tokens": 16_384}
    assert changes[0] == "`max_tokens` 64,000 instead of 128,000"
    body, _ = hop("claude-opus-5", "claude-haiku-4-5", output_config={"effort": "max", "format": None})
    assert body["output_config"] == {"format": None}


@pytest.mark.parametrize(
    ("source", "target", "fields", "reason"),
    [
        ("claude-opus-5", "claude-opus-5-5", {"tools": [TOOL], "tool_choice": {"type": "any"}}, "made to use a tool"),
        ("claude-haiku-4-5", "claude-opus-5", {"messages": [{"role": "assistant", "content": "So"}]}, "beginning"),
        ("claude-opus-5", "claude-haiku-4-5", {"inference_geo": "us"}, "region"),
        ("claude-opus-5", "claude-haiku-4-5", {"messages": [{"role": "system", "content": "x"}]}, "turns of the sys"),
        ("claude-opus-5", "claude-opus-5-5", {"tools": [{"type": "computer_20251124", "name": "c"}]}, "computer_2025"),
        ("claude-opus-5", "claude-opus-5-5", {"thread": {"type": "create"}}, "thread"),
        (
            "claude-opus-5",
            "claude-haiku-4-5",
            {"messages": [{"role": "user", "content": [IMAGE] * 101}]},
            "101 images are more than the model takes",
        ),
    ],
)
def test_what_the_caller_relies_on_is_not_left_out(
    source: str, target: str, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Unadaptable, match=reason):
        hop(source, target, **fields)


def test_files_and_containers_stay_in_their_account() -> None:
    file = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
    told = [{"type": "tool_result", "tool_use_id": "t", "content": [file]}]
    for fields in ({"messages": [{"role": "user", "content": told}]}, {"container": "container_1"}):
        hop("claude-opus-5", "claude-opus-5-5", **fields)
        with pytest.raises(Unadaptable, match="another account"):
            hop("claude-opus-5", "claude-opus-5", is_same=False, **fields)


def test_thinking_bound_to_an_account_does_not_leave_it_and_other_thinking_may() -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [THOUGHT, {"type": "text", "text": "Well."}]},
        {"role": "user", "content": "Go on."},
    ]
    bound, changes = hop("claude-sonnet-5-5", "claude-sonnet-5-5", is_same=False, messages=turns)
    assert bound["messages"][1]["content"] == [{"type": "text", "text": "Well."}] and len(changes) == 1
    free, _ = hop("claude-opus-4-6", "claude-opus-4-6", is_same=False, messages=turns)
    assert free["messages"] == turns


def test_values_that_stay_keep_their_bytes_and_a_model_nobody_knows_gets_the_rest_as_it_is() -> None:
    raw = (
        b'{"messages" : [ {"role":"user","content":"\\u0048i"} ],\n "x-new": {"a" : 1.0e2}, "model":"claude-opus-5",'
        b'"max_tokens":9}'
    )
    made = adapted(raw, from_model="claude-opus-5", to_model="llama-4", is_same_account=False)
    assert made == Adapted(
        b'{"messages":[ {"role":"user","content":"\\u0048i"} ],"x-new":{"a" : 1.0e2},"model":"llama-4","max_tokens":9}'
    )
    same = adapted(raw, from_model="claude-opus-5", to_model="claude-opus-5", is_same_account=True)
    assert same.body is raw


def test_a_body_that_cannot_be_read_stays() -> None:
    with pytest.raises(Unadaptable, match="cannot be read"):
        adapted(b'{"model": ', from_model="a", to_model="b", is_same_account=True)


def test_an_alias_is_the_same_model() -> None:
    assert traits_of("claude-opus-4-5") == traits_of("claude-opus-4-5-20251101")
    assert traits_of("gpt-5") is None
    assert find_model("claude-opus-4-5").family == "opus"
