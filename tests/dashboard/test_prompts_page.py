"""The page of prompts: what there is, what each version was used for, and what tells two apart."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from typing import Any

from place import NOW_US, Place, Placed, a_record

from penstock.config.load import adopted
from penstock.dashboard.desk import Desk
from penstock.dashboard.prompts import prompts
from penstock.dashboard.view import View
from penstock.prompts.folder import release


def write(place: Place, version: int, text: str, *, is_released: bool = False) -> None:
    folder = place.data / "prompts" / "support"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{version}.md").write_text(f'+++\ndescription = "About orders."\n+++\nBe kind.\n+++ user\n{text}\n')
    if is_released:
        made = adopted(place.config, environ={})
        loaded = replace(made, secrets=replace(made.secrets, folder=place.data))
        assert release(loaded, "support", str(version), "2026-11-20T12:00:00+00:00")[1] == []


def shown(place: Place, query: dict[str, str] | None = None) -> dict[str, Any]:
    with Desk(place.config, place.clock, folder=place.data) as desk:
        return prompts(desk, View.of(query or {}, NOW_US))


def test_versions_have_their_state_their_share_and_what_calls_of_them_cost(placed: Placed) -> None:
    place = placed(prompts={"named": {"support": {"split": {"1": 3, "2": 1}}}})
    write(place, 1, "One", is_released=True)
    write(place, 2, "Two", is_released=True)
    write(place, 3, "Three")
    write(place, 1, "One, edited")
    place.fill(
        [
            a_record(0, prompt="support@2:0123abcd", cost_nano=500),
            a_record(1, prompt="support@2", cost_nano=300, ending="failed"),
            a_record(2, prompt="support@1:ffff", cost_nano=7),
            a_record(3, prompt="other@4", cost_nano=11),
            a_record(4, prompt="free text", cost_nano=13),
            a_record(5),
        ]
    )
    made = shown(place)
    (prompt,) = made["prompts"]
    three, two, one = prompt["versions"]
    assert (prompt["name"], prompt["released"], prompt["back"]) == ("support", 2, 1)
    assert (two["is_released"], two["calls"], two["cost_nano"], two["errors"], two["share"]) == (True, 2, 800, 1, 1)
    assert (one["is_changed"], one["is_sealed"], one["cost_nano"], one["share"]) == (True, True, 7, 3)
    assert (three["is_sealed"], three["calls"], three["share"]) == (False, 0, None)
    assert {one["tag"]: one["cost_nano"] for one in made["strays"]} == {"other@4": 11, "free text": 13}
    assert len(made["findings"]) == 1
    text = unescape(place.visitor("view").get("/penstock/prompts").text)
    assert "edited since release" in text and "75.0 %" in text
    assert "penstock prompts release support 3" in text and "penstock prompts rollback support 1" in text


def test_two_versions_are_compared_and_their_text_is_escaped(place: Place) -> None:
    write(place, 1, "Hello")
    write(place, 2, "Hello <script>alert(1)</script>")
    difference = shown(place, {"name": "support", "a": "1", "b": "2"})["difference"]
    assert [one["text"] for one in difference["lines"] if one["kind"] == "added"] == [
        "+Hello <script>alert(1)</script>"
    ]
    text = place.visitor("view").get("/penstock/prompts?name=support&a=1&b=2").text
    assert "+Hello &lt;script&gt;" in text and "<script>alert" not in text
    same = place.visitor("view").get("/penstock/prompts?name=support&a=1&b=1").text
    assert "They render the same." in same
    assert shown(place)["prompts"][0]["readable"] == [2, 1]
    assert text.count("<option") == 4 and "<option selected>1</option>" in text


def test_a_version_that_is_not_there_is_named(place: Place) -> None:
    write(place, 1, "Hello")
    difference = shown(place, {"name": "support", "a": "1", "b": "9"})["difference"]
    assert "There is no version '9'" in difference["fault"]


def test_a_lock_that_cannot_be_read_is_said_and_a_file_that_is_not_sound(place: Place) -> None:
    write(place, 1, "Hello {{nobody}}")
    assert not shown(place)["prompts"][0]["versions"][0]["is_sound"]
    (place.data / "prompts" / "prompts.lock").write_text("no json")
    assert "lock file cannot be read" in shown(place)["fault"]
    assert place.visitor("view").get("/penstock/prompts").status_code == 200
