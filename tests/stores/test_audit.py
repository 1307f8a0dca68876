"""The audit log: with the change or not at all, never changed, and without secrets."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from entries import BEGAN_US, StillClock

from penstock.errors import StoreFailed
from penstock.ports.simulated import World
from penstock.stores import audit
from penstock.stores.keys import KeyStore
from penstock.stores.schema import connect, writing


def noted(data: Path, **wanted: object) -> list[audit.Entry]:
    return list(audit.entries(data, **wanted))  # type: ignore[arg-type]


def test_every_change_of_a_key_is_noted_with_who_and_from_what_to_what(data: Path, clock: StillClock) -> None:
    keys = KeyStore(data, clock, who="alice@example")
    key, secret = keys.create(
        "ci", chance=World(1), token=lambda size: "x" * 43, environment="prod", limit_nano=50_000_000, period="day"
    )
    clock.now_s = 5
    _, new, _ = keys.rotate(key.id, chance=World(2), token=lambda size: "y" * 43, grace_us=60_000_000)
    keys.revoke(key.id)
    keys.revoke(key.id)
    made, succeeded, rotated, revoked = noted(data)
    assert (made.at_us, made.who, made.action, made.subject, made.before) == (
        BEGAN_US,
        "alice@example",
        "key.create",
        key.id,
        None,
    )
    assert made.after is not None and made.after["limit_usd"] == "0.05" and made.after["environment"] == "prod"
    assert succeeded.subject == new.id and succeeded.after == {**made.after, "lineage": key.id}
    assert (rotated.action, rotated.before) == ("key.rotate", {"expires_at_us": None})
    assert rotated.after == {"expires_at_us": BEGAN_US + 65_000_000, "successor": new.id}
    assert (revoked.action, revoked.after) == ("key.revoke", {"revoked_at_us": BEGAN_US + 5_000_000})
    assert secret.reveal() not in repr(noted(data))


def test_without_a_name_it_is_the_user_of_this_process(data: Path, clock: StillClock) -> None:
    KeyStore(data, clock).create("ci", chance=World(1), token=lambda size: "x" * 43)
    (entry,) = noted(data)
    assert entry.who == audit.operator() and "@" in entry.who


def test_a_change_that_fails_is_not_noted_and_a_note_that_fails_changes_nothing(data: Path, clock: StillClock) -> None:
    keys = KeyStore(data, clock)
    key, _ = keys.create("one", chance=World(1), token=lambda size: "same")
    with pytest.raises(StoreFailed, match="UNIQUE"):
        keys.create("two", chance=World(2), token=lambda size: "same")
    assert [entry.subject for entry in noted(data)] == [key.id]
    connection = connect(data)
    connection.execute("ALTER TABLE audit RENAME TO gone")
    connection.close()
    with pytest.raises(StoreFailed, match="audit"):
        keys.revoke(key.id)
    assert keys.find(key.id) == [key]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET who = 'nobody'",
        "DELETE FROM audit",
        "REPLACE INTO audit (number, at_us, who, action, subject) VALUES (1, 0, 'nobody', 'none', 'none')",
    ],
)
def test_what_is_noted_stays_as_it_is(data: Path, clock: StillClock, statement: str) -> None:
    audit.record(data, clock, action="budgets.rebuild", subject="all", after={"differences": 2})
    before = noted(data)
    connection = connect(data)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert noted(data) == before != []


def test_what_looks_like_a_key_is_masked_wherever_it_stands(data: Path, clock: StillClock) -> None:
    value = "pk_" + "dev_" + "Zq7Rt2Lw9Zk4" * 4
    connection = connect(data)
    with writing(connection):
        audit.note(
            connection,
            at_us=1,
            who=value,
            action="key.create",
            subject=value,
            before={"a": value},
            after={"b": ["sk-ant-" + "api03-" + "Zq7Rt2Lw9Zk4" * 4]},
        )
    connection.close()
    (entry,) = noted(data)
    assert "Zq7Rt2Lw9Zk4Zq7" not in repr(entry)
    assert entry.after == {"b": ["sk-ant-…9Zk4"]}


def test_entries_are_found_by_time_subject_and_action(data: Path, clock: StillClock) -> None:
    for second, (action, subject) in enumerate([("a.b", "one"), ("c.d", "one"), ("a.b", "two")]):
        clock.now_s = second
        audit.record(data, clock, action=action, subject=subject)
    assert [entry.number for entry in noted(data)] == [1, 2, 3]
    assert [entry.number for entry in noted(data, subject="one")] == [1, 2]
    assert [entry.number for entry in noted(data, action="a.b", since_us=BEGAN_US + 1)] == [3]


def test_the_last_changes_come_newest_first(data: Path, clock: StillClock) -> None:
    for number in range(4):
        audit.record(data, clock, action="a.b", subject=f"s{number}", before={"n": number})
    connection = connect(data)
    last = audit.latest(connection, 2)
    connection.close()
    assert last == list(reversed(noted(data)))[:2]


def test_looking_for_changes_makes_nothing(data: Path) -> None:
    with pytest.raises(StoreFailed) as caught:
        noted(data)
    assert caught.value.code == "no_ledger" and not data.exists()
