"""The cache doctor names the cause that was planted, in calls through the core to the simulator's cache."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from clinic import ELSEWHERE, MARK, TWO, Clinic, body, text

from penstock.tools.cache.causes import CAUSES

SYSTEM = [text(2000, "rule", cache_control=MARK)]
TOOLS = [{"name": f"tool_{at}", "description": "act " * 600, "input_schema": {"type": "object"}} for at in range(3)]
OTHER_TOOLS = [TOOLS[0], {**TOOLS[1], "name": "other"}, TOOLS[2]]
#: One pixel.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
PAGE = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page. " * 20}}
OPUS = "claude-opus-5-5"

Plant = Callable[[Clinic], None]


def marked(words: int, word: str = "word", mark: dict[str, str] = MARK) -> list[dict[str, Any]]:
    return [text(words, word, cache_control=mark)]


def twice(first: dict[str, Any], second: dict[str, Any], gap_s: float = 60.0, **more: Any) -> Plant:
    """One body and then another, of one session."""

    def plant(clinic: Clinic) -> None:
        clinic.ask(0, first, session="s")
        clinic.ask(gap_s, second, session="s", **more)

    return plant


def unmarked(clinic: Clinic) -> None:
    for at in range(4):
        clinic.ask(60 * at, body(f"Question {at}?", system=[text(2000, "rule")]))


def below_minimum(clinic: Clinic) -> None:
    for at in range(3):
        clinic.ask(60 * at, body(f"Question {at}?", system=[text(500, "rule", cache_control=MARK)]))


def far_below_minimum(clinic: Clinic) -> None:
    for at in range(3):
        clinic.ask(60 * at, body(f"Question {at}?", system=[text(100, "rule", cache_control=MARK)]))


def volatile_system(clinic: Clinic) -> None:
    for at in range(6):
        system = [text(20, f"date{at}"), text(2000, "rule", cache_control=MARK)]
        clinic.ask(60 * at, body("Question?", system=system))


def volatile_and_unmarked(clinic: Clinic) -> None:
    for at in range(6):
        clinic.ask(60 * at, body("Question?", system=[text(20, f"date{at}"), text(2000, "rule")]))


def a_release(clinic: Clinic) -> None:
    for at in range(6):
        system = [text(1500, "rule"), text(800, "old" if at < 3 else "new", cache_control=MARK)]
        clinic.ask(60 * at, body(f"Question {at}?", system=system))


def another_model(clinic: Clinic) -> None:
    clinic.ask(0, body("Question?", system=SYSTEM), session="s")
    clinic.ask(60, body("And?", system=SYSTEM, model="claude-sonnet-4-5"), session="s")


def many_blocks(clinic: Clinic) -> None:
    first = marked(2000)
    clinic.ask(0, body(first), session="s")
    later = [text(5, f"item{at}") for at in range(25)]
    later[-1]["cache_control"] = MARK
    clinic.ask(60, body([text(2000)], "Yes.", later), session="s")


def together(clinic: Clinic) -> None:
    for at in range(4):
        clinic.ask(0.01 * at, body(f"Question {at}?", system=SYSTEM))


def one_offs(clinic: Clinic) -> None:
    for at in range(4):
        clinic.ask(400 * at, body(marked(2000, f"page{at}")))


def varying_end(clinic: Clinic) -> None:
    for at in range(4):
        clinic.ask(60 * at, body([text(2000, "book"), text(40, f"question{at}", cache_control=MARK)]))


def early_mark(clinic: Clinic) -> None:
    turns: list[Any] = [[text(1500, "start")]]
    for at in range(3):
        clinic.ask(60 * at, body(*turns, system=SYSTEM), session="s")
        turns += ["Yes.", [text(1500, f"more{at}")]]


TALK = ([text(1500, "start")], "Yes.", [text(1500, "then")])
EDITED = ([text(1500, "start")], "No.", [text(1500, "then")], "Fine.", marked(10, "now"))
CUT = ([text(1500, "then")], "Fine.", marked(10, "now"))
GONE_ON = ([text(1500, "start")], "Yes.", [text(1500, "then")], "Fine.", marked(10, "now"))
MARKED_TALK = (*TALK[:2], marked(1500, "then"))
WITH_TOOLS = {"tools": TOOLS, "system": SYSTEM}

#: What is planted, the cause to be named, and words that its evidence must have.
CASES: list[tuple[str, Plant, str, str]] = [
    ("nothing marked", unmarked, "unmarked", "block 1 of 1 of the system prompt"),
    ("below the minimum", below_minimum, "below_minimum", "caches from 1,024 on"),
    ("far below the minimum", far_below_minimum, "below_minimum", "caches from 1,024 on"),
    ("a date before the system prompt", volatile_system, "volatile", "block 1 of 2 of the system prompt"),
    ("a date, and nothing marked", volatile_and_unmarked, "volatile", "block 1 of 2 of the system prompt"),
    ("a release of the system prompt", a_release, "system_changed", "block 2 of 2 of the system prompt"),
    (
        "a tool changed",
        twice(body("Hi", **WITH_TOOLS), body("Hi", tools=OTHER_TOOLS, system=SYSTEM)),
        "tools_changed",
        "tool 2 of 3",
    ),
    (
        "a tool less",
        twice(body("Hi", **WITH_TOOLS), body("Hi", tools=TOOLS[:2], system=SYSTEM)),
        "tools_changed",
        "tool 3 of 3 is gone",
    ),
    (
        "tools in another order",
        twice(body("Hi", **WITH_TOOLS), body("Hi", tools=TOOLS[::-1], system=SYSTEM)),
        "tools_reordered",
        "tool 1 of 3",
    ),
    ("an edited turn", twice(body(*MARKED_TALK), body(*EDITED)), "messages_changed", "block 2 of 5 of the messages"),
    ("the first turns cut", twice(body(*MARKED_TALK), body(*CUT)), "messages_changed", "block 1 of 3 of the messages"),
    ("another model", another_model, "model_switched", "to claude-sonnet-4-5"),
    (
        "another key",
        twice(body("Hi", system=SYSTEM), body("Yes", system=SYSTEM), target=TWO),
        "key_switched",
        "from anthropic to anthropic#2",
    ),
    (
        "another upstream",
        twice(body("Hi", system=SYSTEM), body("Yes", system=SYSTEM), target=ELSEWHERE),
        "upstream_switched",
        "from anthropic to spare",
    ),
    (
        "speed",
        twice(body("Hi", system=SYSTEM, model=OPUS), body("Yes", system=SYSTEM, model=OPUS, speed="fast")),
        "speed",
        "to fast",
    ),
    (
        "web search",
        twice(body("Hi", **WITH_TOOLS), body("Hi", tools=[*TOOLS, SEARCH], system=SYSTEM)),
        "web_search",
        "web search on",
    ),
    (
        "citations",
        twice(
            body([PAGE, text(5)], system=SYSTEM),
            body([{**PAGE, "citations": {"enabled": True}}, text(5)], system=SYSTEM),
        ),
        "citations",
        "citations on",
    ),
    (
        "tool choice",
        twice(body(*MARKED_TALK, tools=TOOLS), body(*GONE_ON, tools=TOOLS, tool_choice={"type": "none"})),
        "tool_choice",
        "tool choice changed",
    ),
    (
        "an image",
        twice(body(*MARKED_TALK), body(*GONE_ON[:4], [IMAGE, *marked(10)])),
        "images",
        "images on",
    ),
    (
        "thinking",
        twice(
            {**body(*MARKED_TALK), "max_tokens": 2000},
            {**body(*GONE_ON), "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
        "thinking",
        "to enabled 1024",
    ),
    (
        "effort",
        twice(body(*MARKED_TALK), body(*GONE_ON, output_config={"effort": "low"})),
        "effort",
        "effort from high to low",
    ),
    ("more than 20 blocks", many_blocks, "lookback", "block 1 of 27 of the messages"),
    (
        "a pause of seven minutes",
        twice(body("Hi", system=SYSTEM), body("Yes", system=SYSTEM), gap_s=420),
        "expired",
        "Last used 7.0 minutes before; an hour would have kept it for 1 of them.",
    ),
    ("four at once", together, "parallel", "up to block 1 of 1 of the system prompt"),
    ("prompts that come once", one_offs, "never_read", ""),
    ("the mark on the question", varying_end, "misplaced", "up to block 1 of 2 of the messages"),
    ("a conversation with its system marked alone", early_mark, "mark_missing", "of the messages"),
]


@pytest.mark.parametrize(("plant", "cause", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_cause_planted_is_named(plant: Plant, cause: str, words: str, tmp_path: Path) -> None:
    clinic = Clinic(tmp_path)
    plant(clinic)
    findings = [one for patient in clinic.diagnosis().patients for one in patient.findings]
    assert [one.cause for one in findings] == [cause]
    assert words in f"{findings[0].where} {findings[0].evidence}"
    assert findings[0].fix and findings[0].call_ids
    if cause != "below_minimum":
        assert findings[0].nano > 0


def test_every_cause_is_planted() -> None:
    """Here, but for three that `test_cache_doctor_sums` has."""
    assert set(CAUSES) - {case[2] for case in CASES} == {"format", "not_cached", "lost_early"}
