"""Twice what an upstream's limits allow, for some virtual minutes: what is served, refused and waited for."""

from __future__ import annotations

import pytest

from laws.overload import MODEL, overload
from penstock.simulator import Limits

PLENTY = 10**7
KINDS = {
    "requests": (Limits(requests=60, input_tokens=PLENTY, output_tokens=PLENTY, is_enforced=True), 120),
    "input tokens": (Limits(requests=PLENTY, input_tokens=40_000, output_tokens=PLENTY, is_enforced=True), 160),
    "output tokens": (Limits(requests=PLENTY, input_tokens=PLENTY, output_tokens=8_000, is_enforced=True), 160),
}


@pytest.mark.parametrize("kind", KINDS)
def test_at_twice_the_limit_the_limit_is_used_fairly_and_the_upstream_hardly_refuses(kind: str) -> None:
    limits, per_minute = KINDS[kind]
    ours = overload(1, limits, per_minute=per_minute, minutes=4)
    bare = overload(1, limits, per_minute=per_minute, minutes=4, is_bare=True)
    assert ours.goodput >= 0.98
    assert ours.limited <= 0.01 * ours.sent < 0.3 * bare.limited
    assert ours.fairness() >= 0.95
    interactive, background = ours.waits("interactive"), ours.waits("background")
    assert interactive[int(0.95 * len(interactive))] <= 92, "no longer than `wait_max_s`, and the answer"
    assert background, "it is served too"
    refused = [one for one in ours.calls if one.answered is None]
    assert all(one.code == "upstream_busy" for one in refused)
    assert all(one.answered is not None for one in ours.calls if one.lane == "background"), "it may wait, so it does"


def test_below_the_limit_nobody_waits_or_is_refused() -> None:
    limits = Limits(requests=60, input_tokens=PLENTY, output_tokens=PLENTY, is_enforced=True)
    outcome = overload(2, limits, per_minute=40, minutes=4)
    assert outcome.limited == 0 and all(one.answered is not None for one in outcome.calls)
    assert max(outcome.waits("interactive")) < 2 and MODEL


def test_a_limit_on_growth_is_met_once_and_then_kept() -> None:
    limits = Limits(requests=PLENTY, input_tokens=120_000, output_tokens=PLENTY, ramp=1.6, is_enforced=True)
    ours = overload(3, limits, per_minute=150, minutes=6)
    bare = overload(3, limits, per_minute=150, minutes=6, is_bare=True)
    assert ours.limited < 0.5 * bare.limited
