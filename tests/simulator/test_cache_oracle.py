"""The prompt cache against an oracle: random conversations, marks, lifetimes, times, workspaces and models."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from penstock.simulator.accounts import Caller
from penstock.simulator.cache import PromptCache, count_prompt
from penstock.simulator.catalogue import find_model
from simulator.cache_oracle import Oracle

MODELS = ("claude-sonnet-4-6", "claude-opus-5-5", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-fable-5")
WORKSPACES = ("one", "other")
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
GAPS_S = st.sampled_from([0, 1, 7, 60, 60, 200, 299, 299, 300, 301, 1800, 3599, 3600])
DELAYS_S = st.sampled_from([0, 0, 0, 1, 5, 60])


def tool(name: str, words: int) -> dict[str, Any]:
    return {"name": name, "description": "act " * words, "input_schema": {"type": "object"}}


def words(size: int, name: str) -> dict[str, Any]:
    return {"type": "text", "text": f"{name} " * size}


def odd_block(kind: str, at: int) -> dict[str, Any]:
    return {
        "thinking": {"type": "thinking", "thinking": f"thought {at}", "signature": "s"},
        "image": {"type": "image", "source": {"type": "url", "url": f"http://{at}"}},
        "empty": {"type": "text", "text": ""},
        "cited": {"type": "document", "source": {"type": "text", "data": str(at)}, "citations": {"enabled": True}},
        "found": {"type": "web_search_tool_result", "tool_use_id": f"srvtoolu_{at}", "content": []},
        "result": {"type": "tool_result", "tool_use_id": f"toolu_{at}", "content": "done " * 30},
    }[kind]


SIZES = st.sampled_from([1, 1, 5, 300, 600, 1200, 1200, 4200])
ODD = {
    "user": st.sampled_from(["image", "empty", "cited", "result", "result", "result"]),
    "assistant": st.sampled_from(["thinking", "thinking", "empty", "found"]),
}


@st.composite
def pools(draw: st.DrawFn) -> dict[str, Any]:
    """A conversation that requests are beginnings of: many small blocks, some large, some of odd kinds."""
    turns = []
    for at in range(draw(st.integers(3, 14))):
        role = draw(st.sampled_from(["user", "user", "assistant", "assistant", "system"]))
        blocks = [words(draw(SIZES), f"w{at}")]
        blocks += [words(1, f"v{at}x{more}") for more in range(draw(st.sampled_from([0, 0, 2, 9])))]
        if role != "system" and draw(st.booleans()):
            blocks.insert(draw(st.integers(0, 1)), odd_block(draw(ODD[role]), at))
            if role == "user" and draw(st.booleans()):
                blocks = blocks[:1]
        turns.append({"role": role, "content": blocks})
    tools = [tool(f"t{at}", draw(SIZES)) for at in range(draw(st.integers(0, 3)))]
    if draw(st.booleans()):
        tools.insert(draw(st.integers(0, len(tools))), SEARCH)
    system = [words(draw(SIZES), f"s{at}") for at in range(draw(st.integers(0, 3)))]
    return {"tools": tools, "system": system, "messages": turns}


CONFIGS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "tool_choice": st.sampled_from([{"type": "auto"}, {"type": "any"}, {"type": "none"}]),
        "output_config": st.sampled_from([{"effort": "high"}, {"effort": "medium"}, {"effort": "low"}]),
        "speed": st.sampled_from(["standard", "fast"]),
    },
)
THINKING = st.sampled_from([{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 2000}])
PLAIN: st.SearchStrategy[dict[str, Any]] = st.just({})


@st.composite
def requests(draw: st.DrawFn, pool: dict[str, Any], home: str) -> dict[str, Any]:
    turns = pool["messages"]
    body: dict[str, Any] = {
        "model": draw(st.sampled_from([home] * 12 + list(MODELS))),
        "messages": [copied(turn) for turn in turns[: len(turns) - draw(st.integers(0, len(turns) - 1))]],
        "system": [dict(block) for block in pool["system"]],
        "tools": [dict(one) for one in pool["tools"] if one is not SEARCH or draw(st.integers(0, 9)) < 9],
        **draw(CONFIGS if draw(st.integers(0, 4)) == 4 else PLAIN),
    }
    if draw(st.integers(0, 9)) == 9 and not find_model(body["model"]).thinks_always:
        body["thinking"] = draw(THINKING)
    if body.get("speed") == "fast" and not find_model(body["model"]).facts.may_be_fast:
        del body["speed"]
    places = [*body["tools"], *body["system"], *(block for turn in body["messages"] for block in turn["content"])]
    marks = draw(st.lists(st.integers(0, len(places) - 1) | st.just(len(places) - 1), max_size=4))
    for at in marks:
        places[at]["cache_control"] = draw(st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}]))
    if draw(st.booleans()):
        body["cache_control"] = {"type": "ephemeral"}
    return body


def copied(turn: dict[str, Any]) -> dict[str, Any]:
    return {**turn, "content": [dict(block) for block in turn["content"]]}


@st.composite
def visits(draw: st.DrawFn) -> list[tuple[float, float, str, dict[str, Any]]]:
    """When each request starts, when its answer begins, in which workspace, and its body."""
    pool = draw(pools())
    home = draw(st.sampled_from(MODELS))
    made, now_s = [], 0.0
    for _ in range(draw(st.integers(3, 9))):
        now_s += draw(GAPS_S)
        workspace = WORKSPACES[draw(st.integers(0, 9)) == 9]
        made.append((now_s, now_s + draw(DELAYS_S), workspace, draw(requests(pool, home))))
    return made


@given(visits())
@settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_usage_is_what_the_text_says(visited: list[tuple[float, float, str, dict[str, Any]]]) -> None:
    cache, oracle, order = PromptCache(), Oracle(), count()
    agenda: list[tuple[float, int, Callable[[], None]]] = []

    def start(start_s: float, begins_s: float, workspace: str, body: dict[str, Any]) -> None:
        model = find_model(body["model"])
        planned = cache.plan(body, model, Caller("key", "org", workspace), start_s)
        expected = oracle.start(body, model, workspace, start_s)
        got = planned.prompted
        assert (got.cache_read, got.write_5m, got.write_1h, got.input_tokens) == expected.counts
        assert sum(expected.counts) == count_prompt(body, model)
        event("read" if got.cache_read else "written" if got.write_5m or got.write_1h else "nothing")
        planned.admitted(f"msg_{next(order)}")

        def begin() -> None:
            planned.begin()
            oracle.begin(expected)

        heapq.heappush(agenda, (begins_s, next(order), begin))

    for start_s, begins_s, workspace, body in visited:
        while agenda and agenda[0][0] <= start_s:
            heapq.heappop(agenda)[2]()
        start(start_s, begins_s, workspace, body)
