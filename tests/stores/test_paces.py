"""Turns at an upstream: within the limits, in order, fair, and never lost."""

from __future__ import annotations

from collections import Counter
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.ports import Demand, Pace, Turn
from penstock.ports.simulated import World
from penstock.stores.paces import Paces
from penstock.wire.limits import Shown, group, listed, shown


class Clock(World):
    def pass_(self, seconds: float) -> None:
        self._now_s += seconds


def demand(lane: str = "interactive", tenant: str = "a", tokens: float = 100.0) -> Demand:
    return Demand(tokens, 100.0, lane, tenant)


def enter(paces: Paces, limits: dict[str, float] | None = None, **more: object) -> Turn:
    return paces.enter("anthropic", "opus-5", demand(**more), limits or {})  # type: ignore[arg-type]


def test_without_known_limits_every_turn_comes_at_once() -> None:
    paces = Paces(Clock(0))
    assert all(enter(paces).has_come for _ in range(500))


def test_what_the_upstream_lists_is_kept_to_before_any_answer_and_the_config_may_say_less() -> None:
    paces = Paces(Clock(0))
    paces.tell("anthropic", {"opus-5": {"requests": 3.0}})
    assert [enter(paces).has_come for _ in range(5)] == [True, True, True, False, False]
    paces = Paces(Clock(0))
    assert enter(paces, {"requests": 2.0}).has_come
    paces.tell("anthropic", {"opus-5": {"requests": 50.0}})
    assert [enter(paces, {"requests": 2.0}).has_come for _ in range(2)] == [True, False]


def test_listed_limits_go_by_the_groups_that_share_them() -> None:
    body = (
        b'{"data":[{"type":"rate_limit","group_type":"model_group","models":["claude-opus-4-5","claude-opus-4-1"],'
        b'"limits":[{"type":"requests_per_minute","value":50},{"type":"input_tokens_per_minute","value":9},'
        b'{"type":"input_tokens_per_minute_cache_aware","value":30000},{"type":"of_another_kind","value":1}]},'
        b'{"group_type":"files","models":null,"limits":[{"type":"requests_per_minute","value":5}]}],"has_more":false}'
    )
    assert listed(body) == {"opus-4": {"requests": 50.0, "input-tokens": 30_000.0}}
    with pytest.raises(msgspec.DecodeError):
        listed(b"<html>")


def test_what_an_answer_shows_is_kept_to_from_then_on() -> None:
    clock = Clock(0)
    paces = Paces(clock)
    first = enter(paces)
    paces.learn(first, {"requests": Shown(60, 2)})
    assert [enter(paces).has_come for _ in range(3)] == [True, True, False]
    waiting = enter(paces)
    assert paces.ask(waiting) > 0
    clock.pass_(2.5)
    assert paces.ask(waiting) == 0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**9), st.integers(5, 60))
def test_no_minute_has_more_turns_than_the_limit_and_its_first_burst(seed: int, limit: int) -> None:
    clock, random = Clock(0), Random(seed)
    paces = Paces(clock)
    waiting: list[Turn] = []
    came: list[float] = []
    for _ in range(300):
        clock.pass_(random.uniform(0, 0.8))
        waiting.append(enter(paces, {"requests": limit}, tenant=random.choice("abc")))
        if random.random() < 0.1:
            paces.leave(waiting.pop(random.randrange(len(waiting))), took_nothing=True)
        for turn in list(waiting):
            if paces.ask(turn) == 0:
                came.append(clock.now())
                waiting.remove(turn)
    for at in came:
        within = sum(at <= other < at + 60 for other in came)
        assert within <= 2 * limit + 1
    assert len(came) <= limit + limit * clock.now() / 60 + 1 + 30, "those that left gave theirs back"
    assert len(came) >= 0.9 * min(270, limit + limit * clock.now() / 60) - 31


def served(paces: Paces, clock: Clock, turns: list[Turn], seconds: float) -> list[Turn]:
    came: list[Turn] = []
    for _ in range(round(seconds / 0.1)):
        clock.pass_(0.1)
        for turn in turns:
            if turn not in came and paces.ask(turn) == 0:
                came.append(turn)
                paces.leave(turn)
    return came


def test_tenants_share_alike_however_many_calls_each_has() -> None:
    clock = Clock(0)
    paces = Paces(clock)
    enter(paces, {"requests": 60.0})
    for _ in range(59):
        enter(paces)
    turns = [enter(paces, tenant="loud") for _ in range(60)] + [enter(paces, tenant="quiet") for _ in range(20)]
    came = served(paces, clock, turns, 30)
    counts = Counter("loud" if turns.index(turn) < 60 else "quiet" for turn in came)
    assert abs(counts["loud"] - counts["quiet"]) <= 2 and sum(counts.values()) >= 29


def test_background_comes_last_and_comes_at_all() -> None:
    clock = Clock(0)
    paces = Paces(clock)
    enter(paces, {"requests": 60.0})
    for _ in range(59):
        enter(paces)
    turns = [enter(paces, lane="background") for _ in range(30)] + [enter(paces) for _ in range(90)]
    came = served(paces, clock, turns, 60)
    background = sum(turn.lane == "background" for turn in came)
    assert 4 <= background <= 8 and len(came) >= 58


def test_after_a_refusal_nothing_is_sent_until_the_upstream_said() -> None:
    clock = Clock(0)
    paces = Paces(clock)
    first = enter(paces)
    paces.close(first, 20.0, is_ramp=False)
    paces.leave(first, took_nothing=True)
    waiting = enter(paces)
    other = paces.enter("second", "opus-5", demand(), {})
    assert other.has_come and not waiting.has_come and waiting.expected_s == pytest.approx(20)
    clock.pass_(19.9)
    assert paces.ask(waiting) > 0
    clock.pass_(0.2)
    assert paces.ask(waiting) == 0


def test_a_queue_that_is_full_takes_nobody() -> None:
    paces = Paces(Clock(0), queue_max=2)
    limits = {"requests": 1.0}
    assert enter(paces, limits).has_come
    expected = [enter(paces, limits).expected_s for _ in range(3)]
    assert max(expected[:2]) < 200 and expected[2] == float("inf")


def test_places_are_taken_and_given_back() -> None:
    paces = Paces(Clock(0))
    paces.limit("anthropic", concurrency_max=2)
    one, two, three = enter(paces), enter(paces), paces.enter("anthropic", "haiku-5-5", demand(), {})
    assert (one.has_come, two.has_come, three.has_come) == (True, True, False)
    paces.leave(one)
    paces.leave(one)
    assert three.has_come and not enter(paces).has_come


def test_growth_is_held_back_after_the_upstream_has_said_so_and_let_go_in_time() -> None:
    clock = Clock(0)
    paces = Paces(clock)
    first = enter(paces)
    paces.close(first, 0.0, is_ramp=True)
    came = served(paces, clock, [enter(paces) for _ in range(400)], 60)
    assert len(came) <= 40
    clock.pass_(600)
    assert served(paces, clock, [enter(paces) for _ in range(10)], 0.2)


def test_an_answer_corrects_what_was_expected() -> None:
    paces = Paces(Clock(0))
    limits = {"input-tokens": 10_000.0}
    for _ in range(100):
        turn = enter(paces, limits, tokens=10.0)
        paces.correct(turn, 20, 5, is_final=True)
        paces.leave(turn)
    assert enter(paces, tokens=10.0).estimate["input-tokens"] == pytest.approx(20, rel=0.1)
    assert enter(paces).estimate["output-tokens"] < 20


def test_how_all_stands_is_shown() -> None:
    clock = Clock(0)
    paces = Paces(clock)
    assert paces.standing() == []
    paces.limit("anthropic", concurrency_max=7)
    first, _, _ = [enter(paces, {"requests": 2.0}) for _ in range(3)]
    paces.enter("spare", "opus-5", demand(), {})
    shown_ = {one.target: one for one in paces.standing()}
    assert shown_["anthropic"] == Pace("anthropic", "opus-5", {"requests": (2.0, 0.0)}, 1, 2, 7, 0.0)
    assert (shown_["spare"].limits, shown_["spare"].under_way, shown_["spare"].concurrency_max) == ({}, 1, 0)
    paces.leave(first)
    paces.close(first, 9.0, is_ramp=False)
    clock.pass_(4.0)
    (one,) = [one for one in paces.standing() if one.target == "anthropic"]
    assert one.closed_s == 5.0 and one.under_way == 1 and one.limits["requests"][1] == pytest.approx(2 * 4 / 60)


def test_the_share_of_the_limit_is_what_the_config_says() -> None:
    paces = Paces(Clock(0), share=0.5)
    turn = enter(paces)
    paces.learn(turn, {"requests": Shown(60, 60)})
    assert sum(enter(paces).has_come for _ in range(60)) == 30


def test_header_fields_are_read_and_models_grouped() -> None:
    prefix = b"anthropic-ratelimit-"
    fields = {prefix + b"requests-limit": b"50", prefix + b"requests-remaining": b"49"}
    fields |= {prefix + b"input-tokens-limit": b"30000", prefix + b"input-tokens-remaining": b"28000"}
    fields |= {prefix + b"output-tokens-limit": b"x", prefix + b"output-tokens-remaining": b"8000"}
    assert shown(fields) == {"requests": Shown(50, 49), "input-tokens": Shown(30_000, 28_000)}
    assert shown({b"retry-after": b"3"}) == {}
    assert group("claude-opus-4-6") == group("claude-opus-4-5") != group("claude-opus-5") != group("claude-opus-5-5")
    assert group("claude-fable-5-2") == group("claude-mythos-5") and group("llama") == "llama"
    assert group("claude-haiku-4-5") == group("claude-haiku-4-5-20251001") == "haiku-4-5"
