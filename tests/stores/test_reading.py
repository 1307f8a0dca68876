"""Reports: sums and percentiles are those of the rows, whatever they are grouped by."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from entries import BEGAN_US, call_id, record
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigError, StoreFailed
from penstock.record import Record
from penstock.stores.folding import fold
from penstock.stores.reading import ERRORS, GROUPABLE, Group, Latency, LedgerReader, latency
from penstock.stores.schema import connect

HOUR_US = 3_600_000_000


def filled(data: Path, records: list[Record]) -> LedgerReader:
    connection = connect(data)
    fold(connection, records)
    connection.close()
    return LedgerReader(data)


LABELS = st.sampled_from([None, "a", "b"])
FIELDS = st.fixed_dictionaries(
    {
        "began_at_us": st.integers(0, 48).map(lambda hours: BEGAN_US + hours * HOUR_US),
        "feature": LABELS,
        "user": LABELS,
        "key_id": LABELS,
        "model_served": LABELS,
        "status": st.sampled_from([None, 200, 529]),
        "ending": st.sampled_from(["complete", "refused", "failed", "truncated", "abandoned", "killed"]),
        "cost_nano": st.none() | st.integers(0, 10**15),
        "input_tokens": st.integers(0, 10**6),
        "cache_write_1h_tokens": st.integers(0, 10**6),
        "output_tokens": st.integers(0, 10**6),
        "total_us": st.integers(0, 10**9),
        "upstream_us": st.none() | st.integers(0, 10**9),
        "first_token_us": st.none() | st.integers(0, 10**9),
    }
)


def expected(rows: list[Record], labels: dict[str, Any]) -> Group:
    return Group(
        labels=labels,
        calls=len(rows),
        errors=sum(row.ending in ERRORS for row in rows),
        cost_nano=sum(row.cost_nano or 0 for row in rows),
        unpriced=sum(row.cost_nano is None for row in rows),
        input_tokens=sum(row.input_tokens for row in rows),
        cache_write_1h_tokens=sum(row.cache_write_1h_tokens for row in rows),
        output_tokens=sum(row.output_tokens for row in rows),
        total=ranked([row.total_us for row in rows]),
        upstream=ranked([row.upstream_us for row in rows if row.upstream_us is not None]),
        first_token=ranked([row.first_token_us for row in rows if row.first_token_us is not None]),
    )


def ranked(values: list[int]) -> Latency | None:
    """The definition of a nearest-rank percentile, spelt out."""
    if not values:
        return None

    def percentile(share: float) -> int:
        return next(v for v in sorted(values) if sum(other <= v for other in values) >= math.ceil(share * len(values)))

    return Latency(len(values), percentile(0.50), percentile(0.95), percentile(0.99))


@settings(max_examples=25, deadline=None)
@given(rows=st.lists(FIELDS, max_size=25), hours=st.tuples(st.integers(0, 48), st.integers(0, 48)))
def test_groups_are_the_sums_of_their_rows(
    rows: list[dict[str, Any]], hours: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    since_us, until_us = BEGAN_US + min(hours) * HOUR_US, BEGAN_US + max(hours) * HOUR_US
    records = [record(number, **fields) for number, fields in enumerate(rows)]
    within = [row for row in records if since_us <= row.began_at_us < until_us]
    by: dict[tuple[Any, Any], list[Record]] = defaultdict(list)
    for row in within:
        by[row.feature, row.model_served or "claude-sonnet-4-6"].append(row)
    with filled(tmp_path_factory.mktemp("report"), records) as reader:
        groups = reader.grouped(["feature", "model"], since_us=since_us, until_us=until_us)
        (total,) = reader.grouped(since_us=since_us, until_us=until_us)
        assert len(list(reader.calls(since_us=since_us, until_us=until_us))) == len(within)
    assert {(group.labels["feature"], group.labels["model"]): group for group in groups} == {
        labels: expected(grouped, {"feature": labels[0], "model": labels[1]}) for labels, grouped in by.items()
    }
    assert total == expected(within, {})


def test_costs_are_summed_to_the_nano_dollar(data: Path) -> None:
    costs = [2**53 + 1, 2**53 + 1, 1]
    with filled(data, [record(number, cost_nano=cost) for number, cost in enumerate(costs)]) as reader:
        assert reader.grouped()[0].cost_nano == sum(costs)


@pytest.mark.parametrize("label", sorted(GROUPABLE))
def test_every_label_groups_and_filters(data: Path, label: str) -> None:
    with filled(data, [record(1), record(2, began_at_us=BEGAN_US + 25 * HOUR_US, feature=None)]) as reader:
        groups = reader.grouped([label])
        assert sum(group.calls for group in groups) == 2
        for group in groups:
            (same,) = reader.grouped(where=group.labels)
            assert same.calls == group.calls
            assert len(list(reader.calls(where=group.labels))) == group.calls


def test_days_and_hours_are_utc(data: Path) -> None:
    with filled(data, [record(1, began_at_us=BEGAN_US + HOUR_US - 1)]) as reader:
        (group,) = reader.grouped(["day", "hour"])
    assert group.labels == {"day": "2026-11-20", "hour": "2026-11-20T00:00Z"}


def test_an_unknown_label_is_refused_with_those_that_exist(data: Path) -> None:
    with filled(data, []) as reader:
        for ask in (lambda: reader.grouped(["colour"]), lambda: list(reader.calls(where={"colour": 1}))):
            with pytest.raises(ConfigError, match="colour") as caught:
                ask()
            assert "feature" in caught.value.fix


def test_an_empty_ledger_reports_no_calls(data: Path) -> None:
    with filled(data, []) as reader:
        assert reader.grouped() == [Group(labels={})]
        assert reader.grouped(["feature"]) == []
        assert reader.call(call_id(1)) is None


def test_a_folder_without_a_ledger_is_named_and_not_made(data: Path) -> None:
    with pytest.raises(StoreFailed, match=str(data)) as caught:
        LedgerReader(data)
    assert "--data" in caught.value.fix and not data.exists()


def test_calls_come_newest_first_and_no_more_than_asked_for(data: Path) -> None:
    with filled(data, [record(number, began_at_us=BEGAN_US + number) for number in range(5)]) as reader:
        assert [row.call_id for row in reader.calls(limit=2)] == [call_id(4), call_id(3)]


def test_percentiles_of_nothing_are_none_and_of_one_are_it() -> None:
    assert latency([]) is None
    assert latency([7]) == Latency(1, 7, 7, 7)
