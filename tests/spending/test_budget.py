"""Whether a budget is about a call, and which account counts it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.money import BudgetConfig
from penstock.spending.budget import Budget, of_key, parts

NOBODY: dict[str, str | None] = dict.fromkeys(("environment", "key", "segment", "user", "session", "feature", "model"))
AT_US = 1_795_132_800_000_000  # 2026-11-20


def named(budget: Budget, at_us: int = AT_US, **who: str) -> Any:
    found = budget.about({**NOBODY, **who}, at_us)
    return None if found is None else parts(found.account.name)


def test_all_of_where_must_hold() -> None:
    budget = Budget(BudgetConfig(name="b", where={"feature": "chat", "environment": "prod"}, plan_usd=1))
    assert named(budget, feature="chat", environment="prod", user="ada") == ("b", "2026-11", ())
    assert named(budget, feature="chat", environment="dev") is None
    assert named(budget, feature="chat") is None


def test_each_value_has_an_account_and_those_without_share_one() -> None:
    budget = Budget(BudgetConfig(name="b", per=("user", "model"), period="day", plan_usd=1))
    assert named(budget, user="ada", model="m") == ("b", "2026-11-20", ("ada", "m"))
    assert named(budget, model="m") == ("b", "2026-11-20", ("", "m"))


@given(st.lists(st.integers(AT_US, AT_US + 5 * 86_400_000_000), max_size=20))
def test_a_call_counts_in_the_period_it_began_in_whatever_came_before_it(moments: list[int]) -> None:
    budget = Budget(BudgetConfig(name="b", period="day", plan_usd=1))
    for at_us in moments:
        found = budget.about(NOBODY, at_us)
        assert found is not None and found.span.from_us <= at_us < found.span.until_us
        assert parts(found.account.name)[1] == found.span.label


@pytest.mark.parametrize(
    ("plan", "limit", "stops", "expected"),
    [
        (10, None, True, (10_000_000_000, 12_000_000_000)),
        (None, 12, True, (10_000_000_000, 12_000_000_000)),
        (10, "10.000000001", True, (10_000_000_000, 10_000_000_001)),
        (10, None, False, (10_000_000_000, None)),
    ],
)
def test_a_plan_makes_a_limit_and_a_limit_a_plan(plan: Any, limit: Any, stops: bool, expected: Any) -> None:
    budget = Budget(BudgetConfig(plan_usd=plan, limit_usd=limit, stops=stops))
    assert (budget.plan_nano, budget.limit_nano) == expected


def test_a_budget_about_other_calls_is_counted_anew() -> None:
    common: dict[str, Any] = {"name": "b", "plan_usd": 1}
    kinds = [{}, {"where": {"user": "a"}}, {"per": ("user",)}, {"period": "day"}, {"timezone": "Asia/Tokyo"}]
    identities = {Budget(BudgetConfig(**common, **kind)).counted(AT_US).identity for kind in kinds}
    assert len(identities) == len(kinds)
    dearer = Budget(BudgetConfig(name="b", plan_usd=2)).counted(AT_US)
    assert dearer.identity in identities, "another limit counts the same"


def test_keys_have_their_own() -> None:
    assert named(of_key(50_000_000, "day"), key="key_1") == ("each key's own 0.05, day", "2026-11-20", ("key_1",))
