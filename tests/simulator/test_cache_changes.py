"""What a change costs: the invalidation table, row by row, and what does not count as one."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.simulator import ApiKey
from penstock.simulator.accounts import Caller
from penstock.simulator.cache import PromptCache
from penstock.simulator.catalogue import find_model, served_models
from simulator.desk import MARK, Desk, ask_of, text

OPUS = "claude-opus-5-5"
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}}
PAGE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page."}}
CITED = {**PAGE, "citations": {"enabled": True}}


def a_tool(words: str = "act ", **more: Any) -> dict[str, Any]:
    return {"name": "act", "description": words * 900, "input_schema": {"type": "object"}, **more}


def base(**changes: Any) -> dict[str, Any]:
    """A request with a breakpoint at the end of each section, and something after the last."""
    plain = ask_of(
        [text(700, "m", cache_control=MARK), text(4, "tail")],
        model=OPUS,
        tools=[a_tool(cache_control=MARK)],
        system=[text(700, "s", cache_control=MARK)],
    )
    return {**plain, **changes}


def said(*extra: dict[str, Any], first: str = "m") -> list[dict[str, Any]]:
    content = [text(700, first, cache_control=MARK), text(4, "tail"), *extra]
    return [{"role": "user", "content": content}]


def kept_by(before: dict[str, Any], after: dict[str, Any]) -> int:
    """How many of the three sections the second request still reads."""
    cache, caller = PromptCache(), Caller("key", "org", "workspace")
    upto = []
    for body in (before, after):
        model = find_model(body["model"])
        planned = cache.plan(body, model, caller, 0.0)
        planned.admitted("msg_1")
        planned.begin()
        upto.append(planned.prompted)
    read = upto[1].cache_read
    stops = {0: 0}
    for sections, cut in ((1, "tools"), (2, "system"), (3, "messages")):
        part = {**after, "messages": [{"role": "user", "content": "x"}]}
        if cut == "tools":
            part["system"] = []
        if cut == "messages":
            part["messages"] = after["messages"]
        planned = PromptCache().plan(part, find_model(after["model"]), caller, 0.0)
        stops[planned.prompted.write_5m] = sections
    return stops[read]


CHANGES: list[tuple[str, dict[str, Any], int]] = [
    ("nothing", {}, 3),
    ("model", {"model": "claude-opus-5"}, 0),
    ("tool definition", {"tools": [a_tool("do ", cache_control=MARK)]}, 0),
    ("tool added before", {"tools": [{"name": "b", "input_schema": {}}, a_tool(cache_control=MARK)]}, 0),
    ("tool added after", {"tools": [a_tool(cache_control=MARK), {"name": "b", "input_schema": {}}]}, 1),
    ("web search on", {"tools": [a_tool(cache_control=MARK), SEARCH]}, 1),
    ("web search on, before", {"tools": [SEARCH, a_tool(cache_control=MARK)]}, 1),
    ("citations on", {"messages": said(CITED)}, 1),
    ("speed", {"speed": "fast"}, 1),
    ("system", {"system": [text(700, "other", cache_control=MARK)]}, 1),
    ("tool choice", {"tool_choice": {"type": "none"}}, 2),
    ("tool choice, forced", {"tool_choice": {"type": "any"}}, 2),
    ("no parallel tools", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, 2),
    ("image added", {"messages": said(IMAGE)}, 2),
    ("image added in a tool result", {"messages": said({"type": "tool_result", "content": [IMAGE]})}, 2),
    ("thinking", {"thinking": {"type": "between_tools"}}, 2),
    ("effort", {"output_config": {"effort": "low"}}, 2),
    ("answer's schema", {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, 2),
    ("messages", {"messages": said(first="n")}, 2),
    ("document added", {"messages": said(PAGE)}, 3),
    ("explicit default effort", {"output_config": {"effort": "medium"}}, 3),
    ("explicit default thinking", {"thinking": {"type": "adaptive"}}, 3),
    ("thinking shown otherwise", {"thinking": {"type": "adaptive", "display": "summarized"}}, 3),
    ("explicit default tool choice", {"tool_choice": {"type": "auto"}}, 3),
    ("explicit default speed", {"speed": "standard"}, 3),
    ("max_tokens, stream, metadata", {"max_tokens": 50, "stream": True, "metadata": {"user_id": "u"}}, 3),
]


@pytest.mark.parametrize(("change", "kept"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES])
def test_a_change_and_its_undoing_miss_from_their_section_on(change: dict[str, Any], kept: int) -> None:
    assert kept_by(base(), base(**change)) == kept
    assert kept_by(base(**change), base()) == kept


def test_an_image_more_is_no_change_where_there_was_one() -> None:
    assert kept_by(base(messages=said(IMAGE)), base(messages=said(IMAGE, IMAGE))) == 3


def test_the_default_effort_is_the_models_own() -> None:
    for name, usual in ((OPUS, "medium"), ("claude-haiku-5-5", "medium"), ("claude-sonnet-5-5", "high")):
        plain = base(model=name)
        for effort in ("low", "medium", "high"):
            kept = kept_by(plain, base(model=name, output_config={"effort": effort}))
            assert kept == (3 if effort == usual else 2), (name, effort)


def test_fast_mode_that_runs_as_standard_reads_the_standard_cache() -> None:
    plain = base(model="claude-opus-4-6", system=[text(5000, "s", cache_control=MARK)])
    assert kept_by(plain, {**plain, "speed": "fast"}) == 3


def test_a_request_for_a_section_reads_as_much_as_was_written() -> None:
    """The forced tool choice costs tokens, and an answer's schema does: they stand behind what they keep."""
    written = Desk().usage(base(model="claude-sonnet-4-6", messages=[{"role": "user", "content": "x"}]))[1]
    schema = {"format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}}}
    for change in ({"tool_choice": {"type": "any"}}, {"output_config": schema}):
        desk = Desk()
        desk.usage(base(model="claude-sonnet-4-6"))
        read, _, _, _ = desk.usage(base(model="claude-sonnet-4-6", **change))
        assert read == written


def thinking_loop(model: str, *more: Any) -> dict[str, Any]:
    """A tool loop with thinking, marked at the tool's result, and perhaps going on."""
    thought = {"type": "thinking", "thinking": "The question is clear.", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "toolu_1", "name": "act", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done " * 900, "cache_control": MARK}
    asked = text(4200, "q", cache_control=MARK)
    return ask_of(asked, [thought, use], result, *more, model=model, tools=[a_tool()])


@pytest.mark.parametrize("name", [model.id for model in served_models()])
def test_words_after_thinking_miss_on_old_opus_and_sonnet_and_all_haiku(name: str) -> None:
    model, caller, cache = find_model(name), Caller("key", "org", "workspace"), PromptCache()

    def read(*more: Any) -> int:
        planned = cache.plan(thinking_loop(name, *more), model, caller, 0.0)
        planned.begin()
        return planned.prompted.cache_read

    assert read() == 0
    whole, onward = read(), read("The tool says so.", {"type": "tool_result", "tool_use_id": "t", "content": "more"})
    assert onward == whole > 0, "tool results keep thinking"
    after_words = read("The tool says so.", "And now?")
    forgets = model.family == "haiku" or (model.family == "sonnet" and model.version == (4, 5))
    assert (0 < after_words < whole) if forgets else (after_words == whole)


def test_system_messages_within_a_conversation_invalidate_nothing() -> None:
    desk = Desk()
    asked = text(1500, cache_control=MARK)
    written = desk.usage(ask_of(asked, model=OPUS))[1]
    later = ask_of(asked, "Yes.", "Go on.", model=OPUS)
    later["messages"].insert(2, {"role": "system", "content": "Be brief."})
    assert desk.usage(later)[0] == written
    low = {"role": "system", "content": "Be brief.", "output_config": {"effort": "low"}}
    other = {**later, "messages": [*later["messages"][:2], low, later["messages"][3]], "cache_control": MARK}
    cache, caller, model = PromptCache(), Caller("key", "org", "workspace"), find_model(OPUS)
    cache.plan({**later, "cache_control": MARK}, model, caller, 0.0).begin()
    again = cache.plan(other, model, caller, 0.0).prompted
    assert again.cache_read > written and again.write_5m == 0


def test_a_workspace_reads_only_its_own_cache() -> None:
    others = [ApiKey("sk-a", workspace="a"), ApiKey("sk-a2", workspace="a"), ApiKey("sk-o", organization="other")]
    desk = Desk(keys=others)
    body = ask_of(text(1500, cache_control=MARK))
    assert desk.usage(body)[0] == desk.usage(body, "sk-a")[0] == desk.usage(body, "sk-o")[0] == 0
    for key in (None, "sk-a", "sk-a2", "sk-o"):
        assert desk.usage(body, key)[0] > 0
