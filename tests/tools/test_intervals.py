"""Intervals, against published figures and by how often they hold."""

from __future__ import annotations

from random import Random

import pytest

from penstock.tools.intervals import Interval, Moments, of_means, of_pairs, of_shares, student


def moments(*values: float) -> Moments:
    made = Moments()
    for value in values:
        made.add(value)
    return made


@pytest.mark.parametrize(
    ("freedom", "table"),
    [(1, 12.706), (2, 4.303), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980), (10_000, 1.960)],
)
def test_students_t_is_that_of_the_tables(freedom: float, table: float) -> None:
    assert student(freedom) == pytest.approx(table, abs=0.0025)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_shares_are_newcombes_own_examples(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    """Statistics in Medicine 17 (1998), table II, method 10."""
    found = of_shares(*one, *other)
    assert (found.low, found.high) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


def test_welchs_interval_holds_as_often_as_it_says() -> None:
    random, held, rounds = Random(5), 0, 2000
    for _ in range(rounds):
        one = moments(*(random.gauss(10, 1) for _ in range(12)))
        other = moments(*(random.gauss(8, 4) for _ in range(30)))
        found = of_means(one, other)
        assert found.low is not None and found.high is not None
        held += found.low <= 2 <= found.high
    assert 0.935 < held / rounds < 0.965


def test_pairs_see_what_groups_do_not() -> None:
    random = Random(1)
    firsts = [random.uniform(0, 100) for _ in range(50)]
    seconds = [value - 1 + random.gauss(0, 0.5) for value in firsts]
    assert not of_means(moments(*seconds), moments(*firsts)).is_sure
    paired = of_pairs(moments(*(second - first for first, second in zip(firsts, seconds, strict=True))))
    assert paired.is_sure and paired.difference == pytest.approx(-1, abs=0.3)


def test_of_too_little_nothing_is_said() -> None:
    assert of_means(moments(3), moments(1, 2)) == Interval(1.5)
    assert of_pairs(moments(2)) == Interval(2.0) and of_pairs(Moments()) == Interval(0.0)
    assert of_shares(0, 0, 1, 2) == Interval(0.0)
    assert not Interval(1.5).is_sure
    assert of_means(moments(3, 3), moments(1, 1)) == Interval(2.0, 2.0, 2.0)
