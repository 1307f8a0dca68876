"""The planner against a simulator's cache: what its marks cost beside the best there could be, and beside none."""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from threading import Thread

import pytest

from caching.best_plan import best
from caching.callers import SYSTEM, Script, body, loop, questions, talk, together, words
from caching.shop import BEGAN_S, Shop, ratios
from penstock.caching.planner import Planner
from penstock.caching.sightings import BETS_MAX
from penstock.wire.messages import Usage, read_request

#: Scripts whose prompts come again, each with how far from the best on-line plan is allowed.
COMING_AGAIN: dict[str, Script] = {
    "one system prompt, a call a minute": questions(6, 60),
    "one system prompt, a call in ten minutes": questions(6, 600),
    "one system prompt, a call in two hours": questions(6, 7200),
    "a conversation": talk(6, 40),
    "a slow conversation": talk(6, 480),
    "a conversation about a long document": talk(6, 40, first=5000),
    "two conversations one after the other": together(talk(3, 40), talk(3, 40, name="b", start_s=200)),
    "a loop of tools": loop(5, 10),
    "never the same": [(at * 60.0, body("a", system=words(3000, at))) for at in range(6)],
    "below the minimum": questions(6, 60, system=words(500, "short")),
}


def run(script: Script, **options: object) -> tuple[float, list[Usage]]:
    """What it cost, and what each call used."""
    shop = Shop(**options)  # type: ignore[arg-type]
    used = []
    for at_s, asked in script:
        shop.now_s = max(shop.now_s, BEGAN_S + at_s)
        used.append(shop.ask(asked, took_s=0.5))
    return shop.spent, used


@pytest.mark.parametrize("name", COMING_AGAIN)
def test_its_plan_is_within_a_twentieth_of_the_best_that_does_not_foresee(name: str) -> None:
    script = COMING_AGAIN[name]
    ours, _ = run(script)
    nothing, _ = run(script, is_on=False)
    assert ours <= 1.05 * best(script, ratios(), may_foresee=False)
    assert ours <= nothing


def test_a_first_write_is_all_that_is_lost_to_the_best_that_foresees() -> None:
    """It is made a call later, so that once more the prefix is paid for in full, and never again."""
    script = questions(20, 60)
    ours, _ = run(script)
    foreseen = best(script, ratios(), may_foresee=True)
    assert ours - foreseen == pytest.approx(3000 * (1 - ratios().read), rel=0.01)


def test_a_prefix_that_comes_just_twice_costs_a_quarter_of_itself_once() -> None:
    script = questions(2, 60)
    ours, _ = run(script)
    nothing, _ = run(script, is_on=False)
    assert ours - nothing == pytest.approx(0.25 * 3000, rel=0.01)


@pytest.mark.parametrize("gap_s", [2.0, 20.0, 100.0])
def test_traffic_that_comes_just_twice_each_time_is_soon_left_alone(gap_s: float) -> None:
    """The worst there is for who waits for the second time. Bets are few until it is known how they end."""
    pairs = [
        [(at * gap_s, body("a", system=words(3000, at))), (at * gap_s + 1.0, body("b", system=words(3000, at)))]
        for at in range(120)
    ]
    ours, used = run(together(*pairs))
    nothing, _ = run(together(*pairs), is_on=False)
    written = sum(1 for usage in used if usage.cache_write_5m_tokens)
    assert written <= 3 * BETS_MAX["5m"] and not any(usage.cache_write_1h_tokens for usage in used)
    assert ours - nothing <= 3 * BETS_MAX["5m"] * 0.25 * 3010


def test_calls_begun_side_by_side_do_not_all_write() -> None:
    shop = Shop()
    first = [shop.start(body(f"first {number}")) for number in range(8)]
    shop.now_s += 2
    assert all(asked.finish().cache_write_5m_tokens == 0 for asked in first), "not seen before"
    shop.now_s += 5
    second = [shop.start(body(f"second {number}")) for number in range(8)]
    shop.now_s += 2
    assert sorted(asked.finish().cache_write_5m_tokens for asked in second) == [0] * 7 + [3000]
    shop.now_s += 5
    third = [shop.start(body(f"third {number}")) for number in range(8)]
    assert [asked.finish().cache_read_tokens for asked in third] == [3000] * 8


def test_a_turn_of_more_blocks_than_a_lookup_goes_back_is_bridged() -> None:
    _, used = run(loop(5, 10, calls=15))
    assert [usage.cache_read_tokens > 0 for usage in used] == [False, False, True, True, True]
    for before, usage in pairwise(used[1:]):
        assert usage.cache_read_tokens == before.cache_read_tokens + before.cache_write_5m_tokens


def test_a_lifetime_that_is_asked_for_is_the_one_there_is() -> None:
    assert run(questions(3, 60), ttl="1h")[1][1].cache_write_1h_tokens == 3000
    assert run(questions(4, 600), ttl="5m")[1][1].cache_write_1h_tokens == 0


def test_another_setting_that_misses_the_cache_is_another_prefix() -> None:
    """A tool choice leaves the cache of the system prompt alone, speed does not."""
    script = talk(3, 20)
    choice = {"tools": [{"name": "look", "input_schema": {"type": "object"}}]}
    calls = [(at_s, {**asked, **choice, "tool_choice": {"type": "auto" if at_s else "any"}}) for at_s, asked in script]
    assert run(calls)[1][1].cache_read_tokens == 0
    assert run([(at_s, {**asked, **choice}) for at_s, asked in script])[1][2].cache_read_tokens > 3000


def test_a_conversation_that_writes_all_of_itself_leaves_its_system_prompt_to_others() -> None:
    _, used = run(together(talk(3, 40), talk(1, 40, name="b", start_s=150)))
    assert used[-1].cache_read_tokens == 3000


def test_marks_of_the_caller_and_bodies_that_cannot_be_read_are_left_alone() -> None:
    shop = Shop()
    own = [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]
    for system, more in (
        (own, {}),
        (SYSTEM, {"cache_control": {"type": "ephemeral"}}),
        (SYSTEM, {"diagnostics": {"previous_message_id": None}}),
    ):
        for _ in range(3):
            plain = body("a", system=system, **more)
            asked = shop.start(plain)
            assert b'"5m"' not in asked.body and asked.body.count(b"cache_control") == str(plain).count("cache_control")
            asked.finish()


def test_an_upstream_that_never_has_what_was_written_is_not_paid_for_more() -> None:
    """Another workspace behind the same name, or one whose cache is switched off: nothing is marked for an hour."""
    shop = Shop()
    placed = []
    for number in range(12):
        asked = shop.start(body(f"q{number}"))
        placed.append(b"cache_control" in asked.body)
        asked.begin()
        assert asked.planned is not None
        shop.planner.ended(asked.planned, Usage(3100, 0, 3000 if placed[-1] else 0, 0), shop.now_s)
        shop.now_s += 10
    assert placed[:2] == [False, True] and not any(placed[8:]) and sum(placed) <= 6
    shop.now_s += 3600
    assert b"cache_control" in shop.start(body("again")).body


def test_a_long_conversation_keeps_its_system_prompt_alive_for_others() -> None:
    _, used = run(together(talk(12, 60), talk(1, 40, name="b", start_s=12 * 60 + 100)))
    assert used[-1].cache_read_tokens == 3000


def test_a_prompt_whose_last_block_may_bear_no_mark_is_marked_before_it() -> None:
    shop, turns = Shop(model="claude-opus-5-5"), [{"role": "user", "content": words(400, 0)}]
    for turn in range(16):
        turns.append({"role": "system", "content": f"Be brief, {turn}."})
        asked = shop.start({**body(model="claude-opus-5-5"), "messages": turns})
        shop.now_s += 20
        read = asked.finish().cache_read_tokens
        assert asked.planned is not None
        assert (turn < 2) == (read == 0) and asked.planned.read_tokens == pytest.approx(read, rel=0.05)
        turns += [{"role": "assistant", "content": words(90, turn)}, {"role": "user", "content": words(80, -turn - 1)}]


def test_threads_may_plan_at_once() -> None:
    planner, faults = Planner(remembered=16), []

    def work(thread: int) -> None:
        try:
            for number in range(60):
                raw = json.dumps(body(words(20, number), system=words(1500, number * thread % 9))).encode()
                now_s = 5.0 * number
                at_us = int(BEGAN_S * 1e6)
                planned = planner.plan(read_request(raw), raw, scope="a", feature="f", now_s=now_s, at_us=at_us)
                assert planned is not None
                planner.begun(planned, now_s, now_s + 1)
                planner.ended(planned, Usage(1, planned.read_tokens, planned.written_tokens), now_s + 1)
        except BaseException as fault:
            faults.append(fault)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [Thread(target=work, args=(number,)) for number in range(1, 6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert faults == []
