"""Who may speak when, and which calls are answered."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.rules.cases import (
    HAIKU_4_5,
    MARK,
    OPUS_4_7,
    OPUS_4_8,
    SONNET_4_5,
    USER,
    result,
    said,
    text,
    used,
    verdict,
)

BLANK = "text content blocks must contain non-whitespace text"
EMPTY = "all messages must have non-empty content except for the optional final assistant message"
PREFILL = "This model does not support assistant message prefill. The conversation must end with a user message."
SYSTEM = {"role": "system", "content": "Note."}
CALL, ANSWER = said(used(), role="assistant"), said(result())
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}


def unanswered(at: int, *ids: str) -> str:
    return (
        f"messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(ids)}. "
        "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
    )


def unexpected(at: int, place: int, id: str) -> str:
    return (
        f"messages.{at}.content.{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each "
        "`tool_result` block must have a corresponding `tool_use` block in the previous message."
    )


FAULTS: list[tuple[str, list[Any], str]] = [
    ("none", [], "messages: at least one message is required"),
    ("empty text", [{"role": "user", "content": ""}, USER], f"messages.0: {EMPTY}"),
    ("empty list", [USER, said(role="assistant"), USER], f"messages.1: {EMPTY}"),
    ("empty last user", [{"role": "user", "content": ""}], f"messages.0: {EMPTY}"),
    ("blank text", [{"role": "user", "content": " "}], f"messages: {BLANK}"),
    ("empty block", [said(text(""))], "messages: text content blocks must be non-empty"),
    ("blank block", [said(text(" "))], f"messages: {BLANK}"),
    (
        "marked empty block",
        [said(text("", cache_control=MARK))],
        "messages.0.content.0.text: cache_control cannot be set for empty text blocks",
    ),
    ("call by a user", [said(used())], "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages"),
    (
        "result by an assistant",
        [USER, said(result(), role="assistant")],
        "messages.1.content.0: `tool_result` blocks can only be in `user` messages",
    ),
    ("not answered", [USER, CALL, USER], unanswered(1, "toolu_1")),
    ("not answered at the end", [USER, CALL], unanswered(1, "toolu_1")),
    ("half answered", [USER, said(used("a"), used("b"), role="assistant"), said(result("a"))], unanswered(1, "b")),
    ("words before the result", [USER, CALL, said(text(), result())], unanswered(1, "toolu_1")),
    ("words after the call", [USER, said(used(), text(), role="assistant"), ANSWER], unanswered(1, "toolu_1")),
    ("answered late", [USER, CALL, USER, said(text(), role="assistant"), ANSWER], unanswered(1, "toolu_1")),
    ("nothing called", [ANSWER], unexpected(0, 0, "toolu_1")),
    ("nothing called, turns merged", [USER, said(result("x"))], unexpected(0, 1, "x")),
    (
        "answered twice",
        [USER, CALL, said(result(), result())],
        "messages.2.content.1: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
        "toolu_1",
    ),
    (
        "called twice",
        [USER, said(used("a"), used("a"), role="assistant"), said(result("a"))],
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    (
        "an error with a picture",
        [USER, CALL, said(result(is_error=True, content=[IMAGE]))],
        "messages.2.content.0.tool_result: all content must be type `text` if `is_error` is true",
    ),
    (
        "found without a search",
        [USER, said(FOUND, role="assistant"), USER],
        "messages.1.content.0: unexpected `tool_use_id` found in `web_search_tool_result` blocks: srvtoolu_1. Each "
        "`web_search_tool_result` block must have a corresponding `server_tool_use` block before it.",
    ),
    (
        "searched and not found",
        [USER, said(SEARCH, role="assistant"), USER],
        "messages.1: `web_search` tool use with id `srvtoolu_1` was found without a corresponding "
        "`web_search_tool_result` block",
    ),
    ("prefill", [USER, {"role": "assistant", "content": "I"}], PREFILL),
]  # fmt: skip


@pytest.mark.parametrize(("messages", "fault"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_conversation_that_cannot_be_is_refused(messages: list[Any], fault: str) -> None:
    assert verdict({"messages": messages}) == fault


GOOD: dict[str, list[Any]] = {
    "an assistant begins": [said(text(), role="assistant"), USER],
    "two users": [USER, USER],
    "a tool loop": [USER, CALL, ANSWER],
    "results, then words": [USER, CALL, said(result(), text())],
    "results over two turns": [
        USER,
        said(used("a"), used("b"), role="assistant"),
        said(result("a")),
        said(result("b")),
    ],
    "an id again": [USER, CALL, ANSWER, CALL, ANSWER],
    "a search": [USER, said(SEARCH, FOUND, text(), role="assistant"), USER],
    "a search that waits for a client's tool": [USER, said(SEARCH, used(), role="assistant"), ANSWER],
    "a paused turn": [USER, said(text(), SEARCH, role="assistant")],
    "a paused turn after a result": [USER, said(SEARCH, FOUND, role="assistant")],
}


@pytest.mark.parametrize("name", GOOD)
def test_a_conversation_that_can_be_passes(name: str) -> None:
    assert verdict({"messages": GOOD[name]}) == ""


def test_old_models_are_prefilled_but_not_with_a_blank_end() -> None:
    ending = [USER, {"role": "assistant", "content": "I "}]
    assert verdict({"model": HAIKU_4_5, "messages": [USER, {"role": "assistant", "content": "I"}]}) == ""
    assert verdict({"model": HAIKU_4_5, "messages": [USER, {"role": "assistant", "content": ""}]}) == ""
    fault = "messages: final assistant content cannot end with trailing whitespace"
    assert verdict({"model": HAIKU_4_5, "messages": ending}) == fault
    assert verdict({"model": HAIKU_4_5, "messages": [USER, said(text("I "), role="assistant")]}) == fault


def test_the_system_speaks_in_between_on_models_that_hear_it() -> None:
    talk = [USER, CALL, SYSTEM, ANSWER, SYSTEM]
    assert verdict({"model": OPUS_4_8, "messages": talk}) == ""
    assert verdict({"model": OPUS_4_7, "messages": talk}) == "role 'system' is not supported on this model"
    assert verdict({"model": SONNET_4_5, "messages": talk}).startswith('messages: Unexpected role "system".')
    first = verdict({"model": OPUS_4_8, "messages": [SYSTEM, USER]})
    assert first.startswith("messages.0: use the top-level 'system' parameter for the initial system prompt;")
    shown = verdict({"model": OPUS_4_8, "messages": [USER, said(IMAGE, role="system")]})
    assert shown.startswith("messages.1.content.0: Input tag 'image' found using 'type' does not match")


def test_a_system_prompt_has_words() -> None:
    assert verdict({"system": ""}) == "" and verdict({"system": []}) == ""
    assert verdict({"system": " "}) == f"system: {BLANK}"
    assert verdict({"system": [text("")]}) == "system: text content blocks must be non-empty"
    fault = "system.0: cache_control cannot be set for empty text blocks"
    assert verdict({"system": [text("", cache_control=MARK)]}) == fault
