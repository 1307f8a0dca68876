"""`penstock keys` and `penstock audit` as administrators meet them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateways import command
from penstock.faces.command import audit
from penstock.ports.blocking import BlockingClock, SystemChance
from penstock.ports.simulated import World
from penstock.stores.keys import KeyStore

Run = Callable[..., subprocess.CompletedProcess[str]]

_DAY_US = 86_400_000_000


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "penstock.toml").write_text(
        "[tiers.gold]\nrequests_per_minute = 60\n[features.chat]\nlane = 'background'\n"
    )

    def verb(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        return command("keys", *words, cwd=tmp_path, **env)

    return verb


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_key_is_made_with_all_it_may_do_and_spend(run: Run) -> None:
    words = (
        "--tier gold --limit-usd 0.05 --period day --scopes messages --features chat --expires 90d --environment prod"
    )
    made = run("create", "app", *words.split(), "--json")
    assert set(told(made)) == {"key", "id"} and made.stderr == ""
    assert told(made)["key"].startswith("pk_prod_")
    shown = told(run("show", "app", "--json"))
    assert {name: shown[name] for name in ("tier", "limit_usd", "period", "spent_usd", "environment", "state")} == {
        "tier": "gold",
        "limit_usd": "0.05",
        "period": "day",
        "spent_usd": "0.00",
        "environment": "prod",
        "state": "live",
    }
    assert (shown["last_used_at"], shown["age_days"], shown["is_due"]) == (None, 0, False)
    row = run("list").stdout.splitlines()[1].split()
    assert row[0] == told(made)["id"] and row[3:7] == ["prod", "gold", "0.05", "0.00"]


def test_a_tier_or_feature_the_config_does_not_know_is_warned_of(run: Run) -> None:
    made = run("create", "app", "--tier", "golden", "--features", "chat,chit", "--json")
    assert set(told(made)) == {"key", "id"}
    assert made.stderr.count("\n") == 2
    assert "no tier 'golden'" in made.stderr and "There are: gold." in made.stderr
    assert "no feature 'chit'" in made.stderr and "There are: chat." in made.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--limit-usd five", "--limit-usd 'five' is not a decimal number. Give dollars, such as 250 or 0.05."),
        ("--limit-usd 0.0000000001", "has more than nine decimals"),
        ("--limit-usd=-1", "is not from 0 to"),
        ("--limit-usd 5 --period year", "--period 'year' is unknown. Choose from day, week, month, total."),
        ("--period day", "Add --limit-usd"),
        ("--environment production", "Choose from dev, staging, prod."),
    ],
)
def test_what_cannot_be_is_one_line_with_its_fix(run: Run, words: str, said: str) -> None:
    done = run("create", "app", *words.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    assert told(run("list", "--json")) == []


def test_a_rotated_key_gives_way_to_its_successor(run: Run) -> None:
    first = told(run("create", "app", "--tier", "gold", "--limit-usd", "3", "--json"))
    second = told(run("rotate", "app", "--grace", "2h", "--json"))
    assert second["old_id"] == first["id"] and second["key"] != first["key"]
    third = told(run("rotate", "app", "--json"))
    assert third["old_id"] == second["id"], "of a name, the newest"
    old, _, new = told(run("list", "--json"))
    assert (old["expires_at"][:19] > old["created_at"][:19], new["expires_at"]) == (True, None)
    assert (new["id"], new["tier"], new["limit_usd"]) == (third["id"], "gold", "3.00")
    again = run("rotate", first["id"])
    assert again.returncode == 2 and f"Rotate {third['id']}" in again.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "What to rotate is not clear."),
        (("app", "--new", "env:X"), "What to rotate is not clear."),
        (("app", "--grace", "soon"), "--grace 'soon' is no span"),
        (("--upstream", "anthropic"), "Give --upstream NAME --new"),
        (("--upstream", "nowhere", "--new", "env:X"), "There is no upstream 'nowhere'. There are: anthropic."),
        (("--upstream", "anthropic", "--new", "env:X", "--old", "env:Y"), "env:Y cannot be rotated to env:X"),
    ],
)
def test_a_rotation_that_is_not_clear_says_what_is_missing(run: Run, words: tuple[str, ...], said: str) -> None:
    run("create", "app")
    done = run("rotate", *words, ANTHROPIC_API_KEY="k-1234567890")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr


def test_two_keys_of_one_name_that_are_strangers_are_not_guessed_at(run: Run) -> None:
    ids = [told(run("create", "twin", "--json"))["id"] for _ in range(2)]
    for verb in ("rotate", "revoke", "spent"):
        done = run(verb, "twin")
        assert done.returncode == 2 and all(one in done.stderr for one in ids)
    assert run("rotate", "nobody").returncode == run("spent", "nobody").returncode == 1


def test_a_revoked_key_can_be_replaced_in_the_same_breath(run: Run) -> None:
    first = told(run("create", "app", "--scopes", "batches", "--json"))
    ended = told(run("revoke", "app", "--replace", "--json"))
    assert (ended["id"], ended["state"], ended["spent"]["totals"]["calls"]) == (first["id"], "revoked", 0)
    new = ended["replacement"]
    assert new["key"] not in run("list", "--json").stdout
    assert told(run("show", new["id"], "--json"))["scopes"] == ["batches"]
    again = run("revoke", first["id"])
    assert again.returncode == 0 and "Revoked" in again.stdout


def test_an_old_key_is_marked_as_due(run: Run, tmp_path: Path) -> None:
    class Then(BlockingClock):
        def __init__(self, days: int) -> None:
            self._us = days * _DAY_US

        def wall_us(self) -> int:  # type: ignore[override]
            return BlockingClock.wall_us() - self._us

    chance = SystemChance()
    for name, days in (("old", 91), ("newer", 90), ("gone", 200)):
        store = KeyStore(tmp_path / "penstock-data", Then(days))
        key, _ = store.create(name, chance=World(days), token=chance.token)
        if name == "gone":
            store.revoke(key.id)
    keys = told(run("list", "--json"))
    assert {key["name"]: (key["age_days"], key["is_due"]) for key in keys} == {
        "gone": (200, False),
        "old": (91, True),
        "newer": (90, False),
    }
    last = run("list").stdout.splitlines()[-1]
    assert "due for `penstock keys rotate`" in last and last.count("key_") == 1


def test_the_audit_log_is_listed_and_exported(run: Run, tmp_path: Path) -> None:
    first = told(run("create", "app", "--json"))
    run("rotate", "app")
    run("revoke", first["id"])
    data, file = str(tmp_path / "penstock-data"), tmp_path / "audit.jsonl"

    def heard(*words: str) -> str:
        done = CliRunner().invoke(audit.app, [*words, "--data", data])
        assert done.exit_code == 0, done.output
        return done.stdout

    listed = json.loads(heard("list", "--json"))
    assert [one["action"] for one in listed] == ["key.create", "key.create", "key.rotate", "key.revoke"]
    assert [one["action"] for one in json.loads(heard("list", "--json", "--subject", first["id"]))] == [
        "key.create",
        "key.rotate",
        "key.revoke",
    ]
    assert json.loads(heard("list", "--json", "--since", "2030-01-01")) == []
    table = heard("list").splitlines()
    assert len(table) == 5 and "key.rotate" in table[3] and first["key"] not in heard("list")
    assert "4 changes are in" in heard("export", str(file))
    assert [json.loads(line) for line in file.read_text().splitlines()] == listed
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
