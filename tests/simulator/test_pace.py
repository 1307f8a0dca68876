"""How fast answers come, in virtual time."""

from __future__ import annotations

import statistics

import pytest

from penstock.simulator.dice import Dice
from penstock.simulator.pace import Pace


def drawn(model: str, scale: float = 1.0) -> list[Pace]:
    pace = Pace.measured(scale)
    return [pace.drawn(model, Dice(number)) for number in range(600)]


@pytest.mark.parametrize(
    ("model", "low", "middle", "high", "token_ms"),
    [
        ("claude-haiku-4-5-20251001", 307, 475, 1_372, 11.4),
        ("claude-sonnet-4-6", 401, 951, 2_738, 12.9),
        ("claude-opus-4-7", 1_031, 1_360, 2_332, 9.6),
        ("claude-haiku-5-5", 307, 475, 1_372, 11.4),
        ("claude-fable-5-2", 1_031, 1_360, 2_332, 9.6),
    ],
)
def test_each_model_is_as_fast_as_it_was_measured(
    model: str, low: float, middle: float, high: float, token_ms: float
) -> None:
    heads = [pace.first_token_ms for pace in drawn(model)]
    assert min(heads) == low and max(heads) == high
    assert statistics.median(heads) == pytest.approx(middle, rel=0.1)
    assert drawn(model)[0].tokens_per_s == pytest.approx(1_000 / token_ms)


def test_a_scale_shortens_all_of_it() -> None:
    whole, tenth = drawn("claude-sonnet-4-6"), drawn("claude-sonnet-4-6", 0.1)
    assert tenth[3].first_token_ms == pytest.approx(whole[3].first_token_ms / 10)
    assert tenth[3].tokens_per_s == pytest.approx(whole[3].tokens_per_s * 10)


@pytest.mark.parametrize("scale", [0, -1, float("inf")])
def test_a_scale_that_cannot_be_is_named(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Pace.measured(scale)
