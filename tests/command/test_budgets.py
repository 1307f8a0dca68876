"""`penstock budgets`: what it shows is what the gateway counts, and counting anew puts right what is not."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import anthropic
import pytest

from gateways import command, gateway

CONFIG = """
[[budgets]]
name = "all"
plan_usd = 10
[[budgets]]
name = "users"
per = ["user"]
period = "day"
limit_usd = "0.06"
[[budgets]]
name = "watched"
period = "total"
plan_usd = 1
stops = false
"""


@pytest.fixture(scope="module")
def spent(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A config and a data folder in which three calls were made."""
    folder = tmp_path_factory.mktemp("budgets")
    (folder / "penstock.toml").write_text(CONFIG)
    with gateway(data=folder / "data", config=CONFIG) as process:
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
        for user in ("ada", "ada", "bob"):
            client.messages.create(
                model="claude-haiku-4-5",
                max_tokens=50,
                messages=[{"role": "user", "content": "Hello"}],
                metadata={"user_id": user},
            )
        process.records(3)
    return folder / "penstock.toml", folder / "data"


def budgets(spent: tuple[Path, Path], *words: str) -> Any:
    return command("budgets", *words, "--config", str(spent[0]), "--data", str(spent[1]))


def test_it_shows_each_account_and_what_is_left(spent: tuple[Path, Path]) -> None:
    rows = json.loads(budgets(spent, "list", "--json").stdout)
    assert [(row["budget"], row["of"]) for row in rows] == [
        ("all", {}),
        ("users", {"user": "ada"}),
        ("users", {"user": "bob"}),
        ("watched", {}),
    ]
    whole, ada, bob, watched = rows
    assert float(whole["spent_usd"]) == pytest.approx(float(ada["spent_usd"]) + float(bob["spent_usd"]))
    assert (whole["plan_usd"], whole["limit_usd"], whole["held_usd"]) == ("10.00", "12.00", "0.00")
    assert float(ada["left_usd"]) == pytest.approx(0.06 - float(ada["spent_usd"]))
    assert (watched["limit_usd"], watched["left_usd"], watched["resets_at"]) == (None, None, None)
    shown = budgets(spent, "list").stdout
    assert "ada" in shown and "\x1b" not in shown and whole["spent_usd"] in shown


def test_rebuild_puts_right_what_is_not_what_the_ledger_says(spent: tuple[Path, Path]) -> None:
    calm = budgets(spent, "rebuild")
    assert (calm.returncode, calm.stderr) == (0, "") and "0 differed" in calm.stdout
    connection = sqlite3.connect(spent[1] / "counters.db")
    connection.execute("UPDATE accounts SET spent_nano = 1 WHERE name LIKE '%bob'")
    connection.commit()
    connection.close()
    found = budgets(spent, "rebuild", "--json")
    told = json.loads(found.stdout)
    assert found.returncode == 1 and [one["was_usd"] for one in told["differences"]] == ["0.000000001"]
    assert told["left_alone"] == ["watched"], "its rows may be past keeping"
    assert budgets(spent, "rebuild").returncode == 0


def test_without_budgets_there_is_nothing_to_show(tmp_path: Path) -> None:
    done = command("budgets", "list", "--json", "--data", str(tmp_path / "data"))
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    assert "There are no budgets." in command("budgets", "list", "--data", str(tmp_path / "data")).stdout
