from __future__ import annotations

import pytest

from penstock.simulator.catalogue import Model as Judge
from penstock.simulator.catalogue import served_models
from penstock.wire.models import Model, bytes_per_token, shipped


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("claude-opus-4-7-20260416", "claude-opus-4-7"),
    ],
)
def test_a_model_is_found_by_id_alias_and_dated_id(name: str, id: str) -> None:
    model = shipped().find(name)
    assert model is not None and model.id == id


@pytest.mark.parametrize("name", ["", "claude", "claude-opus-5-5-latest", "claude-3-5-haiku-20991231x"])
def test_other_names_are_not_guessed(name: str) -> None:
    assert shipped().find(name) is None


def test_every_model_the_sdk_names_is_known() -> None:
    module = pytest.importorskip("anthropic.types.model")
    assert [name for name in module.Model.__args__[0].__args__ if shipped().find(name) is None] == []


def test_names_are_unique() -> None:
    names = [name for model in shipped().all for name in (model.id, *model.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("model", shipped().all, ids=lambda model: model.id)
def test_a_model_is_priced_without_gap_or_overlap_and_sourced(model: Model) -> None:
    first, last = model.prices[0], model.prices[-1]
    assert first.from_us == -(1 << 63) and last.until_us == 1 << 63
    for early, late in zip(model.prices, model.prices[1:], strict=False):
        assert early.until_us == late.from_us
    assert model.sources
    assert (model.state == "active") == (model.retires is None and model.state != "retired")


@pytest.mark.parametrize("model", shipped().all, ids=lambda model: model.id)
def test_writes_cost_five_quarters_and_twice_the_input(model: Model) -> None:
    for period in model.prices:
        for rates in (period.rates, period.above or period.rates):
            if rates.cache_write_5m is None:
                continue
            assert rates.cache_write_1h == 2 * rates.input
            # Claude 3 Haiku's published 5-minute price is 0.30 where the rule gives 0.3125.
            assert model.id == "claude-3-haiku-20240307" or rates.cache_write_5m * 4 == rates.input * 5


def test_the_tokenizer_changed_with_4_7() -> None:
    assert [bytes_per_token(name) for name in ("claude-sonnet-4-6", "claude-opus-4-7", "unknown")] == [3.4, 2.5, 2.5]


@pytest.mark.parametrize("judge", served_models(), ids=lambda judge: judge.id)
def test_what_a_model_takes_is_what_the_simulator_accepts(judge: Judge) -> None:
    """The simulator derives from family and version what models.toml has as data."""
    model = shipped().find(judge.id)
    assert model is not None
    can, levels = model.capabilities, tuple(judge.efforts)
    assert set(can.thinking_types) == {kind for kind, is_taken in judge.thinking_types.items() if is_taken}
    assert can.efforts == levels
    if "disabled" in can.thinking_types or not can.thinks_unasked:
        assert can.efforts_without_thinking == (levels[:3] if judge.needs_thinking_for_top_efforts else levels)
    for flag in ("thinks_unasked", "preserves_thinking", "takes_sampling", "may_be_prefilled", "may_force_tools"):
        assert getattr(can, flag) == getattr(judge, flag), flag
    assert (can.hears_system_turns, can.may_compact) == (judge.hears_system_turns, judge.may_compact)
    kinds = {"computer_20251124", "computer_20250124", "computer_20241022", "bash_20241022", "text_editor_20241022"}
    assert set(can.refused_tools) == {kind for kind in kinds if not judge.takes_tool(kind)}
    assert (model.fast_beta is not None) == judge.needs_beta_for_speed


def test_a_model_reads_thinking_of_models_that_are_known() -> None:
    for model in shipped().all:
        assert all(shipped().find(name) is not None for name in model.reads_thinking_of)
        assert model.id not in model.reads_thinking_of
