"""Where cache marks may be, and how many."""

from __future__ import annotations

from typing import Any

from simulator.rules.cases import HOUR, MARK, TOOL, USER, result, said, text, used, verdict

LATE = (
    "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed "
    "in the following order: tools, system, messages."
)


def marked(*marks: Any) -> dict[str, Any]:
    """A turn of blocks with these marks, None for none."""
    return said(*(text(cache_control=mark) for mark in marks))


def test_four_blocks_may_be_marked() -> None:
    tools = {"tools": [{**TOOL, "cache_control": MARK}], "system": [text(cache_control=MARK)]}
    assert verdict({**tools, "messages": [marked(MARK, MARK)]}) == ""
    fault = "A maximum of 4 blocks with cache_control may be provided. Found 5."
    assert verdict({**tools, "messages": [marked(MARK, MARK, MARK)]}) == fault


def test_marks_within_results_count() -> None:
    inner = result(content=[text(cache_control=MARK), text(cache_control=MARK)], cache_control=MARK)
    talk = [USER, said(used(), role="assistant"), {**said(inner), "content": [inner, *marked(MARK)["content"]]}]
    assert verdict({"messages": talk}) == ""
    assert verdict({"messages": talk, "system": [text(cache_control=MARK)]}).endswith("Found 5.")


def test_automatic_caching_takes_a_slot_of_its_own() -> None:
    three, four = [marked(MARK, MARK, MARK, None)], [marked(MARK, MARK, MARK, MARK, None)]
    assert verdict({"cache_control": MARK, "messages": three}) == ""
    assert verdict({"cache_control": MARK, "messages": four}).endswith("Found 5.")


def test_automatic_caching_of_a_marked_block_is_no_change_or_a_contradiction() -> None:
    four = [marked(MARK, MARK, MARK, MARK)]
    assert verdict({"cache_control": MARK, "messages": four}) == ""
    assert verdict({"cache_control": HOUR, "messages": [marked(HOUR)]}) == ""
    fault = verdict({"cache_control": HOUR, "messages": [marked(MARK)]})
    assert fault.startswith("cache_control.ttl: a ttl='1h' does not agree with the ttl='5m'")


def test_an_hour_comes_before_five_minutes() -> None:
    assert verdict({"system": [text(cache_control=HOUR)], "messages": [marked(HOUR, MARK)]}) == ""
    fault = verdict({"system": [text(cache_control=MARK)], "messages": [USER, marked(HOUR)]})
    assert fault == f"messages.1.content.0.cache_control.ttl: {LATE}"
    tools = [{**TOOL, "cache_control": MARK}]
    assert verdict({"tools": tools, "system": [text(cache_control=HOUR)]}) == f"system.0.cache_control.ttl: {LATE}"
    assert verdict({"tools": tools, "cache_control": HOUR}) == f"cache_control.ttl: {LATE}"


def test_no_mark_is_null() -> None:
    assert verdict({"cache_control": None, "messages": [marked(None, None, None, None, None)]}) == ""
