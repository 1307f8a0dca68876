"""The scoreboard's arithmetic. What it counts is not tested: it is the test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.scoreboard.board import Line, at_least, at_most, table


@pytest.mark.parametrize(
    ("figures", "is_met"),
    [
        ({"in process": 1.0, "gateway": 1.4, "bare SDK": 3.0}, True),
        ({"in process": 1.0, "gateway": 1.6, "bare SDK": 1.0}, False),
        ({"gateway": 1.5}, True),
        ({"bare SDK": 3.0}, None),
    ],
)
def test_a_target_is_for_both_of_ours_and_not_for_the_bare_sdk(figures: dict[str, float], is_met: bool | None) -> None:
    assert Line("T2", "peak", "×", figures, at_most(1.5)).is_met is is_met
    assert Line("T2", "peak", "×", figures).is_met is None


def test_the_table_shows_what_was_missed_and_what_was_not_measured() -> None:
    lines = [
        Line("T1", "goodput", "", {"in process": 0.98, "gateway": 0.9}, at_least(0.97)),
        Line("T3", "a refusal", "ms", {"in process": 2.5}, at_most(5)),
    ]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table(lines).splitlines()[2:]]
    assert rows == [
        ["T1", "goodput", "0.980", "0.900", "–", "≥ 0.970", "**no**"],
        ["T3", "a refusal, ms", "2.50", "–", "–", "≤ 5.00", "yes"],
    ]
