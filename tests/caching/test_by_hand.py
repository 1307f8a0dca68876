"""Thirty conversations: the planner beside somebody who marks system prompt and end of every call, as is advised."""

from __future__ import annotations

from random import Random

import pytest

from caching.callers import Script, talk, together
from caching.shop import BEGAN_S, Shop

MARK = {"type": "ephemeral"}


def talks(kind: str) -> Script:
    random = Random(1)
    scripts = []
    for number in range(30):
        of = {"name": str(number)}
        if kind == "steady":
            scripts.append(talk(6, 40 * random.uniform(0.5, 2), start_s=number * 120, **of))
        elif kind == "mixed":
            gap_s = random.choice([20, 60, 200])
            scripts.append(talk(random.randint(1, 8), gap_s, start_s=random.uniform(0, 4000), **of))
        elif kind == "slow":
            scripts.append(talk(6, 480, start_s=number * 500, **of))
        elif kind == "one question each":
            scripts.append(talk(1, 40, start_s=number * 60, first=2000, **of))
        else:
            scripts.append(talk(random.randint(1, 4), 60, start_s=number * 100, first=8000, **of))
    return together(*scripts)


def spent(script: Script, *, by: str) -> float:
    shop = Shop(is_on=by == "planner")
    for at_s, asked in script:
        shop.now_s = max(shop.now_s, BEGAN_S + at_s)
        if by == "hand":
            asked = {**asked, "system": [{"type": "text", "text": asked["system"], "cache_control": MARK}]}
            asked["cache_control"] = MARK
        shop.ask(asked, took_s=0.5)
    return shop.spent


@pytest.mark.parametrize(
    ("kind", "of_hand", "of_none"),
    [
        ("steady", 1.05, 0.2),
        ("mixed", 1.05, 0.2),
        ("slow", 0.5, 0.26),
        ("one question each", 0.9, 0.51),
        ("long documents", 1.15, 0.52),
    ],
)
def test_it_is_about_as_good_as_marks_set_by_hand_and_better_where_those_do_not_fit(
    kind: str, of_hand: float, of_none: float
) -> None:
    script = talks(kind)
    ours, hand, none = (spent(script, by=who) for who in ("planner", "hand", "nobody"))
    print(f"| {kind} ({len(script)}) | {none:,.0f} | {ours:,.0f} | {hand:,.0f} |")
    assert ours <= of_hand * hand and ours <= of_none * none
