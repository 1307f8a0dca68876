"""Laws of splits: shares are as said, a user stays where it is, and what grows takes from nobody it need not."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from penstock.call import Tags
from penstock.choosing.splits import Split, is_drawn
from penstock.config.routes import ArmConfig, QualityConfig, SplitConfig
from penstock.prompts.splitting import split as prompt_split
from script import a_call

USERS = [f"user-{number}" for number in range(20_000)]
CALL = a_call()


def a_split(*shares: float, name: str = "s", by: str = "user") -> Split:
    arms = tuple(ArmConfig(name=chr(98 + n), share_percent=share, model=f"m{n}") for n, share in enumerate(shares))
    return Split("feature", SplitConfig(name=name, by=by, arms=arms), QualityConfig())  # type: ignore[arg-type]


def fallen(split: Split, users: list[str] = USERS) -> dict[str, str]:
    found = {}
    for user in users:
        arm = split.arm(replace(CALL, tags=Tags(user=user)))
        found[user] = "control" if arm is None else arm.name
    return found


@pytest.mark.parametrize("shares", [(5.0,), (50.0,), (0.5, 30.0), (10.0, 20.0, 30.0), (33.3, 33.3, 33.4)])
def test_shares_are_as_said(shares: tuple[float, ...]) -> None:
    """Within five standard deviations: one draw in two million would not be."""
    counts = Counter(fallen(a_split(*shares)).values())
    for name, share in [*zip("bcd", shares, strict=False), ("control", 100 - sum(shares))]:
        expected, spread = len(USERS) * share / 100, math.sqrt(len(USERS) * share * max(0.0, 100 - share)) / 100
        assert abs(counts[name] - expected) <= 5 * spread + 1e-6, name


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 500), min_size=4, max_size=4))
def test_with_one_arm_or_two_nobody_changes_but_from_the_control_as_shares_grow(parts: list[int]) -> None:
    first, more, second, more_second = (part / 10 for part in parts)
    scale = 100 / max(100, first + more + second + more_second)
    before = fallen(a_split(first * scale, second * scale), USERS[:800])
    after = fallen(a_split((first + more) * scale, (second + more_second) * scale), USERS[:800])
    assert all(arm in ("control", after[user]) for user, arm in before.items())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(1, 10))
def test_of_three_arms_the_first_and_the_last_grow_likewise(b: int, c: int, d: int, more: int) -> None:
    before = fallen(a_split(b, c, d), USERS[:800])
    for after in (fallen(a_split(b + more, c, d), USERS[:800]), fallen(a_split(b, c, d + more), USERS[:800])):
        assert all(arm in ("control", after[user]) for user, arm in before.items())


def test_each_split_shuffles_users_anew_and_the_name_alone_decides() -> None:
    same = fallen(a_split(50, name="one"))
    assert fallen(a_split(50, name="one")) == same
    other = fallen(a_split(50, name="two"))
    agree = sum(same[user] == other[user] for user in USERS)
    assert abs(agree - 10_000) < 5 * math.sqrt(5000)


def test_a_prompt_of_the_same_name_has_its_newest_version_with_the_same_users() -> None:
    arms = fallen(a_split(10, name="support"))
    assert all((arms[user] == "b") == (prompt_split("support", {3: 90, 4: 10}, user) == 4) for user in USERS)


def test_without_a_user_the_session_decides_and_without_both_the_call() -> None:
    split = a_split(50)

    def arm(**tags: str) -> object:
        return split.arm(replace(CALL, tags=Tags(**tags)))

    assert all(arm(user=name, session=f"s{name}") is arm(user=name) for name in USERS[:100])
    assert all(arm(session=name) is arm(user=name) for name in USERS[:100])
    by_session = a_split(50, by="session")
    differing = [n for n in USERS[:100] if by_session.arm(replace(CALL, tags=Tags(user="u", session=n))) is None]
    assert 20 < len(differing) < 80, "the user does not decide there"
    calls = [split.arm(replace(CALL, id=name)) for name in USERS[:100]]
    assert 20 < sum(arm is None for arm in calls) < 80


def test_a_share_of_nothing_draws_nobody_and_one_of_all_everybody() -> None:
    assert not any(is_drawn("shadow", user, 0.0) for user in USERS)
    assert all(is_drawn("shadow", user, 100.0) for user in USERS)
    assert abs(sum(is_drawn("shadow", user, 1.0) for user in USERS) - 200) < 71
