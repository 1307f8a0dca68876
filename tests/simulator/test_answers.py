"""What the model says: tools at once, citations that quote truly, tools that run at the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from penstock.simulator import Running, running

from .structure import sequence_faults

Got = tuple[int, dict[str, str], bytes]
FACTS = "Water falls. The wheel turns! Does the mill grind? It does."


def tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": name, "input_schema": schema}


WEATHER, TRAINS = tool("get_weather"), tool("find_trains")


@pytest.mark.parametrize(
    ("prompt", "choice", "names"),
    [
        ("What is the weather in Paris?", None, ["get_weather"]),
        ("The weather and the trains in Paris, please.", None, ["get_weather", "find_trains"]),
        ("The weather and the trains in Paris.", {"type": "auto", "disable_parallel_tool_use": True}, ["get_weather"]),
        ("The weather in Paris.", {"type": "none"}, []),
        ("Hello.", {"type": "any"}, ["get_weather"]),
        ("Hello.", {"type": "tool", "name": "find_trains"}, ["find_trains"]),
        ("Hello.", None, []),
    ],
)
def test_tools_are_used_where_asked_forced_or_allowed(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], prompt: str, choice: Any, names: list[str]
) -> None:
    turns = [{"role": "user", "content": prompt}]
    more = {} if choice is None else {"tool_choice": choice}
    message = client.messages.create(**{**ask, "messages": turns, "tools": [WEATHER, TRAINS], **more})
    uses = [block for block in message.content if block.type == "tool_use"]
    assert [use.name for use in uses] == names and len({use.id for use in uses}) == len(uses)
    assert message.stop_reason == ("tool_use" if names else "end_turn")


def test_a_loop_of_parallel_tools_ends(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    turns: list[Any] = [{"role": "user", "content": "The weather and the trains in Paris, please."}]
    first = client.messages.create(**{**ask, "messages": turns, "tools": [WEATHER, TRAINS]})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "fine"}
        for block in first.content
        if block.type == "tool_use"
    ]
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = client.messages.create(**{**ask, "messages": turns, "tools": [WEATHER, TRAINS]})
    assert second.stop_reason == "end_turn" and len(results) == 2


SOURCES = {
    "char_location": {"type": "text", "media_type": "text/plain", "data": FACTS},
    "content_block_location": {
        "type": "content",
        "content": [{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}],
    },
    "page_location": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"},
}


def documented(ask: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    other = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Not to be quoted."}}
    content = [other, {**block, "citations": {"enabled": True}}, {"type": "text", "text": "What turns?"}]
    return {**ask, "messages": [{"role": "user", "content": content}]}


@pytest.mark.parametrize("kind", SOURCES)
def test_citations_say_truly_where_they_are_from(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], kind: str
) -> None:
    request = documented(ask, {"type": "document", "source": SOURCES[kind], "title": "The mill"})
    whole = client.messages.create(**request)
    with client.messages.stream(**request) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        (citation,) = [one for block in message.content if block.type == "text" for one in block.citations or []]
        assert citation.type == kind and citation.document_index == 1 and citation.document_title == "The mill"
        if citation.type == "char_location":
            assert FACTS[citation.start_char_index : citation.end_char_index] == citation.cited_text
        if citation.type == "content_block_location":
            assert citation.cited_text == ("One.", "Two.")[citation.start_block_index]


def test_search_results_are_cited_by_block(client: anthropic.Anthropic, ask: dict[str, Any]) -> None:
    content = [{"type": "text", "text": "First."}, {"type": "text", "text": "Second."}]
    block = {"type": "search_result", "source": "https://www.example.com", "title": "A page", "content": content}
    message = client.messages.create(**documented(ask, block))
    (citation,) = [one for part in message.content if part.type == "text" for one in part.citations or []]
    assert citation.type == "search_result_location" and citation.search_result_index == 0
    assert citation.cited_text == content[citation.start_block_index]["text"]


SERVER = {
    "web_search": ({"type": "web_search_20250305", "name": "web_search"}, "Search the web for mills."),
    "web_fetch": ({"type": "web_fetch_20250910", "name": "web_fetch"}, "Read https://www.example.com/mill please."),
    "code_execution": ({"type": "code_execution_20250825", "name": "code_execution"}, "Compute six times seven."),
}


@pytest.mark.parametrize("name", SERVER)
def test_server_tools_bring_call_result_and_word(
    sim: Running, client: anthropic.Anthropic, ask: dict[str, Any], send: Callable[..., Got], name: str
) -> None:
    given, prompt = SERVER[name]
    request = {**ask, "messages": [{"role": "user", "content": prompt}], "tools": [given]}
    message = client.messages.create(**request)
    kinds = [block.type for block in message.content]
    assert kinds[:2] == ["server_tool_use", f"{name}_tool_result"] and kinds[-1] == "text"
    assert message.content[0].id == message.content[1].tool_use_id  # type: ignore[union-attr]
    counts = message.usage.server_tool_use
    assert counts is not None and counts.web_search_requests == (1 if name == "web_search" else 0)
    raw = send(sim, body={**request, "stream": True})[2]
    assert sequence_faults(raw) == []
    with client.messages.stream(**request) as stream:
        streamed = stream.get_final_message()
    assert [block.type for block in streamed.content] == kinds and message.stop_reason == "end_turn"


def test_searches_are_billed_and_bounded(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    given, prompt = SERVER["web_search"]
    request = {**ask, "messages": [{"role": "user", "content": prompt}], "tools": [{**given, "max_uses": 1}]}
    with running(seed=1) as sim:
        content = json.loads(send(sim, body=request)[2])["content"]
        turns = [*request["messages"], {"role": "assistant", "content": content}, {"role": "user", "content": prompt}]
        status, _, body = send(sim, body={**request, "messages": turns})
        first, second = sim.books
    assert status == 200 and json.loads(body)["content"][1]["content"]["error_code"] == "max_uses_exceeded"
    assert (first.web_searches, second.web_searches) == (1, 0)
    assert first.cost_nano == first.input_tokens * 3_000 + first.output_tokens * 15_000 + 10_000_000
