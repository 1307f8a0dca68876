"""Thinking that is bound to what came before it, where that is cut: kept where it is good, dropped where it is not."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from context.talk import BOUND, FREE, Talk
from penstock.config.context import ContextConfig
from penstock.layers.per_attempt.context import Pruned
from script import Played

THINKING: dict[str, Any] = {"model": BOUND, "thinking": {"type": "adaptive", "display": "summarized"}}
#: What makes the simulator think, and call a tool in between.
ASK = "Why? [2 rounds of 1]"


def thoughts(turns: list[dict[str, Any]]) -> int:
    blocks = [block for turn in turns for block in (turn["content"] if isinstance(turn["content"], list) else [])]
    return sum(block["type"] == "thinking" for block in blocks)


def attempts(played: Played) -> int:
    return len([call for call in played.onward if call.aside is None])


def held(talk: Talk, count: int) -> None:
    for at in range(count):
        talk.say(f"{at}: {ASK}")


def test_between_two_steps_a_conversation_only_grows_and_its_thoughts_stay() -> None:
    talk = Talk(ContextConfig(turns=6, step_percent=50), **THINKING)
    held(talk, 10)
    (first, second), played = [talk.upstream.sent[-at]["messages"] for at in (3, 1)], talk.played[-1]
    assert second[: len(first)] == first and thoughts(second) > thoughts(first) > 0
    assert played.fact(Pruned).exchanges == 3 and played.fact(Pruned).thoughts > 0


def test_no_call_is_refused_for_a_thought() -> None:
    talk = Talk(ContextConfig(turns=2, step_percent=50), **THINKING)
    held(talk, 8)
    assert all(attempts(played) == 1 for played in talk.played)
    assert any(thoughts(body["messages"]) for body in talk.upstream.sent[-3:])


def test_models_that_do_not_bind_thoughts_lose_none_of_what_stays() -> None:
    talk = Talk(ContextConfig(turns=2), model="claude-opus-4-8", thinking=THINKING["thinking"])
    held(talk, 6)
    fact = talk.played[-1].fact(Pruned)
    assert fact.thoughts == 0 and thoughts(talk.sent) == thoughts(talk.messages[-len(talk.sent) - 1 : -1]) > 0
    plain = Talk(ContextConfig(turns=2), model=FREE)
    held(plain, 4)
    assert plain.played[-1].fact(Pruned).thoughts == 0


def test_moving_cache_marks_costs_no_thoughts() -> None:
    talk = Talk(ContextConfig(turns=3, step_percent=90), **THINKING)
    for at in range(8):
        for turn in talk.messages:
            for block in turn["content"] if isinstance(turn["content"], list) else []:
                block.pop("cache_control", None)
        talk.say([{"type": "text", "text": f"{at}: {ASK}", "cache_control": {"type": "ephemeral"}}])
    assert all(attempts(played) == 1 for played in talk.played)
    assert thoughts(talk.sent) >= 2, "those since the last step are still there"


@pytest.mark.parametrize("end", [-1, -3, -5])
def test_another_process_goes_on_wherever_the_conversation_is(end: int) -> None:
    """Within a loop of tools too: then its thoughts go, which the API allows, and leaves nothing out of place."""
    talk = Talk(ContextConfig(turns=2, step_percent=0), **THINKING)
    held(talk, 5)
    talk.messages = talk.messages[:end]
    talk.configure(talk.config)
    talk.answered()
    assert attempts(talk.played[-1]) == 1 and thoughts(talk.sent) == 0


@pytest.mark.parametrize("config", [ContextConfig(turns=50), ContextConfig(turns=3), ContextConfig(tokens=900_000)])
def test_a_config_that_changed_costs_one_refused_attempt_at_most(config: ContextConfig) -> None:
    talk = Talk(ContextConfig(turns=2, step_percent=0), **THINKING)
    held(talk, 5)
    talk.configure(config)
    before = len(talk.played)
    held(talk, 3)
    tried = [attempts(played) for played in talk.played[before:]]
    assert tried[0] <= 2 and set(tried[1:]) == {1}
    assert thoughts(talk.sent) > 0, "new thoughts are good"


def test_the_same_words_again_are_not_the_same_conversation() -> None:
    """What was sent may have the same turns, after other ones were left out: its thoughts are others."""
    talk = Talk(ContextConfig(turns=2, tokens=3_000, step_percent=0), **THINKING)
    talk.say("river " * 3_000)
    for _ in range(5):
        talk.say("Tell me of the river.")
    assert all(attempts(played) == 1 for played in talk.played)


def test_refusals_of_another_kind_are_the_callers() -> None:
    talk = Talk(ContextConfig(turns=2), **THINKING)
    held(talk, 3)
    talk.messages.append({"role": "user", "content": "x"})
    played = talk.call(body={**talk.body(), "max_tokens": -1})
    assert played.reply is not None and played.reply.status == 400 and attempts(played) == 1


def test_a_thought_the_caller_changed_is_sent_without_thoughts_and_said() -> None:
    """It cannot be told from one whose beginning was cut elsewhere."""
    talk = Talk(ContextConfig(turns=20), **THINKING)
    held(talk, 2)
    talk.messages[0] = copy.deepcopy(talk.messages[0]) | {"content": "Something else. " + ASK}
    talk.say("And?")
    assert [attempts(played) for played in talk.played[-1:]] == [2]
    assert talk.played[-1].fact(Pruned).thoughts > 0
