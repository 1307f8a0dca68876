"""Upstreams that fail at random, and that die and come back: what callers get, and how much the upstream is asked."""

from __future__ import annotations

from itertools import pairwise

import pytest

from laws.outage import Outcome, outage
from penstock.config.schema import ResilienceConfig
from penstock.simulator import Faults

SEEDS = range(4)


def longest(outcome: Outcome) -> float:
    return max(one.ended - one.asked for one in outcome.calls)


@pytest.mark.parametrize(
    ("share", "goodput", "attempts"),
    [(0.1, 0.999, 1.13), (0.3, 0.97, 1.45), (0.5, 0.65, 1.4), (0.9, 0, 1.15), (1, 0, 1.01)],
)
def test_random_failures_are_ridden_out_within_the_budget(share: float, goodput: float, attempts: float) -> None:
    for seed in SEEDS:
        ours = outage(seed, faults=Faults(overloaded=share), count=2000, over_s=60)
        assert ours.goodput >= goodput
        assert ours.attempts_per_call <= attempts
        assert len(ours.attempts) <= ours.budgeted
        assert longest(ours) <= 60.05


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 1.0])
def test_with_a_healthy_fallback_every_call_is_answered(share: float) -> None:
    for seed in SEEDS:
        ours = outage(seed, faults=Faults(overloaded=share), count=1000, over_s=30, has_spare=True)
        assert ours.goodput >= 0.99


def test_thirty_percent_of_failures_and_some_resets_cost_one_call_in_a_thousand() -> None:
    faults = Faults(overloaded=0.3, reset=0.01)
    ours = [outage(seed, faults=faults, count=5000, over_s=150) for seed in SEEDS]
    bare = outage(0, faults=faults, count=5000, over_s=150, is_bare=True)
    calls, attempts = sum(len(one.calls) for one in ours), sum(len(one.attempts) for one in ours)
    assert sum(one.goodput * len(one.calls) for one in ours) / calls >= 0.999
    assert attempts / calls <= 1.45
    assert bare.goodput < 0.98 and bare.attempts_per_call > 1.38, "it is the failure rate that was meant"


def test_a_steady_third_of_failures_opens_no_circuit() -> None:
    for seed in range(20):
        for over_s in (0.0, 2.0, 60.0, 900.0):
            ours = outage(seed, faults=Faults(overloaded=0.3), count=600, over_s=over_s)
            assert not [one for one in ours.calls if one.code == "circuit_open"], (seed, over_s)


@pytest.mark.parametrize("fault", ["overloaded", "reset", "error_504", "html_502"])
def test_an_outage_opens_the_circuit_within_five_failures_and_one_call_probes(fault: str) -> None:
    ours = outage(1, schedule=[f"{fault} from 0s to 60s"], count=7000, over_s=70)
    dead = [at for at in ours.attempts if at < 60]
    assert len(dead) == 5, "and the probe comes when it is over"
    again = ours.since(61)
    assert again and all(not one.code for one in again), "traffic is back within one probe's time"
    assert len(dead) <= 0.01 * len(ours.since(0, 60))


def test_a_busy_upstream_that_dies_is_left_alone_after_twenty_failures() -> None:
    ours = outage(2, schedule=["overloaded from 20s to 50s"], count=10_000, over_s=100)
    assert all(not one.code for one in ours.since(0, 19))
    assert len([at for at in ours.attempts if 20 <= at < 50]) <= 21
    assert all(not one.code for one in ours.since(82))


def test_while_it_is_dead_the_upstream_is_probed_ever_less() -> None:
    ours = outage(3, schedule=["overloaded from 0s to 1000s"], count=2000, over_s=1000)
    probes = [at for at in ours.attempts if at > 30]
    waits = [after - before for before, after in pairwise(probes)]
    assert 58 < probes[0] < 65 and [round(wait, -1) for wait in waits] == [120, 240, 300], probes


@pytest.mark.parametrize("fault", ["hang", "slow:90", "ping_only", "rate_limited:30", "overloaded"])
@pytest.mark.parametrize("deadline_s", [2.0, 15.0])
def test_no_call_outlives_its_deadline(fault: str, deadline_s: float) -> None:
    ours = outage(
        4,
        schedule=[f"{fault} 70%"],
        count=200,
        deadline_s=deadline_s,
        resilience=ResilienceConfig(breaker_failures=0),
    )
    assert longest(ours) <= deadline_s + 0.05
