"""The page of caching: tokens as the ledger has them, money by list prices, and the doctor when asked."""

from __future__ import annotations

from typing import Any

from place import NOW_US, Place, a_record

from penstock.dashboard import caching as page
from penstock.dashboard.caching import caching
from penstock.dashboard.desk import Desk
from penstock.dashboard.view import View

#: claude-haiku-4-5 costs, in nano-dollars a token: 1000 fresh, 100 read, 1250 written for 5 minutes, 2000 for an hour.
FRESH, READ, SHORT, LONG = 1000, 100, 1250, 2000


def shown(place: Place, query: dict[str, str] | None = None) -> dict[str, Any]:
    with Desk(place.config, place.clock) as desk:
        return caching(desk, View.of(query or {}, NOW_US))


def test_what_reads_saved_and_writes_cost_is_by_list_prices(place: Place) -> None:
    tokens = {"cache_read_tokens": 7_000, "cache_write_5m_tokens": 2_000, "cache_write_1h_tokens": 100}
    place.fill([a_record(n, **tokens, input_tokens=900) for n in range(3)])
    whole = shown(place)["whole"]
    assert whole["input"] == 3 * 10_000 and whole["cache_read_tokens"] == 21_000
    assert whole["saved_nano"] == 21_000 * (FRESH - READ)
    assert whole["surcharge_nano"] == 6_000 * (SHORT - FRESH) + 300 * (LONG - FRESH)
    assert whole["net_nano"] == whole["saved_nano"] - whole["surcharge_nano"]
    text = place.visitor().get("/penstock/caching").text
    assert "70.0 %" in text and "$0.0189" in text


def test_rows_by_time_and_by_feature_sum_to_the_whole(place: Place) -> None:
    place.fill(
        [
            a_record(
                n,
                began_at_us=NOW_US - n * 1_800_000_000,
                feature=("chat", "mail", None)[n % 3],
                cache_read_tokens=n * 100,
                cache_write_5m_tokens=n,
            )
            for n in range(30)
        ]
    )
    made = shown(place)
    for name in ("input", "cache_read_tokens", "written", "saved_nano", "surcharge_nano"):
        assert sum(one[name] for one in made["features"]) == made["whole"][name]
        assert sum(one[name] for one in made["rows"]) == made["whole"][name] > 0
    assert {one["label"]: sum(one["values"]) for one in made["tokens"]["stack"]} == {
        "read from cache": made["whole"]["cache_read_tokens"],
        "written": made["whole"]["written"],
        "fresh": made["whole"]["input_tokens"],
    }


def test_a_model_without_a_price_saves_nothing_that_is_known(place: Place) -> None:
    place.fill([a_record(model_served="of-my-own", cache_read_tokens=5_000)])
    made = shown(place)
    assert made["whole"]["saved_nano"] == 0 and made["whole"]["unpriced"] == 1
    assert "price not known" in place.visitor().get("/penstock/caching").text


def test_the_doctor_looks_when_asked_and_at_no_more_than_it_may(place: Place, monkeypatch: Any) -> None:
    place.fill([a_record(n, began_at_us=NOW_US - n * 1_000_000) for n in range(10)])
    assert shown(place)["doctor"] is None
    assert shown(place, {"doctor": "1"})["doctor"]["calls"] == 10
    monkeypatch.setattr(page, "CALLS_MAX", 4)
    cut = shown(place, {"doctor": "1"})["doctor"]
    assert cut["is_cut"] and cut["calls"] == 4 and cut["since_us"] == NOW_US - 4_000_000 + 1


def test_the_doctor_has_one_patient_at_a_time(place: Place) -> None:
    place.fill([a_record()])
    with page._LOOKING:
        assert "somebody else" in shown(place, {"doctor": "1"})["doctor"]["said"]
        assert "somebody else" in place.visitor("view").get("/penstock/caching?doctor=1").text
    assert shown(place, {"doctor": "1"})["doctor"]["said"] is None
