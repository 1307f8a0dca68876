"""Times and sizes as people read them."""

from __future__ import annotations

import pytest

from penstock.dashboard.wording import age, size


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-3, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_199, "119 min"),
        (7_200, "2 h"),
        (172_800, "2 days"),
        (8_640_000, "100 days"),
    ],
)
def test_ages(seconds: int, said: str) -> None:
    assert age(seconds * 1_000_000) == said


def test_sizes() -> None:
    assert [size(count) for count in (0, 999, 1_400, 32_100_000, 5_000_000_000)] == [
        *("0 bytes", "999 bytes", "1.4 kB", "32.1 MB"),
        "5.0 GB",
    ]
