"""A body as the prompt cache sees it: which blocks, by which digests, what may bear a mark, what else decides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.simulator.catalogue import find_model
from penstock.simulator.prefix import laid_out
from penstock.wire.messages import Malformed, read_request
from penstock.wire.prefix import DECIDES, Prefix, read_prefix

MARK = {"type": "ephemeral"}
TOOLS = [
    {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}},
    {"type": "web_search_20250305", "name": "web_search"},
    {"name": "find", "input_schema": {"type": "object"}},
    {"name": "late", "input_schema": {"type": "object"}, "defer_loading": True},
]
BODY: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 9,
    "tools": TOOLS,
    "system": [{"type": "text", "text": "Be kind."}],
    "messages": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "x"}]}],
        },
    ],
}


def read(body: Any, salt: bytes = b"") -> Prefix:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_prefix(read_request(raw), raw, salt)


def test_blocks_come_in_the_order_of_the_prompt() -> None:
    blocks = read(BODY).blocks
    assert [(block.segment, block.place, block.kind, block.role) for block in blocks] == [
        ("tools", ("tools", 0), "", "tool"),
        ("tools", ("tools", 2), "", "tool"),
        ("system", ("tools", 1), "web_search_20250305", "tool"),
        ("system", ("system", 0), "text", "system"),
        ("messages", ("messages", 0, "content"), "text", "user"),
        ("messages", ("messages", 1, "content", 0), "tool_use", "assistant"),
        ("messages", ("messages", 2, "content", 0), "tool_result", "user"),
    ]
    assert [block.upto_tokens for block in blocks] == sorted(block.upto_tokens for block in blocks)


def test_a_mark_changes_no_digest_wherever_it_stands() -> None:
    bare = read(BODY)
    marked = json.loads(json.dumps(BODY))
    marked["tools"][2] = {"cache_control": MARK, **TOOLS[2]}
    marked["system"][0]["cache_control"] = {"type": "ephemeral", "ttl": "1h"}
    marked["messages"][0]["content"] = [{"type": "text", "text": "Hello", "cache_control": MARK}]
    marked["messages"][2]["content"][0]["content"][0]["cache_control"] = MARK
    found = read(marked)
    assert [block.digest for block in found.blocks] == [block.digest for block in bare.blocks]
    assert [block.mark for block in found.blocks] == [None, "5m", None, "1h", "5m", None, "5m"]
    assert found.own == ("cache_control",) and bare.own == ()
    assert read({**BODY, "cache_control": MARK}).automatic == "5m"


def test_digests_differ_from_the_first_difference_on_and_by_salt() -> None:
    other = json.loads(json.dumps(BODY))
    other["messages"][1]["content"][0]["input"]["a"] = 2
    pairs = zip(read(BODY).blocks, read(other).blocks, strict=True)
    assert [one.digest == two.digest for one, two in pairs] == [True] * 5 + [False] * 2
    assert read(BODY, b"salt").blocks[0].digest != read(BODY).blocks[0].digest


@pytest.mark.parametrize(
    ("setting", "more"),
    [
        ("model", {"model": "claude-haiku-4-5"}),
        ("speed", {"speed": "fast"}),
        ("web_search", {"tools": TOOLS[:1] + TOOLS[2:]}),
        ("tool_choice", {"tool_choice": {"type": "any"}}),
        ("thinking", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("effort", {"output_config": {"effort": "low"}}),
        ("format", {"output_config": {"format": {"type": "json_schema", "schema": {}}}}),
        (
            "citations",
            {"messages": [{"role": "user", "content": [{"type": "document", "citations": {"enabled": True}}]}]},
        ),
        ("images", {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]}),
    ],
)
def test_a_setting_makes_another_prompt_from_its_segment_on(setting: str, more: dict[str, Any]) -> None:
    one, two = read(BODY), read({**BODY, **more})
    assert [name for name in DECIDES if one.settings[name] != two.settings[name]] == [setting]
    same = {block.segment for block, a in zip(two.blocks, two.identities(""), strict=True) if a in one.identities("")}
    first = DECIDES[setting]
    assert same == {
        segment
        for segment in ("tools", "system")
        if ("tools", "system", "messages").index(segment) < ("tools", "system", "messages").index(first)
    }
    assert not set(one.identities("")) & set(one.identities("elsewhere"))


def test_defaults_that_are_spelt_out_are_as_good_as_none() -> None:
    spelt = {"thinking": {"type": "disabled"}, "output_config": {"effort": "high"}, "tool_choice": {"type": "auto"}}
    assert read({**BODY, **spelt, "speed": "standard"}).settings == read(BODY).settings


def test_what_may_bear_a_mark() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "text", "text": " \n\t"},
        {"type": "text", "text": "turn 0"},
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "unheard_of"},
    ]
    found = read({**BODY, "messages": [{"role": "user", "content": content}, {"role": "system", "content": "Now."}]})
    assert [block.may_bear for block in found.blocks][4:] == [True, False, True, False, False, False, False]
    assert [block.may_bear for block in found.blocks][:4] == [True, True, False, True]


def test_thoughts_before_the_users_last_words_are_no_part_of_it_for_models_that_forget() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]},
    ]
    bodies = [
        {**BODY, "model": model, "messages": [*turns, {"role": "user", "content": "c"}]}
        for model in ("claude-haiku-4-5", "claude-sonnet-4-6")
    ]
    assert [sum(block.kind == "thinking" for block in read(body).blocks) for body in bodies] == [0, 1]


@pytest.mark.parametrize(
    "messages", [None, 1, "a", [1], [{"role": 1}], [{"role": "user", "content": [1]}], [{"content": {}}]]
)
def test_what_has_no_shape_has_no_blocks(messages: Any) -> None:
    assert read({**BODY, "messages": messages}) == Prefix()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "role", "text", "source", "cache_control", "name"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "model",
                "system",
                "tools",
                "messages",
                "cache_control",
                "thinking",
                "tool_choice",
                "output_config",
                "speed",
            ]
        ),
        JSON,
    )
)
def test_nothing_makes_it_raise(body: dict[str, Any]) -> None:
    read(body)


@given(st.binary(max_size=40))
def test_nor_do_bytes(raw: bytes) -> None:
    try:
        read(raw)
    except Malformed:
        pass


def test_tokens_are_about_those_of_the_simulator() -> None:
    body = {**BODY, "system": "The quick brown fox, of 1999, jumps. " * 400, "tools": TOOLS[:1]}
    places = laid_out(body, find_model(body["model"]), "here").places
    assert read(body).blocks[-1].upto_tokens == pytest.approx(places[-1].tokens, rel=0.15)
