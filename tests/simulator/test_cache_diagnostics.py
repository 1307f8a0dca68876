"""`diagnostics`: which change kept a prompt from being read again, and what the answer says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from penstock.simulator import ApiKey, Running, running
from penstock.simulator.diagnostics import KEPT_MAX, KEPT_S
from simulator.desk import MARK, Desk, ask_of, text

Got = tuple[int, dict[str, str], bytes]
TOOLS = [{"name": f"t{at}", "description": "act " * 300, "input_schema": {"type": "object"}} for at in range(2)]
ASK = ask_of(
    [text(1000)], "Yes.", "Go on.", model="claude-opus-5-5", system="Be brief.", tools=TOOLS, cache_control=MARK
)


def asked(previous: str | None, **changes: Any) -> dict[str, Any]:
    return {**ASK, "diagnostics": {"previous_message_id": previous}, **changes}


def turns(*said: str, first: int = 1000) -> list[dict[str, Any]]:
    return ask_of([text(first)], *said)["messages"]  # type: ignore[no-any-return]


SAME = turns("Yes.", "Go on.")
MORE = [*SAME[:2], {"role": "user", "content": [{"type": "text", "text": "Go on."}, text(9)]}]
MARKED = {"cache_control": None, "system": [{"type": "text", "text": "Be brief.", "cache_control": MARK}]}
#: What changes, and the reason given.
CASES: list[tuple[str, dict[str, Any], str | None]] = [
    ("nothing", {}, None),
    ("turns added", {"messages": [*SAME, *ask_of("Yes.", "And?")["messages"][::-1]]}, None),
    ("a block added to the last turn", {"messages": MORE}, None),
    ("marks moved", MARKED, None),
    ("explicit defaults", {"output_config": {"effort": "medium"}, "tool_choice": {"type": "auto"}}, None),
    ("max_tokens", {"max_tokens": 99}, None),
    ("model", {"model": "claude-opus-5"}, "model_changed"),
    ("speed", {"speed": "fast"}, "model_changed"),
    ("tools in another order", {"tools": TOOLS[::-1]}, "tools_changed"),
    ("a tool less", {"tools": TOOLS[:1]}, "tools_changed"),
    ("tools and system", {"tools": TOOLS[:1], "system": "Be long."}, "tools_changed"),
    ("system", {"system": "Be long."}, "system_changed"),
    ("no system", {"system": []}, "system_changed"),
    ("system and messages", {"system": "Be long.", "messages": turns("No.", "Go on.")}, "system_changed"),
    ("an earlier turn", {"messages": turns("No.", "Go on.")}, "messages_changed"),
    ("the last turn", {"messages": turns("Yes.", "Stop.")}, "messages_changed"),
    ("turns dropped", {"messages": SAME[:1]}, "messages_changed"),
    ("tool choice", {"tool_choice": {"type": "none"}}, "unavailable"),
    ("effort", {"output_config": {"effort": "low"}}, "unavailable"),
    ("effort and messages", {"output_config": {"effort": "low"}, "messages": turns("No.", "Go on.")}, "unavailable"),
]


@pytest.mark.parametrize(("changes", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_first_change_in_prompt_order_is_named(changes: dict[str, Any], reason: str | None) -> None:
    desk = Desk()
    first = desk.ask(asked(None))
    assert first["diagnostics"] is None
    found = desk.ask(asked(first["id"], **changes))["diagnostics"]
    if reason is None:
        assert found is None
    else:
        assert list(found) == ["cache_miss_reason"] and found["cache_miss_reason"]["type"] == reason
        assert ("cache_missed_input_tokens" in found["cache_miss_reason"]) == reason.endswith("_changed")


def test_the_tokens_missed_are_those_after_the_first_change() -> None:
    desk = Desk()
    first = desk.ask(asked(None))
    whole = first["usage"]["cache_creation_input_tokens"]

    def missed(**changes: Any) -> int:
        answer = desk.ask(asked(first["id"], **changes))
        tokens: int = answer["diagnostics"]["cache_miss_reason"]["cache_missed_input_tokens"]
        return tokens

    model, tools = missed(model="claude-opus-5"), missed(tools=[TOOLS[0], {**TOOLS[1], "description": "x"}])
    system, last = missed(system="Be long."), missed(messages=turns("Yes.", "Stop."))
    assert model == whole > tools > system > 1000 > last > 0


def test_a_break_that_a_changed_beta_makes_is_not_available() -> None:
    desk = Desk()
    first = desk.ask(asked(None), betas="context-1m-2025-08-07, task-budgets-2026-03-13")
    same = desk.ask(asked(first["id"]), betas="task-budgets-2026-03-13,context-1m-2025-08-07")
    assert same["diagnostics"] is None
    other = desk.ask(asked(first["id"]), betas="context-1m-2025-08-07")
    assert other["diagnostics"] == {"cache_miss_reason": {"type": "unavailable"}}


NOT_FOUND = {"cache_miss_reason": {"type": "previous_message_not_found"}}


def test_only_requests_with_the_field_are_remembered() -> None:
    desk = Desk()
    plain = desk.ask(ASK)
    assert "diagnostics" not in plain
    assert desk.ask(asked(plain["id"]))["diagnostics"] == NOT_FOUND
    assert desk.ask(asked("msg_unknown"))["diagnostics"] == NOT_FOUND


def test_what_is_remembered_belongs_to_a_workspace_and_ends() -> None:
    desk = Desk(keys=[ApiKey("sk-a", workspace="a")])
    first = desk.ask(asked(None))["id"]
    assert desk.ask(asked(first), "sk-a")["diagnostics"] == NOT_FOUND
    desk.now_s += KEPT_S
    assert desk.ask(asked(first))["diagnostics"] is None
    desk.now_s += 1
    assert desk.ask(asked(first))["diagnostics"] == NOT_FOUND


def test_no_more_than_so_many_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEPT_MAX >= 100
    monkeypatch.setattr("penstock.simulator.diagnostics.KEPT_MAX", 3)
    desk = Desk()
    ids = [desk.ask(asked(None))["id"] for _ in range(4)]
    assert desk.ask(asked(ids[0]))["diagnostics"] == NOT_FOUND
    assert desk.ask(asked(ids[3]))["diagnostics"] is None


def test_nothing_cached_is_no_reason_where_nothing_changed() -> None:
    desk = Desk()
    first = desk.ask(asked(None))
    desk.now_s += 301
    again = desk.ask(asked(first["id"]))
    assert again["usage"]["cache_read_input_tokens"] == 0 and again["diagnostics"] is None


def test_a_stream_says_it_at_its_start_and_after_usage(
    sim: Running, send: Callable[..., Got], events: Callable[[bytes], list[tuple[str, dict[str, Any]]]]
) -> None:
    first = json.loads(send(sim, body=asked(None))[2])
    _, _, body = send(sim, body=asked(first["id"], system="Be long.", stream=True))
    start, *later = events(body)
    message = start[1]["message"]
    assert message["diagnostics"]["cache_miss_reason"]["type"] == "system_changed"
    assert list(message)[-2:] == list(first)[-2:] == ["usage", "diagnostics"]
    assert not any("diagnostics" in json.dumps(data) for _, data in later)
    _, _, plain = send(sim, body={**ASK, "stream": True})
    assert b"diagnostics" not in plain


def test_the_sdk_reads_every_reason() -> None:
    with running() as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0, _strict_response_validation=True)
        plain: Any = ASK
        first = client.messages.create(**plain, diagnostics={"previous_message_id": None})
        assert first.diagnostics is None
        for changes, reason in [case[1:] for case in CASES] + [({}, "previous_message_not_found")]:
            name = "msg_unknown" if reason == "previous_message_not_found" else first.id
            got = client.messages.create(**{**plain, **changes}, diagnostics={"previous_message_id": name}).diagnostics
            if reason is None:
                assert got is None
            else:
                assert got is not None and got.cache_miss_reason is not None and got.cache_miss_reason.type == reason
