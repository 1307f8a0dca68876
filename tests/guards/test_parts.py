"""Which texts are looked at, and that a change leaves every byte around it alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.guards.finding import Span
from penstock.guards.parts import Part, edited, parts, read_turns, rewritten

TURNS: list[Any] = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "u1"},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "t", "signature": "x"},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "1", "name": "n", "input": {"text": "i"}},
            {"type": "mcp_tool_result", "content": [{"type": "text", "text": "m"}]},
            {"type": "web_fetch_tool_result", "content": {"content": {"type": "document", "title": "w"}}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "u2"},
            {"type": "tool_result", "tool_use_id": "1", "content": "r1"},
            {"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "r2"}, {"type": "image"}]},
            {"type": "document", "title": "d1", "context": "d2", "source": {"type": "text", "data": "d3"}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "d4"}]}},
            {"type": "document", "source": {"type": "base64", "data": "JVBERi0x"}},
            {
                "type": "search_result",
                "source": "https://h",
                "title": "d5",
                "content": [{"type": "text", "text": "d6"}],
            },
            {"type": "image", "source": {"type": "base64", "data": "aGVsbG8="}},
            {"type": "of_tomorrow", "text": "u3"},
        ],
    },
]


def test_texts_from_outside_are_seen_with_where_they_came_from_and_no_others() -> None:
    seen = {part.text: (part.source, part.is_fixed) for part in parts(TURNS)}
    assert seen == {
        **dict.fromkeys(("u1", "u2", "u3"), ("user", False)),
        **dict.fromkeys(("r1", "r2"), ("tool_results", False)),
        **dict.fromkeys(("d1", "d2", "d3", "d4", "d5", "d6"), ("documents", False)),
        **dict.fromkeys(("m", "w"), ("tool_results", True)),
    }
    for part in parts(TURNS):
        at: Any = TURNS
        for name in part.path:
            at = at[name]
        assert at == part.text


@pytest.mark.parametrize(
    "odd", [None, 1, "x", {}, [1], [{"role": "user"}], [{"role": "user", "content": [1, [], None]}]]
)
def test_what_is_no_conversation_has_no_texts(odd: Any) -> None:
    assert list(parts(odd)) == []


def test_of_a_body_only_what_was_found_is_changed() -> None:
    written = (
        b'[ {"role":"user", "x" : 1.50 , "content":[ {"type":"text","text":"a\\u00e9\\n x@y.zz \\ud83d\\ude00"}]} ]'
    )
    (part,) = parts(read_turns(written))
    place = part.text.index("x@y.zz")
    changed = edited(written, {part.path: [Span("email", place, place + 6)]})
    assert changed == written.replace(b"x@y.zz", b"[EMAIL]")


def test_a_value_named_twice_on_the_way_is_not_changed() -> None:
    with pytest.raises(ValueError, match="twice"):
        edited(b'[{"content":"x","content":"y"}]', {(0, "content"): [Span("email", 0, 1)]})


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40), st.data(), st.booleans())
def test_a_string_is_changed_in_place_however_it_is_written(text: str, data: st.DataObject, is_ascii: bool) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    written = json.dumps(text, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")
    changed = rewritten(written, [Span("card", start, end)])
    assert json.loads(changed) == text[:start] + "[CARD]" + text[end:]
    before = json.dumps(text[:start], ensure_ascii=is_ascii)[1:-1].encode()
    assert changed.startswith(b'"' + before + b"[CARD]") and written.startswith(b'"' + before)


def test_parts_can_be_told_apart() -> None:
    assert len({part.path for part in parts(TURNS)}) == len(list(parts(TURNS)))
    assert all(isinstance(part, Part) for part in parts(TURNS))
