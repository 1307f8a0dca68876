"""What stays, as a conversation grows."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.context.choosing import Choice, Limits, Weighed, chosen
from penstock.context.importance import worth_of
from penstock.context.turns import Conversation, read

LOOSE = Limits(None, None, None, None, keep_first=0, step=0.2)


def talk(exchanges: int, words: str = "Go on.", first: str | None = None, images: int = 0) -> Conversation:
    turns: list[dict[str, Any]] = []
    for at in range(exchanges):
        content: list[dict[str, Any]] = [{"type": "text", "text": first if first and not at else words}]
        content += [{"type": "image", "source": {"type": "url", "url": f"{at} {n}"}} for n in range(images)]
        turns += [{"role": "user", "content": content}, {"role": "assistant", "content": "Yes."}]
    return read(json.dumps(turns[:-1]).encode())


def choose(found: Conversation, limits: Limits, weight: int = 50, frame: int = 0, **more: Any) -> Choice:
    weighed = Weighed(frame, [weight] * len(found.turns), [weight] * len(found.attachments))
    return chosen(found, weighed, limits, **more)


def test_the_last_exchanges_stay_and_a_step_is_taken_at_once() -> None:
    limits = LOOSE._replace(turns=10)
    left = [len(choose(talk(count), limits).exchanges) for count in range(1, 31)]
    assert left == [0] * 11 + [at - at % 2 for at in range(2, 21)]
    exact = limits._replace(step=0.0)
    assert [len(choose(talk(count), exact).exchanges) for count in (10, 11, 30)] == [0, 1, 20]


def test_the_first_exchanges_stay_where_that_is_wanted() -> None:
    choice = choose(talk(20), LOOSE._replace(turns=5, keep_first=2, step=0.0))
    assert choice.exchanges == list(range(2, 15))


@given(
    st.integers(1, 40),
    st.integers(1, 300),
    st.integers(0, 500),
    st.integers(200, 2_000),
    st.sampled_from([0, 0.2, 0.5]),
)
def test_tokens_hold_where_that_is_possible_and_else_it_is_said(
    count: int, weight: int, frame: int, most: int, step: float
) -> None:
    choice = choose(talk(count), LOOSE._replace(tokens=most, step=step), weight, frame)
    assert choice.is_over == (choice.tokens > most)
    assert not choice.is_over or len(choice.exchanges) == count - 1, "all went that may go"
    assert choice.tokens == frame + (2 * (count - len(choice.exchanges)) - 1) * weight
    assert choice.exchanges == list(range(len(choice.exchanges))), "the oldest went"


def test_a_cut_for_tokens_leaves_a_step_free() -> None:
    cut = next(
        choice for count in range(1, 30) if (choice := choose(talk(count), LOOSE._replace(tokens=1_000))).exchanges
    )
    assert 700 < cut.tokens <= 800


@given(st.integers(1, 60), st.integers(1, 12), st.integers(300, 3_000), st.booleans())
def test_what_is_out_stays_out_and_the_beginning_changes_in_steps(
    count: int, turns: int, tokens: int, is_ranked: bool
) -> None:
    limits = LOOSE._replace(turns=turns, tokens=tokens)
    before: set[int] = set()
    changes = 0
    for length in range(1, count + 1):
        found = talk(length)
        ranked = {"worth": worth_of(found)} if is_ranked else {}
        gone = set(choose(found, limits, **ranked).exchanges)
        assert before <= gone
        changes += gone != before
        before = gone
    if tokens > 1_500 and turns > 5:
        assert changes <= count / 2 + 1, "no step is of a single exchange"


def test_attachments_go_the_longest_unused_first_and_those_in_use_stay() -> None:
    choice = choose(talk(6, images=2), LOOSE._replace(attachments=4, step=0.0))
    assert choice.attachments == list(range(8)) and not choice.is_over
    crowded = choose(talk(2, images=5), LOOSE._replace(attachments=3))
    assert crowded.attachments == list(range(5)) and crowded.is_over, "those of the last words are never taken"
    tight = choose(talk(8, images=1), LOOSE._replace(tokens=1_100, step=0.0), weight=100)
    assert tight.attachments == [0, 1, 2, 3, 4] and len(tight.exchanges) > 0


def test_pictures_of_tools_go_within_an_exchange_once_they_were_looked_at() -> None:
    turns: list[dict[str, Any]] = [{"role": "user", "content": "Click."}]
    for at in range(5):
        shot = {"type": "image", "source": {"type": "url", "url": str(at)}}
        turns.append({"role": "assistant", "content": [{"type": "tool_use", "id": str(at), "name": "x", "input": {}}]})
        turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": str(at), "content": [shot]}]})
    found = read(json.dumps(turns).encode())
    limits = LOOSE._replace(attachments=2, step=0.0)
    assert choose(found, limits).attachments == [0, 1, 2]
    assert choose(found, limits._replace(cuts_within=False)).attachments == [], "thoughts are bound to them"


def test_an_exchange_that_goes_on_with_tools_loses_its_past_only_for_the_window() -> None:
    turns: list[dict[str, Any]] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 4
    turns.append({"role": "user", "content": "Click."})
    for at in range(6):
        turns.append({"role": "assistant", "content": [{"type": "tool_use", "id": str(at), "name": "x", "input": {}}]})
        turns.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": str(at), "content": "x"}]})
    found = read(json.dumps(turns).encode())
    limits = LOOSE._replace(tokens=500, window=5_000, step=0.0)
    assert len(choose(found, limits).exchanges) == 4
    bound = choose(found, limits._replace(cuts_within=False))
    assert bound.exchanges == [] and bound.is_over
    assert len(choose(found, limits._replace(cuts_within=False, window=900)).exchanges) == 2


def test_importance_keeps_what_is_marked_decided_and_asked() -> None:
    limits = LOOSE._replace(turns=3, step=0.0)

    def goes(first: str) -> bool:
        found = talk(9, first=first)
        return 0 in choose(found, limits, worth=worth_of(found)).exchanges

    assert goes("Fine weather.")
    assert not goes("Remember: we decided on oak. Is that clear?")
    assert not goes("#keep The wheel is of oak.")


def test_an_attachment_that_is_out_stays_out_whoever_names_it_later() -> None:
    paper = {"type": "document", "title": "Contract", "source": {"type": "text", "data": "x"}}
    turns: list[dict[str, Any]] = [{"role": "user", "content": [paper, {"type": "text", "text": "Read."}]}]
    for words in ("Yes.", "Go on.", "Yes.", "Go on.", "The Contract says so.", "Which?"):
        turns.append({"role": ("assistant", "user")[len(turns) % 2 == 0], "content": words})
    limits = LOOSE._replace(attachments=0)
    gone = [choose(read(json.dumps(turns[:end]).encode()), limits).attachments for end in (1, 3, 5, 7)]
    assert gone == [[], [0], [0], [0]]
