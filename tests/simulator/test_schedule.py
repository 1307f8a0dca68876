"""When faults befall requests."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.ports.simulated import World
from penstock.simulator import Faults, Rule, Simulator, read_rule
from penstock.simulator.api import Served
from penstock.simulator.faults import Fault

ASK = b'{"model":"claude-sonnet-4-6","max_tokens":20,"messages":[{"role":"user","content":"Hello"}]}'


class Clock:
    now_s = 1_795_132_800.0

    def __call__(self) -> float:
        return self.now_s


def statuses(simulator: Simulator, times: int, *, body: bytes = ASK) -> list[int]:
    found = []
    for _ in range(times):
        headers = {"x-api-key": simulator.key, "anthropic-version": "2023-06-01"}
        answer, steps = simulator.exchange(Served("POST", "/v1/messages", headers, body))
        for _ in steps:
            pass
        found.append(answer.status)
    return found


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("overloaded", Rule(Fault("overloaded"))),
        ("overloaded 30%", Rule(Fault("overloaded"), 0.3)),
        ("rate_limited:7 5% from 10s to 40s", Rule(Fault("rate_limited", 7.0), 0.05, 10.0, 40.0)),
        ("reset from 1.5 for claude-opus", Rule(Fault("reset"), 1.0, 1.5, model="claude-opus")),
    ],
)
def test_rules_are_read_from_words(text: str, rule: Rule) -> None:
    assert read_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no rule"),
        ("overloaded often", "no rule"),
        ("flood", "unknown fault 'flood'"),
        ("overloaded:3", "takes no number"),
        ("reset 0%", "between 0 and 1"),
        ("reset 130%", "between 0 and 1"),
        ("reset from 9s to 3s", "before it begins"),
    ],
)
def test_what_is_no_rule_is_named(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_rule(text)


def test_a_schedule_holds_for_its_time_and_no_longer() -> None:
    clock = Clock()
    simulator = Simulator(seed=1, clock=clock, schedule=["overloaded 30% from 10s to 40s"])
    assert statuses(simulator, 50) == [200] * 50
    clock.now_s += 10
    during = statuses(simulator, 400)
    assert set(during) == {200, 529} and 0.2 < during.count(529) / 400 < 0.4
    clock.now_s += 30
    assert statuses(simulator, 50) == [200] * 50
    assert simulator.dealer.rules() == []


def test_a_rule_befalls_its_model_alone() -> None:
    simulator = Simulator(schedule=["overloaded for claude-opus"])
    assert statuses(simulator, 2) == [200, 200]
    assert statuses(simulator, 2, body=ASK.replace(b"sonnet-4-6", b"opus-4-8")) == [529, 529]


def test_the_same_seed_gives_the_same_faults_and_a_rule_moves_no_other_draw() -> None:
    plain, again = (statuses(Simulator(seed=4, faults=Faults(overloaded=0.3)), 80) for _ in range(2))
    ruled = statuses(Simulator(seed=4, faults=Faults(overloaded=0.3), schedule=["error_500 10%"]), 80)
    assert plain == again != statuses(Simulator(seed=5, faults=Faults(overloaded=0.3)), 80)
    assert all(one == other for one, other in zip(plain, ruled, strict=True) if other != 500) and 500 in ruled


def test_triggered_faults_come_in_their_order_before_all_else() -> None:
    simulator = Simulator(schedule=["error_504"])
    simulator.trigger("overloaded")
    simulator.trigger("error_500", count=2)
    assert statuses(simulator, 5) == [529, 500, 500, 504, 504]


def test_a_schedule_runs_in_virtual_time() -> None:
    world = World(3)
    simulator = Simulator(clock=lambda: world.wall_us() / 1e6, schedule=["overloaded from 5s"])
    seen: list[Any] = []

    async def watch() -> None:
        for _ in range(3):
            seen.extend(statuses(simulator, 1))
            await world.sleep(3)

    world.spawn(watch())
    world.run()
    assert seen == [200, 200, 529]
