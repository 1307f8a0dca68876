"""The prompt cache's rules, with the worked examples of the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock.simulator import prefix
from penstock.simulator.accounts import Caller
from penstock.simulator.cache import LOOKBACK, PromptCache, count_prompt
from penstock.simulator.catalogue import Model, find_model, served_models
from penstock.simulator.problems import Problem
from penstock.simulator.rules import check_message
from simulator.desk import HOUR, MARK, Desk, ask_of, text

CALLER = Caller("key", "org", "workspace")


def blocks(count: int, *marked: int, mark: Any = MARK) -> list[dict[str, Any]]:
    """Numbered blocks from 1 on: the first a long one, those in `marked` with a mark."""
    made = [text(1200, "first"), *(text(2, f"word{at}") for at in range(2, count + 1))]
    return [{**one, "cache_control": mark} if at in marked else one for at, one in enumerate(made, 1)]


def test_a_prefix_is_written_once_and_then_read() -> None:
    desk = Desk()
    body = ask_of([text(1500, cache_control=MARK), text(100, "tail")])
    read, written, _, rest = desk.usage(body)
    assert read == 0 and 1500 <= written <= 1510 and 100 <= rest <= 105
    assert desk.usage(body) == (written, 0, 0, rest)


def test_the_example_of_blocks_15_and_35() -> None:
    desk = Desk()
    written = desk.usage(ask_of(blocks(15, 15)))[1]
    for last, is_hit in ((34, True), (35, False)):
        fresh = Desk()
        assert fresh.usage(ask_of(blocks(15, 15)))[1] == written
        read = fresh.usage(ask_of(blocks(last, last)))[0]
        assert read == (written if is_hit else 0), last
    read, also_written, _, _ = desk.usage(ask_of(blocks(35, 15, 35)))
    assert read == written and also_written > 0


@pytest.mark.parametrize("distance", [0, 1, LOOKBACK - 1, LOOKBACK, LOOKBACK + 1])
def test_each_breakpoint_looks_back_for_itself(distance: int) -> None:
    desk = Desk()
    desk.usage(ask_of(blocks(15, 15)))
    read = desk.usage(ask_of(blocks(70, 15 + distance, 70)))[0]
    assert bool(read) == (distance < LOOKBACK)


def test_only_breakpoints_are_entries() -> None:
    desk = Desk()
    desk.usage(ask_of(blocks(10, 10)))
    assert desk.usage(ask_of(blocks(9, 9)))[0] == 0


@pytest.mark.parametrize("model", served_models(), ids=lambda model: model.id)
def test_nothing_is_cached_below_the_models_minimum(model: Model) -> None:
    seen = set()
    for words in range(model.cacheable_tokens * 3 // 5, model.cacheable_tokens + 10, 7):
        body = ask_of(text(words, cache_control=MARK), model=model.id)
        counts = PromptCache().plan(body, model, CALLER, 0.0).prompted
        upto = count_prompt(body, model) - 3
        assert counts.write_5m == (upto if upto >= model.cacheable_tokens else 0)
        assert counts.input_tokens == upto + 3 - counts.write_5m
        seen.add(counts.write_5m > 0)
    assert seen == {True, False}


def test_a_short_breakpoint_does_not_keep_a_long_one_from_being_cached() -> None:
    read, short, hour, _ = Desk().usage(ask_of([text(100, cache_control=HOUR), text(1200, cache_control=MARK)]))
    assert (read, hour) == (0, 0) and short > 1300


def test_usage_is_split_at_the_hit_the_last_hour_mark_and_the_last_mark() -> None:
    desk = Desk()
    system = [text(1100, "a", cache_control=HOUR)]
    first = desk.usage(ask_of([text(10, "q")], system=system))
    assert first[0] == first[1] == 0 and 1100 <= first[2] <= 1110
    longer = [*system, text(300, "b", cache_control=HOUR)]
    read, short, hour, rest = desk.usage(ask_of([text(200, "c", cache_control=MARK), text(50, "d")], system=longer))
    assert read == first[2] and hour == 300 and 200 <= short <= 208 and 50 <= rest <= 54


def test_an_hour_mark_before_the_hit_writes_nothing() -> None:
    desk = Desk()
    desk.usage(ask_of([text(1100, "a", cache_control=HOUR), text(100, "b", cache_control=MARK)]))
    again = [text(1100, "a", cache_control=HOUR), text(100, "b", cache_control=MARK), text(70, "c", cache_control=MARK)]
    read, short, hour, _ = desk.usage(ask_of(again))
    assert read > 1200 and (short, hour) == (70, 0)


def test_marks_are_no_part_of_a_prefix() -> None:
    desk = Desk()
    written = desk.usage(ask_of([text(1200, cache_control=HOUR), text(5, "a")]))[2]
    moved = [text(1200), text(5, "a", cache_control=MARK)]
    assert desk.usage(ask_of(moved))[0] == written


def test_a_mark_inside_a_tool_result_is_the_results() -> None:
    desk = Desk()
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    tools = [{"name": "look", "input_schema": {"type": "object"}}]

    def body(inner: dict[str, Any], **more: Any) -> dict[str, Any]:
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [inner], **more}
        return ask_of("look", use, result, tools=tools)

    written = desk.usage(body(text(1500, cache_control=MARK)))[1]
    assert written > 1500
    assert desk.usage(body(text(1500), cache_control=MARK))[0] == written


def test_the_order_of_a_blocks_own_fields_does_not_count_but_that_of_a_tools_input_does() -> None:
    desk = Desk()
    words = text(1500, cache_control=MARK)
    written = desk.usage(ask_of(words))[1]
    assert desk.usage(ask_of(dict(reversed(words.items()))))[0] == written
    assert desk.usage(ask_of({**words, "citations": None}))[0] == written

    def loop(given: dict[str, Any]) -> dict[str, Any]:
        use = {"type": "tool_use", "id": "toolu_1", "name": "t", "input": given}
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done " * 1500, "cache_control": MARK}
        return ask_of("look", use, result, tools=[{"name": "t", "input_schema": {"type": "object"}}])

    assert desk.usage(loop({"a": 1, "b": 2}))[0] == 0
    assert desk.usage(loop({"a": 1, "b": 2}))[0] > 0
    assert desk.usage(loop({"b": 2, "a": 1}))[0] == 0


def test_a_text_and_a_list_of_one_text_are_the_same_prompt() -> None:
    desk = Desk()
    words = "word " * 1500
    written = desk.usage(ask_of(words, system="Be brief.", cache_control=MARK))[1]
    listed = ask_of({"type": "text", "text": words}, system=[{"type": "text", "text": "Be brief."}], cache_control=MARK)
    assert desk.usage(listed)[0] == written > 0


def test_turns_in_a_row_of_one_role_are_one_turn() -> None:
    desk = Desk()
    one, other = text(1500), text(5, "end", cache_control=MARK)
    merged, split = ask_of([one, other]), ask_of()
    split["messages"] = [{"role": "user", "content": [one]}, {"role": "user", "content": [other]}]
    written = desk.usage(merged)[1]
    assert desk.usage(split)[0] == written > 0
    spoken = {
        **split,
        "messages": [split["messages"][0], {"role": "assistant", "content": [other]}, ask_of("?")["messages"][0]],
    }
    assert desk.usage(spoken)[0] == 0


def test_automatic_caching_follows_a_conversation() -> None:
    desk = Desk()
    turns: list[Any] = ["word " * 1500]
    upto = 0
    for at in range(4):
        read, written, hour, rest = desk.usage(ask_of(*turns, cache_control=MARK))
        assert (read, hour, rest) == (upto, 0, 3) and written > 0
        upto += written
        turns += [f"answer {at}", f"and {at} then?"]


def test_automatic_caching_passes_over_what_cannot_be_marked() -> None:
    thought = {"type": "thinking", "thinking": "so " * 20, "signature": "s"}
    model = find_model("claude-sonnet-4-5")
    body = ask_of([text(1500)], [text(3, "said"), thought], model=model.id, cache_control=MARK)
    plain = ask_of([text(1500)], [text(3, "said", cache_control=MARK), thought], model=model.id)
    cache = PromptCache()
    wanted = cache.plan(plain, model, CALLER, 0.0)
    got = cache.plan(body, model, CALLER, 0.0)
    assert got.prompted == wanted.prompted and got.prompted.write_5m > 1500
    got.begin()
    assert cache.plan(plain, model, CALLER, 1.0).prompted.cache_read == wanted.prompted.write_5m


def test_automatic_caching_of_a_block_marked_the_same_way_changes_nothing() -> None:
    marked = ask_of(text(1500, cache_control=HOUR))
    assert Desk().usage(marked) == Desk().usage({**marked, "cache_control": HOUR})
    hour = Desk().usage(ask_of(text(1500), cache_control=HOUR))
    assert hour[2] > 1500 and hour[1] == 0


def test_a_prewarmed_prefix_is_read_by_the_first_question() -> None:
    desk = Desk()
    system = [text(1500, cache_control=MARK)]
    answer = desk.ask({**ask_of("warm", system=system), "max_tokens": 0})
    assert answer["content"] == [] and answer["stop_reason"] == "max_tokens"
    written = answer["usage"]["cache_creation_input_tokens"]
    assert answer["usage"]["output_tokens"] == 0 and written >= 1500
    assert desk.usage(ask_of("What now?", system=system))[0] == written


def test_the_last_result_of_a_server_tool_is_a_breakpoint_where_anything_is_cached() -> None:
    found = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    searched = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "river"}}
    turns: list[Any] = [[text(1100, cache_control=MARK)], [searched, found, text(9, "so")], [text(5, "go on")]]
    desk = Desk()
    first = desk.usage(ask_of(*turns))
    assert first[1] > 1100 + 9
    changed = [*turns[:2], [text(7, "stop")]]
    read, written, _, rest = desk.usage(ask_of(*changed))
    assert (read, written) == (first[1], 0) and rest > 7 + 9
    unmarked = [[text(1100)], *turns[1:]]
    assert Desk().usage(ask_of(*unmarked))[:3] == (0, 0, 0)


def test_count_tokens_is_the_sum_of_the_counters() -> None:
    desk = Desk()
    model = find_model("claude-sonnet-4-6")
    tools = [{"name": f"t{at}", "description": "act " * 200, "input_schema": {"type": "object"}} for at in range(5)]
    body = ask_of(
        [text(900, cache_control=MARK), text(33)], tools=tools, tool_choice={"type": "any"}, system="Be brief."
    )
    assert sum(desk.usage(body)) == sum(desk.usage(body)) == count_prompt(body, model)


def test_a_deferred_tool_is_no_part_of_the_prompt() -> None:
    desk = Desk()
    shown = {"name": "shown", "input_schema": {"type": "object"}}
    hidden = {"name": "hidden", "description": "act " * 900, "input_schema": {"type": "object"}, "defer_loading": True}
    body = ask_of(text(1500, cache_control=MARK), tools=[shown])
    written = desk.usage(body)[1]
    assert desk.usage({**body, "tools": [hidden, shown]})[0] == written


def test_every_block_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []

    def counting(data: bytes) -> bytes:
        hashed.append(len(data))
        return real(data)

    real = prefix._hash
    monkeypatch.setattr(prefix, "_hash", counting)
    body = ask_of([*(text(2000, f"w{at}", cache_control=MARK) for at in range(4)), *blocks(400)], cache_control=MARK)
    PromptCache().plan(body, find_model(body["model"]), CALLER, 0.0)
    assert len(json.dumps(body)) / 2 < sum(hashed) < len(json.dumps(body)) + 405 * 60


def test_what_has_ended_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.simulator.cache._FIRST_SWEEP", 50)
    cache, model = PromptCache(), find_model("claude-opus-5-5")
    for at in range(400):
        planned = cache.plan(ask_of(text(600, f"n{at}", cache_control=MARK)), model, CALLER, at * 20.0)
        planned.admitted(f"msg_{at}")
        planned.begin()
        assert len(cache._entries) <= 60
    assert cache.plan(ask_of(text(600, "n399", cache_control=MARK)), model, CALLER, 8_000.0).prompted.cache_read


#: Prompts whose size the estimator cannot see: the content of files and compacted turns, and what citations add.
UNSEEN = ('"file"', "compact_20260112", '"citations"')


def test_recorded_prompts_are_cached_where_the_real_ones_were(recordings: Path) -> None:
    errors, tails, apart = [], [], []
    for path in sorted(recordings.glob("[!_]*/**/*.json")):
        recorded = json.loads(path.read_text())
        body, answer = (part if isinstance(part, str) else json.dumps(part) for part in bodies(recorded))
        if '"cache_control"' not in body or recorded["response"].get("status") != 200:
            continue
        try:
            request = json.loads(body)
            model = check_message(request, "2023-06-01", "any")
        except (Problem, ValueError):
            continue
        ours = PromptCache().plan(request, model, CALLER, 0.0).prompted
        kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
        rest, written, read = (
            int(found[1]) if (found := re.search(rf'"{kind}": ?(\d+)', answer)) else 0 for kind in kinds
        )
        if bool(written + read) != bool(ours.write_5m + ours.write_1h):
            is_close = abs(count_prompt(request, model) / model.cacheable_tokens - 1) < 0.05
            apart += [] if is_close or any(one in body for one in UNSEEN) else [path.name]
        elif written + read:
            errors.append(abs(ours.write_5m + ours.write_1h - written - read) / (written + read))
            tails.append(abs(ours.input_tokens - rest) <= 2)
    assert len(errors) > 200 and apart == []
    assert sorted(errors)[len(errors) // 2] <= 0.05 and sorted(errors)[len(errors) * 9 // 10] <= 0.1
    assert sum(tails) > 0.9 * len(tails)


def bodies(recorded: dict[str, Any]) -> tuple[Any, Any]:
    return (recorded.get("request") or {}).get("body"), recorded["response"].get("body")
