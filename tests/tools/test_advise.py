"""Each kind of advice, in ledgers where the saving can be worked out by hand.

Unless said otherwise calls are of Haiku 5.5, for which nothing newer or smaller exists. Nano-dollars per token: input
100, output 500, cache read 10, 5-minute write 125, 1-hour write 200; it caches from 512 tokens on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.call import Fact, Spent
from penstock.config.features import FeatureConfig
from penstock.record import Record
from penstock.stores.folding import insert
from penstock.stores.schema import connect, writing
from penstock.tools.advise import ORDER, Advice, Advised, Span, advise
from penstock.wire.messages import Usage
from penstock.wire.prices import PriceBook, price

BEGAN_US = 1_795_132_800_000_000  # 2026-11-20
DAY_US = 86_400_000_000
SPAN = Span(BEGAN_US, BEGAN_US + DAY_US)
HAIKU = "claude-haiku-5-5"


def call(number: int, at_s: float, usage: Usage, **more: Any) -> Record:
    """A call at so many seconds, answered after two, at the list price."""
    model = more.pop("model", HAIKU)
    at_us = BEGAN_US + round(at_s * 1_000_000)
    given = {
        "feature": "chat",
        "upstream": "anthropic",
        "status": 200,
        "stop_reason": "end_turn",
        "cost_nano": price(usage, model, at_us).nano,
        "cost_basis": "exact",
        "total_us": 2_000_000,
        **{name: getattr(usage, name) for name in ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens")},
        **{name: getattr(usage, name) for name in ("cache_write_1h_tokens", "output_tokens", "web_searches", "speed")},
    }
    shape = ("gateway", "POST", "/v1/messages", "messages")
    names = ("face", "method", "path", "endpoint")
    fixed = {"call_id": f"call_{number:04}", "began_at_us": at_us, "model_served": model}
    return Record(**{**fixed, **dict(zip(names, shape, strict=True)), **given, **more})


def repeated(times_s: list[float], tokens: int = 2000, **more: Any) -> list[Record]:
    """Calls of one prompt."""
    return [call(n, at, Usage(tokens, output_tokens=10), prompt_hash="a" * 32, **more) for n, at in enumerate(times_s)]


def advised(place: Path, records: list[Record], span: Span = SPAN, **more: Any) -> Advised:
    connection = connect(place)
    with writing(connection):
        insert(connection, records)
    connection.close()
    return advise(place, span, **{"features": {}, "prices": PriceBook(), **more})


def only(made: Advised) -> Advice:
    (one,) = made.advice
    assert one.share_nano == one.saved_nano == made.total_nano
    return one


def test_a_prompt_that_comes_again_within_five_minutes_is_cached_for_five(tmp_path: Path) -> None:
    # 2,000 tokens, four times: one write and three reads for 4 x 100.
    one = only(advised(tmp_path, repeated([0, 60, 120, 400])))
    assert (one.kind, one.feature, one.label, one.calls) == ("caching", "chat", f"{HAIKU}, 5m", 4)
    assert one.saved_nano == 4 * 2000 * 100 - 2000 * 125 - 3 * 2000 * 10
    assert one.confidence == "medium" and '"type": "ephemeral"}' in one.change and "3 of them" in one.evidence


def test_gaps_of_more_than_five_minutes_want_an_hour(tmp_path: Path) -> None:
    # 5 minutes: written at 0 and 720, read at 60. An hour: written at 0, read twice.
    one = only(advised(tmp_path, repeated([0, 60, 720])))
    assert one.label.endswith("1h") and '"ttl": "1h"' in one.change
    assert one.saved_nano == 3 * 2000 * 100 - 2000 * 200 - 2 * 2000 * 10


def test_a_read_renews_the_entry(tmp_path: Path) -> None:
    one = only(advised(tmp_path, repeated([0, 299, 598])))
    assert one.label.endswith("5m") and one.saved_nano == 3 * 2000 * 100 - 2000 * 125 - 2 * 2000 * 10


def test_the_shortest_prompt_bounds_what_is_static_and_confidence_falls_with_it(tmp_path: Path) -> None:
    long = [call(9, 30, Usage(8000, output_tokens=10), prompt_hash="a" * 32)]
    one = only(advised(tmp_path, [*repeated([0, 60]), *long]))
    assert one.saved_nano == 3 * 2000 * 100 - 2000 * 125 - 2 * 2000 * 10
    assert one.confidence == "low" and "at most 50.0 %" in one.why  # 6,000 of 12,000


def test_a_conversation_reads_the_turn_before_and_writes_what_is_new(tmp_path: Path) -> None:
    sizes = [1000, 3000, 6000]
    records = [call(n, 60 * n, Usage(size, output_tokens=10), session="s") for n, size in enumerate(sizes)]
    one = only(advised(tmp_path, records))
    assert (one.kind, one.label, one.calls, one.confidence) == ("caching", f"{HAIKU}, turns, 5m", 3, "medium")
    assert one.saved_nano == 10_000 * 100 - (1000 + 2000 + 3000) * 125 - (1000 + 3000) * 10
    assert "2 would have read" in one.evidence and "beside `messages`" in one.change


def test_sessions_of_one_turn_count_against_caching_conversations(tmp_path: Path) -> None:
    talk = [call(n, 60 * n, Usage(3000 + n), session="s") for n in range(2)]
    single = [call(10 + n, n, Usage(3000), session=f"s{n}") for n in range(10)]
    assert only(advised(tmp_path, talk)).saved_nano == 6001 * 100 - 3000 * 125 - 3000 * 10 - 125
    assert advised(tmp_path / "all", talk + single).advice == ()  # ten writes of 3,000 for one read


def test_of_two_ways_to_cache_the_same_only_the_better_is_advised(tmp_path: Path) -> None:
    """System and tools, which sessions share, or the conversation: here the latter is most of what is sent."""
    sizes = [1000, 5000, 9000]
    records = [
        call(10 * talk + n, 1000 * talk + 60 * n, Usage(size), session=f"s{talk}", prompt_hash="a" * 32)
        for talk in range(2)
        for n, size in enumerate(sizes)
    ]
    one = only(advised(tmp_path, records))
    assert one.label.endswith("turns, 5m")
    assert one.saved_nano == 2 * (15_000 * 100 - 9000 * 125 - 6000 * 10)


def test_calls_that_use_a_cache_already_are_left_as_they_are(tmp_path: Path) -> None:
    cached = call(9, 30, Usage(2500, 1000, output_tokens=10), prompt_hash="a" * 32)
    one = only(advised(tmp_path, [*repeated([0, 60]), cached]))
    assert (one.calls, one.saved_nano) == (2, 2 * 2000 * 100 - 2000 * 125 - 2000 * 10)


def test_calls_whose_cost_is_not_known_are_not_looked_at(tmp_path: Path) -> None:
    unknown = call(9, 30, Usage(2000, output_tokens=10), model="claude-next-9", prompt_hash="a" * 32)
    assert unknown.cost_nano is None
    made = advised(tmp_path, [*repeated([0, 60]), unknown])
    assert only(made).calls == made.calls == 2


@pytest.mark.parametrize(
    "records",
    [
        repeated([0, 1, 1.5]),  # beside one another: none can read what another writes, and all would write
        repeated([0, 60], tokens=511),  # less than the model caches
        repeated([0, 4000]),  # further apart than an hour
        [call(n, 60 * n, Usage(100, 1900, output_tokens=9), prompt_hash="a" * 32) for n in range(3)],  # cached already
        [call(n, 60 * n, Usage(2000, output_tokens=9), prompt_hash=f"{n:032}") for n in range(3)],  # other prompts
        [call(n, 60 * n, Usage(2000, output_tokens=9)) for n in range(3)],  # nothing static
        [*repeated([0], upstream="a"), call(7, 60, Usage(2000), prompt_hash="a" * 32, upstream="b")],  # other caches
        repeated([0, 300]),  # just over: two writes for five minutes, or for an hour 200 + 10 against 2 x 100
        [call(n, n, Usage(50_000, output_tokens=400)) for n in range(30)],
        [],
    ],
)
def test_nothing_is_advised_where_nothing_would_be_saved(tmp_path: Path, records: list[Record]) -> None:
    made = advised(tmp_path, records)
    assert made.advice == () and made.total_nano == made.sure_nano == made.hidden == 0
    assert made.calls == len(records)


def test_the_background_lane_is_half_price_as_batches_but_for_sessions(tmp_path: Path) -> None:
    features = {"nightly": FeatureConfig(lane="background")}
    records = [call(n, n, Usage(1000, output_tokens=100), feature="nightly") for n in range(3)]
    records += [call(7, 7, Usage(1000, output_tokens=100), feature="nightly", session="s"), call(8, 8, Usage(1000))]
    one = only(advised(tmp_path, records, features=features))
    assert (one.kind, one.calls, one.confidence) == ("batch", 3, "high") and "1 left out, being turns" in one.evidence
    assert one.saved_nano == 3 * (1000 * 100 + 100 * 500) // 2


def test_the_default_feature_decides_for_those_without_their_own(tmp_path: Path) -> None:
    records = [call(1, 1, Usage(1000, 500), feature="other"), call(2, 2, Usage(1000), feature="chat")]
    features = {"default": FeatureConfig(lane="background"), "chat": FeatureConfig()}
    one = only(advised(tmp_path, records, features=features))
    assert (one.feature, one.confidence) == ("other", "medium")  # it reads from cache
    assert one.saved_nano == (1000 * 100 + 500 * 10) // 2


def test_a_cap_saves_what_is_longer_than_nearly_all(tmp_path: Path) -> None:
    lengths = [100] * 198 + [1000, 3000]
    records = [call(n, n, Usage(10, output_tokens=tokens)) for n, tokens in enumerate(lengths)]
    one = only(advised(tmp_path, records, features={"chat": FeatureConfig(max_tokens=4000)}))
    assert (one.kind, one.calls, one.confidence) == ("max_tokens", 2, "low")
    assert one.saved_nano == (900 + 2900) * 500
    assert "max_tokens = 100" in one.change and "3,000 at most" in one.evidence and "4,000" in one.evidence
    assert one.call_ids == ("call_0199", "call_0198")
    even = advised(tmp_path / "even", [call(n, n, Usage(10, output_tokens=100 + n)) for n in range(200)])
    assert even.advice == ()  # the longest is not twice the 99th percentile


def test_a_newer_model_of_the_same_tier_and_tokenizer(tmp_path: Path) -> None:
    # Opus 5 at 5,000 and 25,000 nano-dollars; Opus 5.5 at 4,000 and 20,000; Sonnet 5.5 at 2,000 and 10,000.
    made = advised(tmp_path, [call(1, 1, Usage(1000, output_tokens=1000), model="claude-opus-5")])
    smaller, newer = made.advice
    assert (newer.kind, newer.label) == ("successor", "claude-opus-5 to claude-opus-5-5")
    assert newer.saved_nano == 1000 * (1000 + 5000) and newer.confidence == "high"
    assert (smaller.kind, smaller.label) == ("smaller_model", "claude-opus-5 to claude-sonnet-5-5")
    assert smaller.saved_nano == 1000 * (3000 + 15_000) and smaller.confidence == "low"
    assert made.total_nano == smaller.saved_nano  # not both: the smaller one adds what the newer one has left
    assert (newer.share_nano, smaller.share_nano) == (1000 * 6000, 1000 * 12_000)
    assert made.sure_nano == newer.saved_nano


def test_another_tokenizer_counts_more_and_a_model_that_ends_is_said(tmp_path: Path) -> None:
    usage, model = Usage(1001, output_tokens=1000), "claude-sonnet-4-5-20250929"
    made = advised(tmp_path, [call(1, 1, usage, model=model)])
    newer = next(one for one in made.advice if one.kind == "successor")
    # 1,001 x 1.3 is 1,301.3: 1,302. Sonnet 4.5 at 3,000 and 15,000, Sonnet 5.5 at 2,000 and 10,000.
    assert newer.saved_nano == 1001 * 3000 + 1000 * 15_000 - 1302 * 2000 - 1300 * 10_000
    assert newer.confidence == "medium" and "retires on 2026-11-30" in newer.evidence
    assert any("is deprecated, and retires on 2026-11-30: 1 call." in note for note in made.notes)


def test_a_dearer_successor_is_not_advised(tmp_path: Path) -> None:
    made = advised(tmp_path, [call(1, 1, Usage(1000, output_tokens=1000), model="claude-opus-4-5-20251101")])
    assert [one.kind for one in made.advice] == ["smaller_model"]  # 1.3 x 4 is more than 5


def test_turns_before_the_last_ten_of_a_session(tmp_path: Path) -> None:
    records = [call(n, n, Usage(1000 * n), session="s") for n in range(1, 14)]
    one = only(advised(tmp_path, records))
    # The first 1,000 tokens stay. The 12th call could leave out 1,000 of the second turn, the 13th 2,000.
    assert (one.kind, one.calls, one.confidence) == ("history", 2, "low")
    assert one.saved_nano == 3000 * 100


def test_tokens_over_a_hundred_thousand_fall_below_the_price_step(tmp_path: Path) -> None:
    records = [call(1, 1, Usage(90_000), session="s"), call(2, 2, Usage(150_000), session="s")]
    assert only(advised(tmp_path, records)).saved_nano == 150_000 * 500 - 100_000 * 100


def test_a_history_that_is_cached_would_be_dearer_cut(tmp_path: Path) -> None:
    records = [call(n, n, Usage(0, 1000 * (n - 1), 1000), session="s") for n in range(1, 14)]
    assert advised(tmp_path, records).advice == ()


def test_a_history_is_cut_behind_what_is_cached_of_its_beginning(tmp_path: Path) -> None:
    """500 tokens of each prompt are read from cache, and stay."""
    records = [call(n, n, Usage(1000 * n - 500, 500), session="s") for n in range(1, 14)]
    assert only(advised(tmp_path, records)).saved_nano == 3000 * 100


def test_what_gets_in_the_way_of_better_advice_is_not_in_the_total(tmp_path: Path) -> None:
    """13 turns a minute apart: cached, a turn reads the one before; cut, it could not."""
    made = advised(tmp_path, [call(n, 60 * n, Usage(1000 * n), session="s") for n in range(1, 14)])
    caching, history = made.advice
    assert (caching.kind, history.kind, history.saved_nano) == ("caching", "history", 3000 * 100)
    assert caching.saved_nano == 91_000 * 100 - 13_000 * 125 - 78_000 * 10
    assert (caching.share_nano, history.share_nano) == (caching.saved_nano, 0)
    assert made.total_nano == caching.saved_nano


def test_a_history_its_application_cuts_is_counted_anew(tmp_path: Path) -> None:
    sizes = [1000 * n for n in range(1, 11)] * 2
    assert advised(tmp_path, [call(n, n, Usage(size), session="s") for n, size in enumerate(sizes)]).advice == ()


class Odd(Fact, frozen=True):
    """A fact that no version of Penstock knows."""


def test_money_for_what_nobody_got(tmp_path: Path) -> None:
    given_up = Spent(Usage(100, output_tokens=20), HAIKU)
    whole = Usage(100, output_tokens=30)
    trail = msgspec.json.encode([Odd(), given_up])
    records = [
        call(1, 1, whole, trail=trail, cost_basis="estimated", cost_nano=100 * 200 + 50 * 500),
        call(2, 2, whole, ending="truncated", cost_basis="estimated"),
        call(3, 3, whole, ending="abandoned", cost_basis="estimated"),
        call(4, 4, whole, stop_reason="refusal"),
        call(5, 5, whole),
    ]
    made = advised(tmp_path, records)
    own = 100 * 100 + 30 * 500
    saved = {one.label: one.saved_nano for one in made.advice}
    expected = {"broken off": own, "caller gone": own, "refused": own, "attempts given up": 100 * 100 + 20 * 500}
    assert saved == expected and made.total_nano == sum(expected.values()) and made.sure_nano == 0
    assert {one.confidence for one in made.advice} == {"low"}


def test_nothing_is_saved_twice(tmp_path: Path) -> None:
    """Four uncached calls in the background lane: cached first, and half of what is left by batch."""
    features = {"chat": FeatureConfig(lane="background")}
    made = advised(tmp_path, repeated([0, 60, 120, 180]), features=features)
    alone = {one.kind: one.saved_nano for one in made.advice}
    shares = {one.kind: one.share_nano for one in made.advice}
    cost = 4 * (2000 * 100 + 10 * 500)
    cached = 2000 * 125 + 3 * 2000 * 10 + 4 * 10 * 500
    assert alone == {"batch": cost // 2, "caching": cost - cached}
    assert shares == {"caching": cost - cached, "batch": cached // 2}
    assert made.total_nano == made.sure_nano == cost - cached // 2 < sum(alone.values())
    assert made.order == ORDER == tuple(made.told()["total"]["order"])


def test_calls_that_do_not_come_to_their_cost_are_left_out_and_said(tmp_path: Path) -> None:
    records = repeated([0, 60, 120])
    records[1].cost_nano = 1_000_000
    made = advised(tmp_path, records)
    assert only(made).saved_nano == 2 * 2000 * 100 - 2000 * 125 - 2000 * 10
    assert any(note.startswith("1 call for 0.001 dollars left out") for note in made.notes)


def test_the_span_the_feature_and_the_least(tmp_path: Path) -> None:
    records = repeated([0, 60, 7200, 7260]) + [
        call(n, n, Usage(3000, output_tokens=10), prompt_hash="b" * 32, feature="search") for n in (10, 20)
    ]
    pair = 2 * 2000 * 100 - 2000 * 125 - 2000 * 10
    first_hour = Span(BEGAN_US, BEGAN_US + 3_600_000_000, "chat")
    assert only(advised(tmp_path, records, first_hour)).saved_nano == pair
    made = advise(tmp_path, SPAN, features={}, prices=PriceBook(), least_nano=250_000)
    assert [(one.feature, one.saved_nano) for one in made.advice] == [("chat", 2 * pair)]
    assert made.hidden == 1 and made.total_nano == 2 * pair + 3 * pair // 2


def test_thirty_days_are_of_the_days_there_were_calls_and_one_at_least(tmp_path: Path) -> None:
    records = repeated([0, 60])
    wide = advised(tmp_path, records, Span(BEGAN_US - 20 * DAY_US, BEGAN_US + 10 * DAY_US))
    assert wide.monthly(wide.total_nano) == 3 * wide.total_nano
    short = advise(tmp_path, Span(BEGAN_US, BEGAN_US + 3_600_000_000), features={}, prices=PriceBook())
    assert short.covered_us == DAY_US and short.told()["total"]["per_30_days_usd"] == "0.0039"  # 30 x 130,000 nano


def test_the_mix_against_the_rule_of_thumb_and_answers_cut_off(tmp_path: Path) -> None:
    models = [HAIKU] * 20 + ["claude-sonnet-5-5"] * 15 + ["claude-opus-5-5"] * 10 + ["claude-fable-5-2"] * 5
    records = [
        call(n, n, Usage(10, output_tokens=10), model=model, stop_reason="max_tokens" if n < 5 else "end_turn")
        for n, model in enumerate(models)
    ]
    made = advised(tmp_path, records)
    assert [(one.name, one.percent, one.rule_percent) for one in made.mix] == [
        ("haiku", 40.0, 80),
        ("sonnet", 30.0, 15),
        ("opus and above", 30.0, 5),
    ]
    assert made.notes[0].startswith("`max_tokens` cuts off 10.0 % of the answers of chat")
    assert made.notes[1] == (
        "Calls by tier: haiku 40 % (rule of thumb 80 %), sonnet 30 % (rule of thumb 15 %), "
        "opus and above 30 % (rule of thumb 5 %)."
    )
