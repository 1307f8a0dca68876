"""The page of settings: what runs, whose keys there are, who changed what; and no secret."""

from __future__ import annotations

from datetime import date
from typing import Any

from place import NOW_US, Place, Placed, a_record

from penstock.dashboard.desk import Desk
from penstock.dashboard.settings import settings
from penstock.dashboard.view import View
from penstock.wire.models import shipped

DAY_US = 86_400_000_000


def shown(place: Place) -> dict[str, Any]:
    with Desk(place.config, place.clock) as desk:
        return settings(desk, View.of({}, NOW_US))


def test_keys_have_all_but_what_they_are_known_by(place: Place) -> None:
    made, secret = place.key("messages", tier="free", limit_nano=5_000_000_000)
    gone, _ = place.key()
    place.keys.revoke(gone.id)
    place.key(expires_at_us=NOW_US + 3 * DAY_US)
    hour_us = 3_600_000_000
    place.fill([a_record(n, key_id=made.id, began_at_us=NOW_US - n * hour_us, cost_nano=10) for n in range(5)])
    rows = shown(place)["keys"]
    assert [one["state"] for one in rows].count("revoked") == 1 and rows[-1]["id"] == gone.id
    assert "ends in 3 days" in [one["state"] for one in rows]
    (row,) = [one for one in rows if one["id"] == made.id]
    assert (row["calls"], row["cost_nano"], row["used_us"]) == (5, 50, NOW_US - NOW_US % hour_us)
    text = place.visitor("view").get("/penstock/settings").text
    assert made.shown in text and secret not in text and made.digest.hex() not in text


def test_secrets_are_references(placed: Placed, monkeypatch: Any) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-ant-api03-canary-canary-canary")
    place = placed(upstreams={"anthropic": {"keys": ["env:SOME_KEY"]}})
    text = place.visitor("view").get("/penstock/settings").text
    assert "env:SOME_KEY" in text and "canary" not in text


def test_it_says_who_changed_what_newest_first(place: Place) -> None:
    made, _ = place.key()
    place.keys.revoke(made.id)
    changes = shown(place)["changes"]
    assert [one["action"] for one in changes] == ["key.revoke", "key.create"]
    assert "revoked_at_us" in changes[0]["after"]
    assert (changes[0]["subject"], changes[0]["subject_named"]) == (made.id, "tester")


def test_prices_have_an_age_and_files_a_size(place: Place) -> None:
    place.fill([a_record(n) for n in range(3)], is_summed=False)
    made = shown(place)
    of = shipped().as_of
    assert of is not None and made["prices_days"] == (date(2026, 11, 20) - of).days
    assert made["rows"] == made["unsummed"] == 3
    assert {one["name"] for one in made["files"]} >= {"penstock.db"}
