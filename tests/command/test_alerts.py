"""`penstock alerts` as its users meet it: what it prints, whom it tells, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "observe"))

from posted import Desk, desk, row

from gateways import command
from penstock.record import Intent
from penstock.stores.folding import insert
from penstock.stores.journal import SUFFIX, intent_line
from penstock.stores.schema import connect

Run = Callable[..., subprocess.CompletedProcess[str]]

CONFIG = """
environment = "prod"
data = "data"
[upstreams.anthropic]
keys = ["env:UPSTREAM_KEY"]
[alerts]
sinks = ["env:HOOK", "env:OTHER"]
"""


@pytest.fixture
def told() -> Iterator[Desk]:
    with desk() as made:
        yield made


@pytest.fixture
def run(tmp_path: Path, told: Desk) -> Run:
    (tmp_path / "penstock.toml").write_text(CONFIG)

    def done(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
        known = {"HOOK": f"{told.url}/one", "OTHER": f"{told.url}/two", "UPSTREAM_KEY": "k" * 20, **env}
        return command("alerts", *words, cwd=tmp_path, **known)

    return done


def failed(data: Path, share: int) -> None:
    """A hundred calls of just now, of which so many failed."""
    now_us = time.time_ns() // 1000
    connection = connect(data)
    insert(
        connection,
        [row(n, now_us - 60_000_000 + n, ending="failed" if n < share else "complete") for n in range(100)],
    )
    connection.close()


def test_a_check_tells_once_and_says_no_by_its_exit_code(tmp_path: Path, run: Run, told: Desk) -> None:
    calm = run("check")
    assert (calm.returncode, calm.stdout) == (0, "Nothing fires.\n"), calm.stderr
    failed(tmp_path / "data", 3)
    first = run("check")
    assert first.returncode == 1, first.stderr
    assert "error rate: warning, since" in first.stdout
    assert "3.0 % of 100 calls failed in the last 5 minutes." in first.stdout
    assert sorted(one.path for one in told.posted) == ["/one", "/two"]
    assert told.posted[0].body["title"] == "Penstock (prod): error rate, warning"
    again: dict[str, Any] = json.loads(run("check", "--json").stdout)
    assert [alert["identity"] for alert in again["firing"]] == ["error rate"]
    assert again["tried"] == [] and len(told.posted) == 2, "once is enough"


def test_the_list_says_who_was_told_and_what_became_of_the_others(tmp_path: Path, run: Run, told: Desk) -> None:
    assert run("list").stdout == "Nothing fires.\n"
    assert run("list", "--all").stdout == "No alerts yet.\n"
    failed(tmp_path / "data", 3)
    gone = run("check", OTHER="json://127.0.0.1:9/path-of-the-hook")
    assert "env:OTHER: Penstock (prod): error rate, warning: not told, " in gone.stdout
    listed = run("list").stdout
    assert "fired, env:HOOK: told " in listed and "fired, env:OTHER: tried 1 times, again " in listed
    assert "path-of-the-hook" not in listed + gone.stdout + gone.stderr
    (alert,) = json.loads(run("list", "--json").stdout)
    assert [(one["sink"], one["is_delivered"], one["tries"]) for one in alert["deliveries"]] == [
        ("env:HOOK", True, 1),
        ("env:OTHER", False, 1),
    ]
    assert run("ack", str(alert["id"])).stdout == "error rate: acknowledged\n"
    assert "warning, acknowledged, since" in run("list").stdout
    unknown = run("ack", "99")
    assert (unknown.returncode, unknown.stdout) == (2, "") and "There is no alert 99" in unknown.stderr


def test_a_test_message_says_which_sink_fails_and_why(run: Run, told: Desk) -> None:
    well = run("test")
    assert (well.returncode, well.stdout) == (0, "env:HOOK (JSON): told\nenv:OTHER (JSON): told\n"), well.stderr
    assert told.posted[0].body["message"].endswith("Nothing is wrong.")
    told.status = lambda: 404
    ill = run("test", "--json", OTHER="T0kenThatIsNoUrl")
    assert ill.returncode == 1 and "T0kenThatIsNoUrl" not in ill.stdout + ill.stderr
    hook, other = json.loads(ill.stdout)
    assert hook["sink"] == "env:HOOK" and "404" in hook["error"]
    assert other["service"] is None and "is no URL that a service of Apprise has" in other["error"]


def test_there_must_be_somebody_to_tell(tmp_path: Path) -> None:
    done = command("alerts", "test", "--data", str(tmp_path / "data"), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "`alerts.sinks` is empty" in done.stderr


def test_calls_of_a_process_that_died_are_counted(tmp_path: Path, run: Run) -> None:
    """In process there is no gateway: a check from cron folds what killed programs left."""
    now_us = time.time_ns() // 1000
    connect(tmp_path / "data").close()
    journal = tmp_path / "data" / "journal"
    journal.mkdir()
    intents = [
        Intent(f"call_{n:0>26}", now_us - 1_000_000, "client", "POST", "/v1/messages", "messages", "anthropic")
        for n in range(30)
    ]
    (journal / f"dead{SUFFIX}").write_bytes(b"".join(map(intent_line, intents)))
    done = run("check")
    assert done.returncode == 1, done.stderr
    assert "100.0 % of 30 calls failed" in done.stdout


def test_a_ledger_in_memory_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text('[stores]\nledger = "memory"\n')
    done = command("alerts", "check", cwd=tmp_path)
    assert done.returncode == 2 and "`stores.ledger` is kept in memory" in done.stderr
