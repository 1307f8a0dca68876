"""Whole conversations, held with the simulator: whatever is left out, the API takes what is left."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from context.talk import BOUND, FREE, Talk, document, image
from penstock.config.context import ContextConfig
from penstock.context.turns import Conversation, read
from penstock.layers.per_attempt.context import Pruned, Unpruned

THINKING = {"thinking": {"type": "adaptive", "display": "summarized"}}
MODELS: dict[str, dict[str, Any]] = {
    FREE: {},
    BOUND: THINKING,
    "claude-haiku-4-5": {"thinking": {"type": "enabled", "budget_tokens": 1_024}},
    "claude-opus-4-8": THINKING,
}
SYSTEM_TURN = {"role": "system", "content": "From here on, be briefer."}

words = st.sampled_from(["Tell me of the river.", "Why? [1 rounds of 1]", "[2 rounds of 3] please", "search the news"])
parts = st.sampled_from([image(), image(200), document("Contract"), document(None, 300)])
contents = st.one_of(
    words,
    st.builds(lambda text, more: [*more, {"type": "text", "text": text}], words, st.lists(parts, max_size=3)),
    st.integers(1, 400).map(lambda count: "It flows on. " * count),
)
limits = st.fixed_dictionaries(
    {
        "turns": st.one_of(st.none(), st.integers(1, 4)),
        "tokens": st.one_of(st.none(), st.integers(1_000, 6_000)),
        "attachments_max": st.one_of(st.none(), st.integers(0, 3)),
        "keep_first": st.sampled_from([0, 0, 1, 2]),
        "step_percent": st.sampled_from([0, 20, 50]),
    }
)


def held(beyond: str, given: dict[str, Any], model: str, contents: list[Any], systems: set[int]) -> Talk:
    """A conversation of these contents, with turns of the system before some of them where the model hears such."""
    more = {"turns": None, "attachments_max": None} if beyond == "server" else {}
    talk = Talk(ContextConfig(beyond=beyond, **{**given, **more}), model=model, **MODELS[model])
    for at, content in enumerate(contents):
        if at in systems and at and model in (BOUND, "claude-opus-4-8"):
            talk.messages.append(SYSTEM_TURN)
        before = len(talk.played)
        talk.say(content)
        for played in talk.played[before:]:
            check(talk, played)
    return talk


def check(talk: Talk, played: Any) -> None:
    """What holds for each call, whatever was left out of it."""
    sent = played.onward[-1]
    assert [one.aside for one in played.onward].count(None) == 1, "and takes it at once"
    came, left = read(json.dumps(came_with(talk, played)).encode()), read(sent.request.messages)
    if played.trail.last(Pruned) is None:
        assert came.raws == left.raws, "what is not cut goes byte for byte"
    assert [turn for turn in came.turns if turn["role"] == "system"] == [
        turn for turn in left.turns if turn["role"] == "system"
    ]
    kept_bytes(came, left)
    most = talk.config.tokens
    if most is not None and talk.config.beyond != "server" and not is_said_over(played):
        usage = json.loads(played.body)["usage"]
        counted = usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"]
        assert counted <= most * 1.1 or usage.get("server_tool_use"), "estimates are not exact"


def is_said_over(played: Any) -> bool:
    pruned = played.trail.last(Pruned)
    return played.trail.last(Unpruned) is not None or (pruned is not None and pruned.is_over)


def came_with(talk: Talk, played: Any) -> list[dict[str, Any]]:
    """The turns that the caller sent with a call."""
    turns: list[dict[str, Any]] = talk.came[talk.played.index(played)]
    return turns


def kept_bytes(came: Conversation, left: Conversation) -> None:
    """What is left are turns as they came, in their order, but for thoughts and attachments, and one turn of ours."""
    at, ours = len(came.raws), 0
    for raw, turn in zip(reversed(left.raws), reversed(left.turns), strict=True):
        there = next((place for place in range(at - 1, -1, -1) if same(came, place, raw, turn)), None)
        if there is None:
            ours += 1
            assert turn["role"] == "user" and turn["content"][0]["text"].startswith("["), turn
        else:
            assert at < len(came.raws) or there == at - 1, "the last turn stays"
            at = there
    assert ours <= 1


def same(came: Conversation, place: int, raw: bytes, turn: dict[str, Any]) -> bool:
    if came.raws[place] == raw:
        return True
    if came.turns[place]["role"] != turn["role"] or not isinstance(came.turns[place]["content"], list):
        return False
    if not isinstance(turn["content"], list):
        return False
    was = [json.dumps(one) for one in came.turns[place]["content"] if one["type"] != "thinking"]
    now = [json.dumps(one) for one in turn["content"] if one["type"] != "thinking"]
    return len(was) == len(now) and all(
        a == b or "was left out to save room" in b for a, b in zip(was, now, strict=True)
    )


@pytest.mark.parametrize("beyond", ["drop", "importance", "summarise", "server"])
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(MODELS)), limits, st.lists(contents, min_size=2, max_size=9), st.sets(st.integers(1, 8)))
def test_the_api_takes_what_is_left(
    beyond: str, model: str, given: dict[str, Any], contents: list[Any], systems: set[int]
) -> None:
    held(beyond, given, model, contents, systems)


def test_a_beginning_given_to_the_answer_stays() -> None:
    talk = Talk(ContextConfig(turns=2), model="claude-haiku-4-5", tools=[])
    for at in range(5):
        talk.say(f"{at}: tell me.")
    talk.messages += [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "Well,"}]
    talk.answered()
    assert talk.sent == talk.messages[-4:], "and it is no exchange"


def test_a_turn_paused_in_a_servers_tool_goes_back_as_it_was() -> None:
    talk = Talk(ContextConfig(turns=2, step_percent=0))
    for at in range(4):
        talk.say(f"{at}: search the news")
    paused = [block for block in talk.messages[-1]["content"] if block["type"] == "server_tool_use"]
    talk.messages[-1] = {"role": "assistant", "content": paused}
    talk.answered()
    assert talk.sent == talk.messages[-4:]


def test_marks_of_attachments_stay_where_they_were() -> None:
    """A cache mark on an image that goes is on what stands for it."""
    talk = Talk(ContextConfig(attachments_max=0))
    talk.say([image() | {"cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Look."}])
    talk.say("And now?")
    stand_in, words = talk.sent[0]["content"]
    assert stand_in["cache_control"] == {"type": "ephemeral"} and words["text"] == "Look."
    assert stand_in["text"] == "[An image (image/png) stood here, and was left out to save room.]"


def test_a_turn_of_the_system_never_comes_first() -> None:
    talk = Talk(ContextConfig(turns=1, step_percent=0), model="claude-opus-4-8", tools=[])
    talk.say("Tell me.")
    talk.messages.append(SYSTEM_TURN)
    talk.say("And?")
    note, system, last = talk.sent
    assert note["role"] == "user" and "left out" in note["content"][0]["text"]
    assert (system, last["content"]) == (SYSTEM_TURN, "And?")
