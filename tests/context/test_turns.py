"""What of a conversation belongs together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.context.turns import Conversation, Unreadable, read


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content[0] if len(content) == 1 and isinstance(content[0], str) else content}


def said(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def call(id: str, kind: str = "tool_use") -> dict[str, Any]:
    return {"type": kind, "id": id, "name": "look", "input": {}}


def result(id: str, kind: str = "tool_result") -> dict[str, Any]:
    return {"type": kind, "tool_use_id": id, "content": "wet"}


TEXT = {"type": "text", "text": "and"}
SYSTEM = {"role": "system", "content": "Be brief."}


def of(*turns: dict[str, Any]) -> Conversation:
    return read(json.dumps(turns).encode())


@pytest.mark.parametrize(
    ("turns", "begins"),
    [
        ((user("a"), said("b"), user("c")), [0, 2]),
        ((user("a"), said(call("1")), user(result("1")), said("b"), user("c")), [0, 4]),
        ((user("a"), said(call("1"), call("2")), user(result("1"), result("2"), TEXT), said("b")), [0]),
        ((user("a"), said(call("1")), user(result("1")), user("more"), said("b"), user("c")), [0, 5]),
        ((user("a"), user("b"), said("c"), user("d")), [0, 3]),
        ((said("a"), user("b"), said("c"), user("d")), [0, 1, 3]),
        ((SYSTEM, user("a"), said("b"), SYSTEM, user("c")), [0, 4]),
        # A server's tool that waited for a client's: its result comes a turn later.
        (
            (
                user("a"),
                said(call("s", "server_tool_use"), call("1")),
                user(result("1")),
                said(result("s", "web_search_tool_result")),
                user("c"),
            ),
            [0, 4],
        ),
        # Whatever stands between a call and its result: nothing is cut there.
        ((user("a"), said(call("1")), SYSTEM, user("words"), said("b"), user(result("1")), user("c")), [0]),
    ],
)
def test_an_exchange_begins_with_a_users_words_alone(turns: Any, begins: list[int]) -> None:
    assert of(*turns).begins == begins


def test_turns_of_the_system_are_of_no_exchange() -> None:
    talk = of(user("a"), said("b"), SYSTEM, user("c"))
    assert [talk.members(0), talk.members(1)] == [[0, 1], [3]]


def test_each_call_that_was_made_is_a_moment() -> None:
    talk = of(user("a"), said(call("1")), user(result("1")), said("b"), user("c"))
    assert [tuple(moment) for moment in talk.moments] == [(1, 0, True), (3, 0, False), (5, 1, True)]
    paused = of(user("a"), said(call("s", "server_tool_use")))
    assert [moment.end for moment in paused.moments] == [1, 2], "the turn that was paused goes on"


def test_attachments_are_found_in_results_too_and_are_used_when_named() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/1"}}
    again = {"type": "image", "source": {"type": "url", "url": "https://example.com/2"}}
    paper = {"type": "document", "title": "Contract", "source": {"type": "text", "data": "x"}}
    held = {"type": "tool_result", "tool_use_id": "1", "content": [TEXT, picture]}
    talk = of(
        user(again, paper), said(call("1")), user(held), said("b"), user("What of it?"), said("c"),
        user(again), said("d"), user("Does the Contract say so?"),
    )  # fmt: skip
    found = [(one.turn, one.places, one.exchange, one.uses) for one in talk.attachments]
    assert found == [(0, (0,), 0, [0, 6]), (0, (1,), 0, [0, 8]), (2, (0, 1), 0, [2]), (6, (0,), 2, [6])]


@pytest.mark.parametrize(
    "messages",
    ["[1]", "{}", '[{"role":"x","content":""}]', '[{"role":"user","content":null}]', '[{"role":"user","content":[1]}]'],
)
def test_what_the_api_will_refuse_is_not_read(messages: str) -> None:
    with pytest.raises(Unreadable):
        read(messages.encode())
