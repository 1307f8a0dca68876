"""Whether something fires: each row of the table, by itself and over time."""

from __future__ import annotations

from msgspec.structs import replace

from penstock.observe.alerts.rules import GROUP_MAX, Level, Measured, Step, gathered, step, steps
from penstock.stores.alerts import Firing

NOW = 1_000_000_000
HOLD = 300_000_000


def one(value: float, **fields: object) -> Measured:
    given = {
        "identity": "a",
        "kind": "k",
        "value": value,
        "levels": (Level(10, "warning"), Level(50, "critical")),
        "clear_below": 8,
        "hold_us": HOLD,
        "said": f"{value}",
        "fix": "Do.",
    }
    return Measured(**{**given, **fields})  # type: ignore[arg-type]


def firing(**fields: object) -> Firing:
    given = {"identity": "a", "level": 1, "severity": "warning", "hold_us": HOLD, "since_us": 1, "told_us": 1}
    return Firing(**{**given, **fields})  # type: ignore[arg-type]


def test_it_fires_at_a_level_and_not_below() -> None:
    assert step(one(9.99), None, NOW) is None
    fired = step(one(10), None, NOW)
    assert fired is not None and (fired.event, fired.level) == ("fired", 1)
    fired = step(one(50), None, NOW)
    assert fired is not None and (fired.event, fired.level) == ("fired", 2)


def test_it_worsens_once() -> None:
    worse = step(one(60), firing(), NOW)
    assert worse is not None and (worse.event, worse.level) == ("worsened", 2)
    assert step(one(60), firing(level=2), NOW) is None
    assert step(one(20), firing(level=2), NOW) is None, "down a level is not over, and not told"


def test_between_the_values_nothing_changes() -> None:
    assert step(one(9), firing(), NOW) is None
    assert step(one(8), firing(), NOW) is None
    assert step(one(8), firing(below_since_us=5), NOW) == Step("a", None, 1, None, one(8)), "it is not below any more"


def test_it_clears_once_it_was_below_for_long_enough() -> None:
    assert step(one(7), firing(), NOW) == Step("a", None, 1, NOW)
    held = firing(below_since_us=NOW - HOLD + 1)
    assert step(one(7), held, NOW) is None
    over = step(one(7), replace(held, below_since_us=NOW - HOLD), NOW)
    assert over is not None and over.event == "cleared"
    at_once = step(one(7), firing(hold_us=0), NOW)
    assert at_once is not None and at_once.event == "cleared"


def test_what_is_not_measured_any_more_clears_too() -> None:
    assert [made.event for made in steps([], {"a": firing(below_since_us=NOW - HOLD)}, NOW)] == ["cleared"]
    assert [made.event for made in steps([], {"a": firing()}, NOW)] == [None]


def test_reminders_are_off_unless_asked_for_and_not_acknowledged() -> None:
    assert step(one(20), firing(), NOW) is None
    due = step(one(20), firing(told_us=NOW - 60), NOW, remind_us=60)
    assert due is not None and due.event == "reminded"
    assert step(one(20), firing(told_us=NOW - 59), NOW, remind_us=60) is None
    assert step(one(20), firing(told_us=NOW - 60, is_acked=True), NOW, remind_us=60) is None


def test_of_a_group_that_is_too_large_the_others_are_one_alert() -> None:
    many = [one(10 + number, identity=f"u{number}", group="users") for number in range(50)]
    kept = gathered(many, {})
    assert len(kept) == GROUP_MAX + 1
    assert {made.identity for made in kept[:GROUP_MAX]} == {f"u{number}" for number in range(30, 50)}
    assert kept[-1].identity == "users: more" and kept[-1].said == "And 30 more, of which: 39"
    known = {"u0": firing(identity="u0")}
    assert "u0" in {made.identity for made in gathered(many, known)}, "what fires already keeps its place"
    assert gathered(many[:GROUP_MAX], {}) == sorted(many[:GROUP_MAX], key=lambda made: -made.value)
    below = [one(1, identity=f"v{number}", group="users") for number in range(50)]
    assert gathered(below, {}) == below
