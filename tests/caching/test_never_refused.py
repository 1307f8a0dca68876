"""Whatever a request is like that the API takes: it takes it with our marks too, and reads the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from caching.callers import words
from caching.shop import BEGAN_S
from penstock.caching.marking import marked
from penstock.caching.planner import Planner
from penstock.simulator.catalogue import find_model
from penstock.simulator.prefix import laid_out
from penstock.simulator.problems import Problem
from penstock.simulator.rules import check_message, parse
from penstock.wire.messages import Usage, read_request

MODELS = ("claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-5-5", "claude-sonnet-5-5")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

texts = st.one_of(
    st.integers(0, 3).map(lambda seed: words(2500, seed)),
    st.sampled_from(["a", "Ünïcode ☃", 'quoted "cache"', "\\n\\"]),
)
text = st.builds(lambda said: {"type": "text", "text": said}, texts)
blanks = st.sampled_from([{"type": "text", "text": ""}, {"type": "text", "text": " \n\t"}])
image = st.just({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}})
document = st.builds(
    lambda said, cites: {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": said},
        "citations": {"enabled": cites},
    },
    texts,
    st.booleans(),
)
found = st.builds(
    lambda said: {
        "type": "search_result",
        "source": "https://a.example",
        "title": "a",
        "content": [{"type": "text", "text": said}],
    },
    texts,
)
users = st.one_of(texts, st.lists(st.one_of(text, image, document, found, blanks), min_size=1, max_size=30))
tools = st.lists(
    st.one_of(
        st.builds(
            lambda said, late: {
                "name": "look",
                "description": said,
                "input_schema": {"type": "object"},
                **({"defer_loading": True} if late else {}),
            },
            texts,
            st.booleans(),
        ),
        st.sampled_from(
            [
                {"type": "bash_20250124", "name": "bash"},
                {"type": "web_search_20250305", "name": "web_search"},
                {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
                {"type": "memory_20250818", "name": "memory"},
            ]
        ),
    ),
    max_size=4,
    unique_by=lambda tool: tool["name"],
)


@st.composite
def calls(draw: st.DrawFn, count: int) -> Any:
    """What the assistant does between two turns of the user, and the user's next turn."""
    kind = draw(st.sampled_from(["text", "list", "tool", "thinking", "system", "search"]))
    said = draw(users)
    if kind == "text":
        return [("assistant", draw(texts)), ("user", said)]
    blocks: list[Any] = [draw(text)]
    if kind == "thinking":
        blocks.insert(0, {"type": "thinking", "thinking": "hm", "signature": "c2ln"})
    if kind == "search":
        one = f"srvtoolu_{count:03}"
        blocks.append({"type": "server_tool_use", "id": one, "name": "web_search", "input": {"query": "a"}})
        blocks.append({"type": "web_search_tool_result", "tool_use_id": one, "content": []})
    if kind == "tool":
        blocks.append({"type": "tool_use", "id": f"toolu_{count:03}", "name": "look", "input": {"at": 1}})
        result = draw(st.one_of(texts, st.lists(st.one_of(text, image), min_size=1, max_size=2)))
        rest = said if isinstance(said, list) else [{"type": "text", "text": said}]
        answers = [{"type": "tool_result", "tool_use_id": f"toolu_{count:03}", "content": result}, *rest]
        return [("assistant", blocks), ("user", answers)]
    if kind == "system":
        return [("assistant", blocks), ("user", said), ("system", draw(texts))]
    return [("assistant", blocks), ("user", said)]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Requests that have something in common: prompts that grow, are cut short, and come again."""
    fixed = {
        "model": draw(st.sampled_from(MODELS)),
        "max_tokens": 2000,
        "system": draw(st.one_of(texts, st.lists(text, min_size=1, max_size=4))),
        "tools": draw(tools),
        **draw(st.sampled_from([{}, {}, {"tool_choice": {"type": "auto"}}, {"speed": "fast"}])),
    }
    turns = [("user", draw(users))]
    made = []
    for count in range(draw(st.integers(1, 4))):
        made.append({**fixed, "messages": [{"role": role, "content": content} for role, content in turns]})
        turns = [*turns, *draw(calls(count))]
    return made + made[: draw(st.integers(0, 3))]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    conversations(),
    st.lists(st.sampled_from([1.0, 100.0, 400.0, 4000.0]), min_size=8, max_size=8),
    st.sampled_from(["auto", "1h"]),
)
def test_a_request_that_is_taken_is_taken_with_marks_and_is_the_same_prompt(
    bodies: list[dict[str, Any]], gaps: list[float], ttl: str
) -> None:
    planner, now_s, count = Planner(), BEGAN_S, 0
    for body, gap_s in zip(bodies, gaps, strict=False):
        raw = json.dumps(body).encode()
        if _refusal(raw) is not None:
            continue
        now_s += gap_s
        planned = planner.plan(
            read_request(raw), raw, scope="a", feature="f", now_s=now_s, at_us=int(now_s * 1e6), ttl=ttl
        )
        if planned is None:
            continue
        sent = marked(raw, planned.marks)
        if planned.marks:
            count += 1
            assert _refusal(sent) is None, (planned.marks, _refusal(sent))
            assert _unmarked(json.loads(sent)) == _unmarked(body)
            assert _prefixes(parse(sent)) == _prefixes(parse(raw)), "marks, and a text as a list, hash alike"
        else:
            assert sent == raw
        planner.begun(planned, now_s, now_s)
        planner.ended(planned, Usage(1, planned.read_tokens, planned.written_tokens, 0), now_s)
    assume(count)


def _refusal(raw: bytes) -> str | None:
    try:
        check_message(parse(raw), "2023-06-01", "", BEGAN_S)
    except Problem as problem:
        return str(problem)
    return None


def _prefixes(body: dict[str, Any]) -> list[bytes]:
    return [place.prefix for place in laid_out(body, find_model(body["model"]), "here").places]


def _unmarked(value: Any) -> Any:
    """As the API means it: without marks, and every content as a list."""
    if isinstance(value, list):
        return [_unmarked(one) for one in value]
    if not isinstance(value, dict):
        return value
    bare = {name: _unmarked(one) for name, one in value.items() if name != "cache_control"}
    for name in ("system", "content"):
        if name in bare and isinstance(bare[name], str) and "tool_use_id" not in bare:
            bare[name] = [{"type": "text", "text": bare[name]}]
    return bare
