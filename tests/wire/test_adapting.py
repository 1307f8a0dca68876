"""Requests on a hop to another model, by name; what holds of all of them is in test_adapting_laws.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.adapting import Adapted, Unadaptable, adapted
from penstock.wire.adapting.splice import Spliced, without

Body = dict[str, Any]
HAIKU, SONNET, OPUS, NEWEST, FABLE = (
    "claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-5", "claude-opus-5-5", "claude-fable-5-1",
)  # fmt: skip
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "eA=="}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "2"}
TEXT = {"type": "text", "text": "Well."}
SYSTEM = {"role": "system", "content": "Be brief."}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
FILE = {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
BUDGET = {"type": "enabled", "budget_tokens": 1500}
CLEARING = {"edits": [{"type": "clear_thinking_20251015"}]}
ADAPTIVE, OFF = {"type": "adaptive"}, {"type": "disabled"}
LOOP: list[Body] = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": [THOUGHT, CALL]},
    {"role": "user", "content": [RESULT]},
]


def hop(
    source: str, target: str, betas: str = "", version: str = "", *, is_same: bool = True, **fields: Any
) -> Adapted:
    body = {"model": source, "max_tokens": 2000, "messages": [{"role": "user", "content": "Hi"}], **fields}
    body = {name: value for name, value in body.items() if value is not None}
    raw = json.dumps(body).encode()
    return adapted(
        raw, betas.encode(), version or "2023-06-01", from_model=source, to_model=target, is_same_account=is_same
    )


@pytest.mark.parametrize(
    ("source", "target", "given", "made", "changes"),
    [
        (HAIKU, NEWEST, {"max_tokens": 2000}, {"max_tokens": 2000}, []),
        # The length of the answer
        (OPUS, HAIKU, {"max_tokens": 128_000}, {"max_tokens": 64_000}, ["max_tokens: 128,000 became 64,000"]),
        # A budget, and what stands for it
        (
            HAIKU,
            NEWEST,
            {"thinking": BUDGET | {"display": "omitted"}},
            {"thinking": ADAPTIVE | {"display": "omitted"}, "output_config": {"effort": "low"}},
            ["thinking: enabled became adaptive", "effort: low for the budget of 1,500"],
        ),
        (
            "claude-opus-4-5",
            OPUS,
            {"thinking": BUDGET, "output_config": {"effort": "medium"}},
            {"thinking": ADAPTIVE, "output_config": {"effort": "medium"}},
            ["thinking: enabled became adaptive"],
        ),
        (HAIKU, SONNET, {"thinking": BUDGET}, {"thinking": BUDGET}, []),
        (
            SONNET,
            HAIKU,
            {"thinking": {"type": "enabled", "budget_tokens": 100_000}, "max_tokens": 128_000},
            {"thinking": {"type": "enabled", "budget_tokens": 32_000}, "max_tokens": 64_000},
            ["max_tokens: 128,000 became 64,000", "thinking: a budget of 32,000"],
        ),
        (
            OPUS,
            HAIKU,
            {"thinking": ADAPTIVE, "max_tokens": 64_000},
            {"thinking": {"type": "enabled", "budget_tokens": 16_384}, "max_tokens": 64_000},
            ["thinking: adaptive became enabled with a budget of 16,384"],
        ),
        (
            OPUS,
            HAIKU,
            {"thinking": ADAPTIVE, "output_config": {"effort": "low"}, "max_tokens": 64_000},
            {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 64_000},
            ["thinking: adaptive became enabled with a budget of 2,048", "effort: left out"],
        ),
        (OPUS, HAIKU, {"thinking": ADAPTIVE}, {"thinking": OFF}, ["thinking: adaptive became disabled"]),
        (
            OPUS,
            HAIKU,
            {"thinking": ADAPTIVE, "max_tokens": 9000, "tools": [TOOL], "tool_choice": {"type": "any"}},
            {"thinking": OFF, "max_tokens": 9000, "tools": [TOOL], "tool_choice": {"type": "any"}},
            ["thinking: adaptive became disabled"],
        ),
        # Thinking off, or between tools
        (OPUS, NEWEST, {"thinking": OFF}, {}, ["thinking: disabled left out"]),
        ("claude-sonnet-5-5", HAIKU, {"thinking": {"type": "between_tools"}}, {"thinking": OFF}, None),
        (
            "claude-sonnet-5-5",
            OPUS,
            {"thinking": {"type": "between_tools"}, "tools": [TOOL]},
            {"thinking": ADAPTIVE, "tools": [TOOL]},
            ["thinking: between_tools became adaptive"],
        ),
        ("claude-sonnet-5-5", NEWEST, {"thinking": {"type": "between_tools"}}, {}, None),
        (
            "claude-sonnet-5-5",
            OPUS,
            {"thinking": {"type": "between_tools"}, "tools": [TOOL], "max_tokens": 0},
            {"thinking": OFF, "tools": [TOOL], "max_tokens": 0},
            None,
        ),
        (OPUS, HAIKU, {"thinking": {"type": "yet_unknown"}}, {"thinking": {"type": "yet_unknown"}}, []),
        # Efforts
        (
            OPUS,
            SONNET,
            {"output_config": {"effort": "xhigh", "format": None}},
            {"output_config": {"effort": "high", "format": None}},
            ["effort: xhigh became high"],
        ),
        (OPUS, "claude-opus-4-8", {"output_config": {"effort": "max"}}, {"output_config": {"effort": "high"}}, None),
        (OPUS, NEWEST, {"output_config": {"effort": "max"}}, {"output_config": {"effort": "max"}}, []),
        (OPUS, HAIKU, {"output_config": {"effort": "max"}}, {}, ["effort: left out"]),
        (OPUS, SONNET, {"output_config": {"effort": "yet_unknown"}}, {}, ["effort: left out"]),
        # Sampling and speed
        (HAIKU, OPUS, {"temperature": 0.1, "top_k": 4}, {}, ["temperature: left out", "top_k: left out"]),
        (HAIKU, OPUS, {"temperature": 1}, {"temperature": 1}, []),
        (HAIKU, SONNET, {"temperature": 0.1}, {"temperature": 0.1}, []),
        (NEWEST, OPUS, {"speed": "standard"}, {}, ["speed: left out"]),
        (NEWEST, SONNET, {"speed": "fast"}, {}, ["speed: left out"]),
        (NEWEST, "claude-fable-5-2", {"speed": "fast"}, {"speed": "fast"}, []),
        # Clearing of thinking where there is none any more
        (
            OPUS,
            HAIKU,
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "yet_unknown"}]}},
            {"context_management": {"edits": [{"type": "yet_unknown"}]}},
            ["context_management: clear_thinking left out"],
        ),
        (OPUS, HAIKU, {"context_management": CLEARING}, {}, None),
        (OPUS, NEWEST, {"context_management": CLEARING}, {"context_management": CLEARING}, []),
        # Fallbacks of the API's own
        (OPUS, HAIKU, {"fallbacks": [{"model": "claude-haiku-4-5-20251001"}]}, {}, ["fallbacks: left out"]),
        (OPUS, HAIKU, {"fallbacks": "default"}, {"fallbacks": "default"}, []),
        (
            OPUS,
            HAIKU,
            {"fallbacks": [{"model": HAIKU}, {"model": NEWEST}]},
            {"fallbacks": [{"model": NEWEST}]},
            ["fallbacks: the model itself left out"],
        ),
    ],
)
def test_what_tunes_is_fitted_and_said(
    source: str, target: str, given: Body, made: Body, changes: list[str] | None
) -> None:
    done = hop(source, target, **{"max_tokens": 2000, **given})
    after = json.loads(done.body)
    assert after.pop("model") == target and after.pop("messages")
    assert after == {"max_tokens": 2000, **made}
    assert changes is None or list(done.changes) == changes


@pytest.mark.parametrize(
    ("source", "target", "given", "reason"),
    [
        (OPUS, NEWEST, {"tools": [TOOL], "tool_choice": {"type": "any"}}, "the model cannot be made to use a tool"),
        (OPUS, FABLE, {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "look"}}, "be made to use a tool"),
        (HAIKU, OPUS, {"messages": [*LOOP, {"role": "assistant", "content": "So"}]}, "a beginning given to it"),
        (OPUS, HAIKU, {"inference_geo": "us"}, "the model cannot be kept to a region"),
        (OPUS, HAIKU, {"messages": [*LOOP, {"role": "system", "content": "x"}]}, "turns of the system"),
        (OPUS, NEWEST, {"tools": [{"type": "computer_20251124", "name": "c"}]}, "not have the tool computer_20251124"),
        (OPUS, NEWEST, {"thread": {"type": "create"}}, "kept by the upstream as a thread"),
        (OPUS, HAIKU, {"messages": [{"role": "user", "content": [IMAGE] * 101}]}, "101 images are more than the model"),
        (OPUS, HAIKU, {"context_management": {"edits": [{"type": "compact_20260112"}]}}, "summarise its own context"),
        (OPUS, HAIKU, {"compaction": {"type": "summarize"}}, "summarise its own context"),
        (HAIKU, OPUS, {"messages": [{"role": "assistant", "content": [THOUGHT]}]}, "a beginning given to it"),
        (OPUS, "llama-4", {"messages": [{"role": "assistant", "content": [THOUGHT]}]}, "nothing would be left"),
        (OPUS, NEWEST, {"messages": [LOOP[1] | {"content": [THOUGHT]}, SYSTEM, LOOP[0]]}, "nothing would be left"),
    ],
)
def test_what_the_caller_relies_on_is_not_left_out(source: str, target: str, given: Body, reason: str) -> None:
    with pytest.raises(Unadaptable, match=reason):
        hop(source, target, **given)


def test_what_an_account_keeps_stays_there() -> None:
    told = [{"type": "tool_result", "tool_use_id": "t", "content": [FILE]}]
    skill = {"skills": [{"type": "custom", "skill_id": "skill_1"}]}
    uploaded = [{"type": "container_upload", "file_id": "file_1"}]
    kept: list[Body] = [{"messages": [{"role": "user", "content": content}]} for content in (told, uploaded)]
    kept += [{"container": "container_1"}, {"container": {"id": "container_1"}}, {"container": skill}]
    for fields in kept:
        hop(OPUS, NEWEST, **fields)
        for model in (OPUS, "llama-4"):
            with pytest.raises(Unadaptable, match="another account"):
                hop(OPUS, model, is_same=False, **fields)
    hop(OPUS, OPUS, is_same=False, container={"skills": [{"type": "anthropic", "skill_id": "xlsx"}]})


@pytest.mark.parametrize(
    ("source", "target", "is_same", "is_kept"),
    [
        (OPUS, HAIKU, True, False),
        (HAIKU, "claude-haiku-4-5-20251001", True, True),
        # Which thinking a model reads besides its own: not the other way round, and not that of another account
        (OPUS, FABLE, True, True),
        (NEWEST, FABLE, True, True),
        (FABLE, OPUS, True, False),
        (OPUS, FABLE, False, False),
        # Bound to its account, or to all that came before it, or to nothing
        ("claude-sonnet-5-5", "claude-sonnet-5-5", False, False),
        (NEWEST, NEWEST, False, False),
        (SONNET, SONNET, False, True),
        # Models that nobody knows
        (OPUS, "llama-4", True, False),
        ("llama-4", OPUS, True, False),
        ("llama-4", "llama-4", True, True),
        ("llama-4", "llama-4", False, False),
    ],
)
def test_thinking_goes_where_it_can_be_read(source: str, target: str, is_same: bool, is_kept: bool) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [THOUGHT, HIDDEN, TEXT]},
        {"role": "user", "content": "Go on."},
        {"role": "assistant", "content": [THOUGHT]},
        {"role": "user", "content": "And?"},
    ]
    done = hop(source, target, is_same=is_same, messages=turns)
    left = [turns[0], {"role": "assistant", "content": [TEXT]}, turns[2], turns[4]]
    assert json.loads(done.body)["messages"] == (turns if is_kept else left)
    assert done.changes == (() if is_kept else ("messages: thinking of another model or account left out",))


@pytest.mark.parametrize("asked", [BUDGET, ADAPTIVE])
def test_a_loop_of_tools_without_its_thinking_goes_on_without_a_budget(asked: Body) -> None:
    """With a budget, the turn that made the calls must begin with thinking; without one the API does not ask."""
    for turns in (LOOP, [*LOOP, {"role": "user", "content": "Well?"}]):
        body = json.loads(hop("claude-sonnet-4-6", HAIKU, thinking=asked, max_tokens=9000, messages=turns).body)
        assert body["thinking"] == OFF and body["messages"][1]["content"] == [CALL]
    ended = [*LOOP, {"role": "assistant", "content": [THOUGHT, TEXT]}, {"role": "user", "content": "Thanks"}]
    body = json.loads(hop("claude-sonnet-4-6", HAIKU, thinking=asked, max_tokens=9000, messages=ended).body)
    assert body["thinking"]["type"] == "enabled"
    body = json.loads(hop(SONNET, OPUS, thinking=ADAPTIVE, messages=LOOP).body)
    assert body["thinking"] == ADAPTIVE


@pytest.mark.parametrize(
    ("source", "target", "fields", "betas", "left"),
    [
        (SONNET, HAIKU, {}, "context-1m-2025-08-07,x-new", ("x-new",)),
        (SONNET, OPUS, {}, "context-1m-2025-08-07", None),
        (OPUS, NEWEST, {"speed": "fast"}, "fast-mode-2026-02-01", None),
        (OPUS, SONNET, {"speed": "fast"}, "x-new, fast-mode-2026-02-01", ("x-new",)),
        (OPUS, SONNET, {}, "fast-mode-2026-02-01", None),
        (SONNET, OPUS, {"thinking": BUDGET}, "interleaved-thinking-2025-05-14", ()),
        (SONNET, HAIKU, {"thinking": BUDGET}, "interleaved-thinking-2025-05-14", None),
        (SONNET, OPUS, {"thinking": ADAPTIVE}, "interleaved-thinking-2025-05-14", None),
        (OPUS, HAIKU, {}, "output-300k-2026-03-24", ()),
        (OPUS, "llama-4", {"speed": "fast"}, "fast-mode-2026-02-01,context-1m-2025-08-07", None),
    ],
)
def test_betas_go_with_their_half_in_the_body(
    source: str, target: str, fields: Body, betas: str, left: tuple[str, ...] | None
) -> None:
    done = hop(source, target, betas, **fields)
    assert done.beta == left
    gone = set(betas.replace(" ", "").split(",")) - set(left or ())
    assert [one for one in done.changes if one.startswith("beta:")] == [
        f"beta: {name} left out" for name in gone if left is not None
    ]


def test_a_beta_may_lift_bounds() -> None:
    fast = hop(NEWEST, OPUS, "fast-mode-2026-02-01", speed="fast")
    assert json.loads(fast.body)["speed"] == "fast"
    for target, most in ((SONNET, 300_000), (HAIKU, 64_000)):
        assert json.loads(hop(OPUS, target, "output-300k-2026-03-24", max_tokens=300_000).body)["max_tokens"] == most
    long = {"type": "enabled", "budget_tokens": 9000}
    for tools, budget in (([TOOL], 9000), (None, 1000)):
        body = hop(SONNET, HAIKU, "interleaved-thinking-2025-05-14", thinking=long, max_tokens=2000, tools=tools).body
        made = json.loads(body)["thinking"]
        assert made == (long if budget == 9000 else OFF)  # half of 2,000 is too little for a budget


def test_the_current_version_takes_no_sampling_at_all() -> None:
    for target in (HAIKU, OPUS):
        assert "temperature" not in json.loads(hop("llama-4", target, version="2026-10-21", temperature=1).body)


def test_a_model_nobody_knows_gets_the_rest_byte_for_byte() -> None:
    raw = (
        b'\n{"messages" : [ {"role":"user","content":"\\u0048i"} ],\n "x-new": {"a" : 1.0e2}, "m\\u006fdel" :\t"%b" , '
        b'"thinking":{"type":"disabled"},"max_tokens":9} '
    )
    hops: Body = {"from_model": OPUS, "is_same_account": False}
    assert adapted(raw % OPUS.encode(), to_model="llama-4", **hops) == Adapted(raw % b"llama-4")
    done = hop(HAIKU, HAIKU, is_same=False, inference_geo="us")  # what a model refuses is the API's to say
    assert done.changes == () and json.loads(done.body)["inference_geo"] == "us"
    same = raw % OPUS.encode()
    assert adapted(same, from_model=OPUS, to_model=OPUS, is_same_account=True).body is same
    assert adapted(same, from_model=OPUS, to_model=OPUS, is_same_account=False).body is same


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"model": ',
        b"[1]",
        b"3",
        b'{"model":"a","model":"a"}',
        b'{"model":"a","max_tokens":12,"max_tokens":1}',
        b'{"model":"a","messages":[{"role":"\xff"}]}',
        b'{"model":"a","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_a_body_that_cannot_be_read_stays(body: bytes) -> None:
    """Nor does one that names a value twice move: two readers may take it for two different requests."""
    with pytest.raises(Unadaptable, match="cannot be read"):
        adapted(body, from_model="a", to_model="b", is_same_account=True)


@pytest.mark.parametrize("messages", [None, "Hi", ["Hi", 3], [{"role": "assistant", "content": [1, {"type": 2}]}]])
def test_odd_shapes_are_left_to_the_api(messages: Any) -> None:
    odd = {"thinking": 3, "output_config": [], "tools": {}, "tool_choice": "x", "fallbacks": [1], "container": []}
    raw = json.dumps({"model": "claude-opus-4-5", "max_tokens": "9", "messages": messages, **odd}).encode()
    made = adapted(raw, from_model="claude-opus-4-5", to_model=HAIKU, is_same_account=False)
    assert made == Adapted(raw.replace(b"claude-opus-4-5", HAIKU.encode()))


blanks = st.text(" \t\r\n", max_size=2)
values = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=200, database=None)
@given(values, blanks, blanks, st.booleans(), st.data())
def test_splicing_is_an_edit_of_the_value_and_of_nothing_else(
    value: Any, before: str, behind: str, is_plain: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=is_plain, separators=(f"{behind},{before}", f"{before}:{behind}"))
    if not isinstance(value, dict | list):
        return
    raw = f"{before}{text}{behind}".encode("utf-8", "surrogatepass")
    spliced = Spliced(raw)
    assert spliced.text == raw
    names = list(value) if isinstance(value, dict) else list(range(len(value)))
    for name in names:
        assert json.loads(spliced[name]) == value[name]
    if names:
        spliced.put(name := data.draw(st.sampled_from(names)), b"[ 1.0]")
        value[name] = [1.0]
        assert json.loads(spliced.text) == value
        spliced.drop(name)
        del value[name]
        assert json.loads(spliced.text) == value
    if isinstance(value, dict):
        spliced.put("new", b"0")
        assert json.loads(spliced.text) == {**value, "new": 0}
    elif value:
        assert without(spliced.text, range(len(value))) is None
