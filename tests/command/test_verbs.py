"""The command line as its users meet it: output, errors, exit codes."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import command, gateway
from penstock.simulator import running
from script import HELLO

VERBS = [
    ("serve",),
    ("simulator",),
    ("report",),
    ("explain",),
    ("keys", "create"),
    ("keys", "list"),
    ("config", "check"),
]


class Made:
    """A data folder with five calls in it: two whole, a stream, one cut off, one refused."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.ids: dict[str, str] = {}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return command(*words, "--data", str(self.data))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    made = Made(tmp_path_factory.mktemp("verbs") / "data")
    with running(seed=1, allow_fault_headers=True) as simulator:
        with gateway(simulator.url, data=made.data, ANTHROPIC_API_KEY=simulator.key) as process:
            calls: list[tuple[str, dict[str, Any], dict[str, str]]] = [
                ("whole", {}, {"x-penstock-feature": "chat", "x-penstock-user": "u1"}),
                ("again", {"model": "claude-opus-5-5"}, {"x-penstock-feature": "chat", "x-penstock-user": "u2"}),
                ("stream", {"stream": True}, {"x-penstock-feature": "summarise"}),
                ("cut", {"stream": True}, {"x-simulator-fault": "truncate:3"}),
                ("refused", {}, {"x-api-key": "pk_wrong"}),
            ]
            for name, body, headers in calls:
                sent = {"x-api-key": process.key, "anthropic-version": "2023-06-01", **headers}
                answer = httpx2.post(process.url + "/v1/messages", json={**HELLO, **body}, headers=sent)
                made.ids[name] = answer.headers["x-penstock-call-id"]
            process.records(5)
    yield made


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_report_draws_what_groups_cost_where_it_is_asked_to(made: Made) -> None:
    plain, drawn = (made.run("report", "--by", "feature", *words).stdout for words in ((), ("--plot",)))
    bars = [line.count("█") for line in drawn.splitlines()]
    assert "█" not in plain and max(bars) == 24 and bars[0] == bars[-1] == 0


def test_report_sums_exactly(made: Made) -> None:
    report = told(made.run("report", "--by", "feature,user", "--json"))
    assert set(report) == {"totals", "groups"}
    assert (report["totals"]["calls"], report["totals"]["errors"]) == (5, 2)
    sums = sum(Decimal(group["cost_usd"]) for group in report["groups"])
    assert sums == Decimal(report["totals"]["cost_usd"]) > 0
    assert {(group["feature"], group["user"]) for group in report["groups"]} >= {("chat", "u1"), ("chat", "u2")}
    counts = {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"}
    assert counts <= set(report["totals"])
    assert set(report["totals"]["latency_ms"]) == {"p50", "p95", "p99"}


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        (("--since", "1h"), 5),
        (("--since", "2020-01-01"), 5),
        (("--until", "2020-01-01T00:00"), 0),
        (("--since", "1m"), 5),
    ],
)
def test_report_takes_spans_and_dates(made: Made, words: tuple[str, ...], calls: int) -> None:
    assert told(made.run("report", *words, "--json"))["totals"]["calls"] == calls


def test_report_as_csv_has_a_row_a_group(made: Made) -> None:
    done = made.run("report", "--by", "ending", "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert {row["ending"]: row["calls"] for row in rows} == {"complete": "3", "truncated": "1", "refused": "1"}
    assert "latency_ms_p95" in rows[0]


def test_report_as_a_table_has_no_colours_when_piped(made: Made) -> None:
    done = made.run("report", "--by", "model")
    assert "\x1b" not in done.stdout
    assert "claude-opus-5-5" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("all")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "--by", "nonsense"), "nonsense"),
        (("report", "--since", "yesterday"), "--since"),
        (("keys", "create", "x", "--scopes", "everything"), "everything"),
        (("keys", "create", "x", "--expires", "2020-01-01"), "past"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(made: Made, words: tuple[str, ...], said: str) -> None:
    done = made.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_ledger_a_report_says_where_it_looked(tmp_path: Path) -> None:
    done = command("report", "--data", str(tmp_path / "none"))
    assert done.returncode == 2
    assert str(tmp_path / "none") in done.stderr
    assert not (tmp_path / "none").exists(), "looking makes nothing"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "whole",
            ["for feature 'chat', user 'u1'", "answered 200", "exact", "at $1.00 per million", "at $5.00 per million"],
        ),
        ("stream", ["summarise", "the first token came after"]),
        ("cut", ["The answer was cut off", "estimated"]),
        ("refused", ["It was refused", "unknown_key", "status 401"]),
    ],
)
def test_explain_tells_a_call_in_words(made: Made, name: str, words: list[str]) -> None:
    done = made.run("explain", made.ids[name])
    assert done.returncode == 0
    for word in words:
        assert word in done.stdout, done.stdout


def test_explain_gives_the_record_and_its_trail(made: Made) -> None:
    call = told(made.run("explain", made.ids["whole"], "--json"))
    assert call["call_id"] == made.ids["whole"]
    assert [fact["type"] for fact in call["trail"]] == ["Identified", "Routed", "Answered", "Settled"]
    assert Decimal(call["cost_usd"]) == Decimal(call["cost_nano"]) / 10**9


def test_explain_of_an_unknown_call_is_exit_code_1(made: Made) -> None:
    done = made.run("explain", "call_none")
    assert (done.returncode, done.stdout) == (1, "")
    assert "call_none" in done.stderr


def test_a_key_is_shown_once_and_never_again(made: Made) -> None:
    created = told(
        made.run("keys", "create", "app", "--scopes", "messages", "--models", "m1,m2", "--expires", "90d", "--json")
    )
    assert set(created) == {"key", "id"}
    shown = told(made.run("keys", "show", "app", "--json"))
    assert (shown["id"], shown["scopes"], shown["models"], shown["state"]) == (
        created["id"],
        ["messages"],
        ["m1", "m2"],
        "live",
    )
    for words in (("keys", "list"), ("keys", "list", "--json"), ("keys", "show", "app"), ("keys", "revoke", "app")):
        assert created["key"] not in made.run(*words).stdout
    assert told(made.run("keys", "show", created["id"], "--json"))["state"] == "revoked"
    assert created["key"].encode() not in b"".join(p.read_bytes() for p in made.data.rglob("*") if p.is_file())


def test_the_least_a_key_may_do_is_the_default(made: Made) -> None:
    created = told(made.run("keys", "create", "least", "--json"))
    assert told(made.run("keys", "show", created["id"], "--json"))["scopes"] == ["count_tokens", "messages", "models"]


def test_a_name_of_two_live_keys_is_not_guessed_at(made: Made) -> None:
    ids = [told(made.run("keys", "create", "twin", "--json"))["id"] for _ in range(2)]
    done = made.run("keys", "revoke", "twin")
    assert done.returncode == 2
    assert all(one in done.stderr for one in ids)
    assert made.run("keys", "revoke", "nobody").returncode == 1


def test_config_check_and_show(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text('environment = "staging"\n\n[upstreams.anthropic]\nkeys = ["env:SOME_KEY"]\n')
    checked = command("config", "check", "--config", str(file), "--json", SOME_KEY="value-not-to-show")
    assert told(checked) == {"ok": True, "file": str(file), "upstreams": ["anthropic"]}
    shown = command("config", "show", "--config", str(file), SOME_KEY="value-not-to-show")
    assert 'environment = "staging"' in shown.stdout
    assert "env:SOME_KEY" in shown.stdout
    assert "value-not-to-show" not in shown.stdout + checked.stdout
    missing = command("config", "check", "--config", str(file))
    assert missing.returncode == 2
    assert "SOME_KEY" in missing.stderr


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_help_teaches(verb: tuple[str, ...]) -> None:
    done = command(*verb, "--help", COLUMNS="120")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert len(done.stdout) > 300


@pytest.mark.parametrize(
    ("words", "fault", "verb"),
    [
        (("serve", "--port", "x"), "'--port'", "penstock serve"),
        (("serve", "--nope"), "--nope", "penstock serve"),
        (("nothing",), "'nothing'", "penstock"),
        (("keys", "create"), "'name'", "penstock keys create"),
        (("report", "--by"), "'--by'", "penstock"),
    ],
    ids=lambda one: one if isinstance(one, str) else " ".join(one),
)
def test_a_command_that_cannot_be_read_is_one_line(words: tuple[str, ...], fault: str, verb: str) -> None:
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("penstock: ") and done.stderr.count("\n") == 1
    assert fault in done.stderr and done.stderr.endswith(f"See `{verb} --help`.\n")


def test_asked_nothing_it_says_what_there_is_to_ask() -> None:
    for words in ((), ("keys",)):
        done = command(*words)
        assert done.returncode == 2 and "Usage:" in done.stdout + done.stderr


def test_the_version_is_told() -> None:
    done = command("--version")
    assert (done.returncode, done.stdout) == (0, "penstock 0.1.0\n")


def test_the_simulator_says_where_it_is() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "penstock", "simulator", "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        answer = httpx2.post(
            said["url"] + "/v1/messages", json=HELLO, headers={"x-api-key": "any", "anthropic-version": "2023-06-01"}
        )
        assert answer.status_code == 200
    finally:
        child.terminate()
        assert child.wait(10) == 0
