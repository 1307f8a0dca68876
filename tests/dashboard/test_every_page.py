"""What holds for all pages alike: no address makes one fail, with calls or without."""

from __future__ import annotations

import pytest
from place import Place, a_record

from penstock.dashboard.app import PAGES

QUERIES = [
    "range=never&by=nothing&compare=maybe",
    "by=user",
    "by=<script>alert(1)</script>&feature=<script>alert(1)</script>",
    "from=2026-11-20T10:00Z&to=2026-11-20T10:30Z&by=model&compare=1",
    "from=2026-11-20T10:00Z&to=2026-11-19T10:00Z",
    "from=0001-01-01&to=9999-12-31T23:59:59Z",
    "from=x&to=%00",
    "from=-1&to=99999999999999999999",
    "feature=&model=&key=&upstream=&environment=&segment=&prompt=&arm=",
    "feature=%F0%9F%92%A7%00%ff'%22;--",
    "limit=-1&before=x&page=99999999999&cost=NaN&over=1e999&format=exe&table=none&sort=1",
    "range=90d&" + "x" * 3000,
]


@pytest.mark.parametrize("path", [path for path, _ in PAGES])
@pytest.mark.parametrize("is_filled", [False, True], ids=["empty", "filled"])
def test_no_address_makes_a_page_fail(place: Place, path: str, is_filled: bool) -> None:
    if is_filled:
        hostile = "<script>alert(1)</script>"
        rows = [a_record(n, user=f"u{n}{hostile}", feature=hostile, began_at_us=_at(place, n)) for n in range(40)]
        place.fill(rows, is_summed=False)
    client = place.visitor()
    for query in ["", *QUERIES]:
        answer = client.get(f"/penstock/{path}?{query}")
        assert answer.status_code in (200, 400, 404), query
        assert "<script>alert" not in answer.text, query


def _at(place: Place, number: int) -> int:
    return place.clock.us - number * 1_000_000_000
