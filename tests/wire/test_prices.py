from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.messages import Iteration, Usage
from penstock.wire.models import Models, shipped
from penstock.wire.prices import FREE, UNPRICED, PriceBook, arithmetic, price, usd

counts = st.integers(0, 2_000_000)
model_ids = st.sampled_from([model.id for model in shipped().all if not model.id.startswith("claude-2")])
usages = st.builds(
    Usage,
    input_tokens=counts,
    cache_read_tokens=counts,
    cache_write_5m_tokens=counts,
    cache_write_1h_tokens=counts,
    output_tokens=counts,
    web_searches=st.integers(0, 50),
    service_tier=st.sampled_from([None, "standard", "batch"]),
    inference_geo=st.sampled_from([None, "global", "us", "not_available"]),
    speed=st.sampled_from([None, "standard", "fast"]),
)


def on(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


NOW = on("2026-11-20")


def cost(model: str, day: str = "2026-11-20", *, is_batch: bool = False, **counts: object) -> str | None:
    """Dollars for a usage, checked to be the same line by line."""
    usage = Usage(**counts)  # type: ignore[arg-type]
    ours = price(usage, model, on(day), is_batch=is_batch)
    assert arithmetic(usage, model, on(day), is_batch=is_batch).nano == ours.nano
    return usd(ours.nano) if ours.nano is not None else None


def test_each_kind_of_token_has_its_own_rate() -> None:
    million = 1_000_000
    assert cost("claude-opus-5-5", input_tokens=million) == "4.00"
    assert cost("claude-opus-5-5", cache_read_tokens=million) == "0.20"
    assert cost("claude-opus-5-5", cache_write_5m_tokens=million) == "5.00"
    assert cost("claude-opus-5-5", cache_write_1h_tokens=million) == "8.00"
    assert cost("claude-opus-5-5", output_tokens=million) == "20.00"
    assert cost("claude-opus-5-5", web_searches=1000, web_fetches=1000) == "10.00"


def test_thinking_is_not_paid_twice() -> None:
    assert cost("claude-opus-5-5", output_tokens=100, thinking_tokens=90) == cost("claude-opus-5-5", output_tokens=100)


def test_haiku_5_5_steps_on_the_whole_prompt_output_included() -> None:
    assert cost("claude-haiku-5-5", input_tokens=100_000, output_tokens=1000) == "0.0105"
    assert cost("claude-haiku-5-5", input_tokens=100_001, output_tokens=1000) == "0.0525005"
    assert cost("claude-haiku-5-5", input_tokens=1, cache_read_tokens=100_000) == "0.0050005"
    assert cost("claude-haiku-5-5", cache_write_5m_tokens=50_000, cache_write_1h_tokens=50_001) == "0.081251"


def test_prices_change_at_midnight_utc() -> None:
    usage = Usage(cache_read_tokens=1_000_000)
    change = on("2026-10-07")
    assert price(usage, "claude-sonnet-5-5", change - 1).nano == 200_000_000
    assert price(usage, "claude-sonnet-5-5", change).nano == 100_000_000


def test_the_surcharge_over_200k_ended_in_march_2026() -> None:
    assert cost("claude-opus-4-6", "2026-03-12", input_tokens=200_001, output_tokens=10) == "2.000385"
    assert cost("claude-opus-4-6", "2026-03-13", input_tokens=200_001, output_tokens=10) == "1.000255"


def test_batch_halves_tokens_but_not_searches() -> None:
    assert cost("claude-sonnet-5", is_batch=True, input_tokens=1_000_000, web_searches=1) == "1.01"
    assert cost("claude-sonnet-5", service_tier="batch", input_tokens=1_000_000) == "1.00"


def test_fast_doubles_where_it_exists_and_never_in_a_batch() -> None:
    assert cost("claude-opus-5", speed="fast", output_tokens=1_000_000) == "50.00"
    assert cost("claude-opus-4-6", speed="fast", output_tokens=1_000_000) == "25.00"
    assert cost("claude-opus-5", speed="fast", service_tier="batch", output_tokens=1_000_000) == "12.50"


def test_us_adds_a_tenth_from_4_6_on() -> None:
    assert cost("claude-sonnet-4-6", inference_geo="us", input_tokens=1_000_000) == "3.30"
    assert cost("claude-sonnet-4-5", inference_geo="us", input_tokens=100_000) == "0.30"
    assert cost("claude-haiku-5-5", inference_geo="us", service_tier="batch", cache_read_tokens=100_000) == "0.00055"


def test_an_early_refusal_is_free() -> None:
    usage = Usage(input_tokens=1000, output_tokens=0)
    assert price(usage, "claude-opus-5", NOW, is_early_refusal=True) == FREE
    assert arithmetic(usage, "claude-opus-5", NOW, is_early_refusal=True) == FREE


@pytest.mark.parametrize("model", ["", "claude-opus-9", "gpt-5", "claude-opus-5-5-fast"])
def test_an_unknown_model_is_unpriced_never_free(model: str) -> None:
    assert price(Usage(input_tokens=1), model, NOW) == UNPRICED
    assert arithmetic(Usage(input_tokens=1), model, NOW) == UNPRICED


def test_a_rate_the_model_never_had_is_unpriced_only_where_used() -> None:
    assert cost("claude-2.1", input_tokens=1_000_000) == "8.00"
    assert cost("claude-2.1", input_tokens=1, cache_read_tokens=1) is None


def test_iterations_are_priced_each_at_its_own_model() -> None:
    entries = (
        Iteration("compaction", None, input_tokens=1_000_000, output_tokens=100_000),
        Iteration("advisor_message", "claude-opus-5", output_tokens=1_000_000),
        Iteration("message", None, input_tokens=1_000_000),
    )
    usage = Usage(input_tokens=1_000_000, iterations=entries, web_searches=1)
    assert price(usage, "claude-sonnet-5", NOW).nano == (2 + 1 + 25 + 2) * 10**9 + 10**7
    labels = [line.label for line in arithmetic(usage, "claude-sonnet-5", NOW).lines]
    assert labels == [
        "claude-sonnet-5 compaction input",
        "claude-sonnet-5 compaction output",
        "claude-opus-5 advisor output",
        "claude-sonnet-5 message input",
        "web search",
    ]


def test_each_iteration_has_its_own_step() -> None:
    entry = Iteration("message", None, input_tokens=60_000)
    usage = Usage(input_tokens=120_000, iterations=(entry, entry))
    assert price(usage, "claude-haiku-5-5", NOW).nano == 120_000 * 100


def test_an_unknown_advisor_leaves_the_whole_unpriced() -> None:
    usage = Usage(iterations=(Iteration("advisor_message", "claude-new", output_tokens=1),))
    assert price(usage, "claude-sonnet-5", NOW) == UNPRICED


def test_a_hop_that_declined_before_output_is_free_where_a_fallback_served() -> None:
    declined = Iteration("message", "claude-fable-5", input_tokens=1_000_000)
    served = Iteration("fallback_message", "claude-opus-5", input_tokens=1_000_000)
    assert price(Usage(iterations=(declined, served)), "claude-opus-5", NOW).nano == 5 * 10**9


@settings(deadline=None)
@given(usages, model_ids, st.booleans(), st.integers(1_600_000_000, 1_900_000_000))
def test_lines_add_up_to_the_price_and_rounding_is_below_a_nano(
    usage: Usage, model: str, is_batch: bool, at_s: int
) -> None:
    quick = price(usage, model, at_s * 1_000_000, is_batch=is_batch)
    slow = arithmetic(usage, model, at_s * 1_000_000, is_batch=is_batch)
    assert (quick.nano, quick.basis) == (slow.nano, slow.basis) == (quick.nano, "exact")
    assert all(line.amount_pico == line.quantity * line.unit_pico for line in slow.lines)
    assert quick.nano is not None
    assert abs(Fraction(sum(line.amount_pico for line in slow.lines), 1000) - quick.nano) <= Fraction(1, 2)


@settings(deadline=None)
@given(usages, usages, model_ids)
def test_more_tokens_never_cost_less(usage: Usage, more: Usage, model: str) -> None:
    larger = Usage(
        input_tokens=usage.input_tokens + more.input_tokens,
        cache_read_tokens=usage.cache_read_tokens + more.cache_read_tokens,
        cache_write_5m_tokens=usage.cache_write_5m_tokens + more.cache_write_5m_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens + more.cache_write_1h_tokens,
        output_tokens=usage.output_tokens + more.output_tokens,
        web_searches=usage.web_searches + more.web_searches,
        service_tier=usage.service_tier,
        inference_geo=usage.inference_geo,
        speed=usage.speed,
    )
    low, high = price(usage, model, NOW).nano, price(larger, model, NOW).nano
    assert low is not None and high is not None and low <= high


@settings(deadline=None)
@given(st.integers(-(10**15), 10**15))
def test_usd_is_exact_and_reads_back(nano: int) -> None:
    text = usd(nano)
    assert Decimal(text) == Decimal(nano) / 10**9
    assert "e" not in text.lower() and len(text.split(".")[1]) >= 2


@pytest.mark.parametrize(
    ("nano", "text"),
    [(0, "0.00"), (525_000, "0.000525"), (1, "0.000000001"), (1_500_000_000, "1.50"), (-10_000_000, "-0.01")],
)
def test_usd_drops_zeros_beyond_cents(nano: int, text: str) -> None:
    assert usd(nano) == text


def test_an_override_replaces_a_models_prices_or_adds_a_model() -> None:
    book = PriceBook(overrides={"claude-opus-5": {"input": "1", "output": "2"}, "own": {"input": "0.5", "output": "1"}})
    assert book.price(Usage(input_tokens=1000), "claude-opus-5", NOW).nano == 1_000_000
    assert book.price(Usage(input_tokens=1000), "own", NOW).nano == 500_000
    assert book.price(Usage(cache_read_tokens=1), "own", NOW) == UNPRICED
    aliased = PriceBook(overrides={"claude-haiku-4-5": {"input": "9", "output": "9"}})
    assert aliased.price(Usage(input_tokens=1000), "claude-haiku-4-5-20251001", NOW).nano == 9_000_000


@pytest.mark.parametrize(
    ("usd_by_kind", "said"),
    [
        ({"input": "1"}, "`input` and `output`"),
        ({"input": "1", "output": "x"}, '"x" is not a decimal number'),
        ({"input": "1", "output": "0.00001"}, "steps of 0.00002"),
        ({"input": "-1", "output": "1"}, r"prices\.models\.m\.input"),
        ({"input": "1", "output": "1", "cached": "1"}, "no such price: cached"),
        ({"input": "NaN", "output": "1"}, r"prices\.models\.m\.input"),
    ],
)
def test_an_override_that_is_no_price_is_refused_by_name(usd_by_kind: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PriceBook(overrides={"m": usd_by_kind})


def test_unknown_models_are_not_remembered() -> None:
    book = PriceBook(Models(()))
    for number in range(100):
        book.price(Usage(), f"claude-{number}", NOW)
    assert not book._spans
