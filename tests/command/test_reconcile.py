"""`penstock reconcile` as its users meet it: a gateway's traffic against the reports of the API behind it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import command, gateway
from penstock.simulator import Drift, running
from penstock.stores.schema import connect
from script import HELLO

DAY_S = 86_400
CONFIG = """
[upstreams.anthropic]
kind = "compatible"
url = "{url}"
keys = ["env:KEY"]
admin_key = "env:ADMIN"
"""


class Yesterday:
    """A ledger of calls made yesterday, and the reports of them."""

    def __init__(self, config: Path, data: Path, env: dict[str, str]) -> None:
        self.config, self.data, self.env = config, data, env

    def reconcile(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        places = ("--config", str(self.config), "--data", str(self.data))
        return command("reconcile", *words, *places, **{**self.env, **env})


@contextmanager
def yesterday(folder: Path, drift: Drift) -> Iterator[Yesterday]:
    """The simulator's clock is a day behind while calls are made, and the ledger's rows are moved there after."""
    behind_s = [DAY_S]
    with running(seed=2, drift=drift, clock=lambda: time.time() - behind_s[0]) as simulator:
        env = {"KEY": simulator.key, "ADMIN": simulator.admin_key}
        config, data = folder / "penstock.toml", folder / "data"
        config.write_text(CONFIG.format(url=simulator.url))
        with gateway(config=config.read_text(), data=data, **env) as process:
            headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01"}
            for model in ("claude-haiku-4-5", "claude-opus-5-5", "claude-haiku-4-5"):
                body = {**HELLO, "model": model}
                assert httpx2.post(process.url + "/v1/messages", json=body, headers=headers).status_code == 200
            process.records(3)
        connection = connect(data)
        connection.execute("UPDATE calls SET began_at_us = began_at_us - ?", (DAY_S * 1_000_000,))
        connection.close()
        behind_s[0] = 0
        yield Yesterday(config, data, env)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yesterday]:
    with yesterday(tmp_path_factory.mktemp("clean"), Drift()) as made:
        yield made


@pytest.fixture(scope="module")
def dearer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yesterday]:
    with yesterday(tmp_path_factory.mktemp("dearer"), Drift(price_factor=1.1)) as made:
        yield made


def told(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def test_the_last_seven_days_agree_to_the_nano_dollar(clean: Yesterday) -> None:
    done = clean.reconcile("--json")
    assert done.returncode == 0, done.stderr
    made = told(done)
    assert made["ledger_usd"] == made["invoice_usd"] != "0.00"
    assert (made["difference_usd"], made["drift_percent"], made["findings"]) == ("0.00", 0.0, [])
    days = (time.strptime(made[name], "%Y-%m-%d") for name in ("since", "until"))
    begin, end = (time.mktime(day) for day in days)
    assert round((end - begin) / DAY_S) == 7
    assert sum(row["calls"] for row in made["rows"]) == 3
    assert all(row["ledger"] == row["api"] for row in made["rows"])


def test_a_table_for_people_and_a_note_about_keys(clean: Yesterday) -> None:
    done = clean.reconcile()
    assert done.returncode == 0 and "\x1b" not in done.stdout and done.stderr == ""
    assert "claude-opus-5-5" in done.stdout and "all keys of the organization" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.endswith("difference 0.00. Drift 0.00 dollars, 0.00 %; of that 0.00 not explained.")


def test_drift_above_the_threshold_is_exit_code_1_and_named(dearer: Yesterday) -> None:
    done = dearer.reconcile("--by", "day")
    assert done.returncode == 1
    assert "prices: " in done.stdout and "1.1 times the prices here" in done.stdout
    assert dearer.reconcile("--threshold", "10").returncode == 0
    made = told(dearer.reconcile("--json", "--threshold", "50"))
    assert made["drift_percent"] == pytest.approx(100 * 0.1 / 1.1, abs=0.001)
    assert {finding["cause"] for finding in made["findings"]} == {"prices"} and made["unexplained_usd"] == "0.00"


def test_drift_that_was_found_is_an_alert(clean: Yesterday, dearer: Yesterday) -> None:
    for found, is_off in ((clean, False), (dearer, True)):
        found.reconcile()
        places = ("--config", str(found.config), "--data", str(found.data))
        checked = command("alerts", "check", "--json", *places, **found.env)
        firing = [one["identity"] for one in json.loads(checked.stdout)["firing"]]
        assert ("invoice of anthropic" in firing) is is_off and checked.returncode == int(bool(firing))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "36h"), "beginning of a day"),
        (("--since", "2026-11-01T09:00"), "beginning of a day"),
        (("--since", "400d"), "kept for 30 days"),
        (("--since", "3d", "--until", "5d"), "no day between"),
        (("--upstream", "other"), "There are: anthropic."),
        (("--by", "mood"), "mood"),
        (("--api-key-ids", "a,b"), "1 keys, and 2 ids"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(clean: Yesterday, words: tuple[str, ...], said: str) -> None:
    done = clean.reconcile(*words)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and done.stderr.count("\n") == 1


def test_a_refused_key_and_none_at_all_are_said(clean: Yesterday, tmp_path: Path) -> None:
    done = clean.reconcile(ADMIN="sk-ant-wrong")
    assert done.returncode == 2 and "refuses its `admin_key`" in done.stderr and "sk-ant-wrong" not in done.stderr
    bare = tmp_path / "penstock.toml"
    bare.write_text(clean.config.read_text().replace('admin_key = "env:ADMIN"\n', ""))
    done = command("reconcile", "--config", str(bare), "--data", str(clean.data), **clean.env)
    assert done.returncode == 2 and "No upstream has an `admin_key`" in done.stderr
