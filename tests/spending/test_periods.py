"""Where days, weeks and months begin and end."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.money import PERIODS
from penstock.spending.periods import span

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone: ZoneInfo = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("period", "moment", "label", "first", "after"),
    [
        ("day", "2026-11-21T00:00", "2026-11-21", "2026-11-21T00:00", "2026-11-22T00:00"),
        ("day", "2026-03-29T23:59", "2026-03-29", "2026-03-29T00:00", "2026-03-30T00:00"),  # of 23 hours
        ("day", "2026-10-25T12:00", "2026-10-25", "2026-10-25T00:00", "2026-10-26T00:00"),  # of 25
        ("week", "2027-01-03T10:00", "2026-W53", "2026-12-28T00:00", "2027-01-04T00:00"),
        ("month", "2026-12-31T23:59", "2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("month", "2028-02-29T01:00", "2028-02", "2028-02-01T00:00", "2028-03-01T00:00"),
    ],
)
def test_each_period_in_its_time_zone(period: str, moment: str, label: str, first: str, after: str) -> None:
    found = span(period, BERLIN, at(moment))
    assert (found.label, found.from_us, found.until_us) == (label, at(first), at(after))


def test_all_time_has_one_period() -> None:
    assert span("total", BERLIN, 0) == span("total", BERLIN, at("2099-01-01T00:00"))


@given(
    st.sampled_from(PERIODS),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"]),
    st.integers(1_000_000_000_000_000, 3_000_000_000_000_000),
)
def test_periods_follow_one_another_without_gap_or_overlap(period: str, zone: str, at_us: int) -> None:
    found = span(period, ZoneInfo(zone), at_us)
    assert found.from_us <= at_us < found.until_us
    assert span(period, ZoneInfo(zone), found.from_us) == found
    if period != "total":
        following = span(period, ZoneInfo(zone), found.until_us)
        assert following.from_us == found.until_us and following.label != found.label
