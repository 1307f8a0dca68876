"""`penstock advise` as its users meet it: its advice on a gateway's traffic, and what came of following it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import Process, command, gateway
from penstock.record import Record
from penstock.simulator import running

HAIKU = "claude-haiku-5-5"
INPUT, OUTPUT_NANO = 100, 500
#: The advised saving takes a prompt's shortest question for a part of what is static, and so may be too much by that.
TOLERANCE = 0.05
PROMPTS = {
    "support": "You answer customers of a bookshop, kindly and briefly. " * 150,
    "search": "You turn questions into queries of a library's catalogue. " * 120,
}
#: Left to itself, Penstock would place the marks that are advised.
UNMARKED = '[features.default.cache]\nmarks = "off"\n'
QUESTIONS = (
    "Where is my order?",
    "Do you have maps of Norway?",
    "I want my money back, please.",
    "Are you open today?",
)


def ask(process: Process, *, is_cached: bool) -> list[Record]:
    """The same traffic either way: each question of each feature, one after the other; its rows, oldest first."""
    before = len(process.records())
    for question in QUESTIONS:
        for feature, prompt in PROMPTS.items():
            block: dict[str, Any] = {"type": "text", "text": prompt}
            if is_cached:
                block["cache_control"] = {"type": "ephemeral"}
            turns = [{"role": "user", "content": question}]
            body = {"model": HAIKU, "max_tokens": 32, "system": [block], "messages": turns}
            headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01", "x-penstock-feature": feature}
            assert httpx2.post(process.url + "/v1/messages", json=body, headers=headers).status_code == 200
    count = len(QUESTIONS) * len(PROMPTS)
    return process.records(before + count)[before:]


def input_nano(records: list[Record]) -> int:
    """What their input cost: of two runs the answers differ."""
    assert all(one.cost_nano is not None for one in records)
    return sum((one.cost_nano or 0) - OUTPUT_NANO * one.output_tokens for one in records)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    place = tmp_path_factory.mktemp("advise") / "data"
    with running(seed=1) as simulator:
        env = {"ANTHROPIC_API_KEY": simulator.key}
        with gateway(simulator.url, data=place, config=UNMARKED, **env) as started:
            yield started


@pytest.fixture(scope="module")
def uncached(process: Process) -> list[Record]:
    return ask(process, is_cached=False)


def asked(process: Process, *words: str) -> subprocess.CompletedProcess[str]:
    return command("advise", *words, "--data", str(process.data))


def told(process: Process, *words: str) -> Any:
    done = asked(process, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def nano(usd: str) -> int:
    return int(Decimal(usd) * 1_000_000_000)


def test_what_it_advises_is_for_people_to_read(process: Process, uncached: list[Record]) -> None:
    done = asked(process, "--least-usd", "0")
    assert done.returncode == 0 and "\x1b" not in done.stdout and done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith("8 calls that cost ") and lines[2].split()[:4] == ["#", "advice", "feature", "of"]
    assert lines[3].split()[:3] == ["1", "caching", "support"]  # the longer prompt
    assert lines[4].split()[:3] == ["2", "caching", "search"]
    for said in (
        "1. caching, support: Put ",
        "   Evidence: 4 calls of 1 prompt ",
        "   Confidence medium: ",
        "   Risk: ",
    ):
        assert said in done.stdout
    assert uncached[0].call_id in done.stdout or uncached[2].call_id in done.stdout
    assert "Together, in the order lost, caching, history, " in done.stdout
    assert "Note: Calls by tier: haiku 100 % (rule of thumb 80 %)" in done.stdout


def test_options_narrow_it(process: Process, uncached: list[Record]) -> None:
    all_of_it = told(process, "--least-usd", "0")
    assert [one["feature"] for one in all_of_it["advice"]] == ["support", "search"]
    total = sum(nano(one["saved_usd"]) for one in all_of_it["advice"])
    assert nano(all_of_it["total"]["saved_usd"]) == total
    narrow = told(process, "--feature", "search", "--least-usd", "0")
    assert narrow["advice"] == all_of_it["advice"][1:] and narrow["calls"] == 4
    dear = told(process, "--least-usd", "1")
    assert (dear["advice"], dear["hidden"]) == ([], 2) and dear["total"] == all_of_it["total"]
    earlier = asked(process, "--since", "2025-01-01", "--until", "2025-02-01")
    assert earlier.returncode == 0 and earlier.stdout.splitlines()[-1] == "Nothing to advise."


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--since", "2025-02-01", "--until", "2025-01-01"), "--since is not before --until"),
        (("--since", "lately"), "neither a span nor a date"),
        (("--least-usd", "much"), "no amount of dollars"),
        (("--least-usd", "nan"), "no amount of dollars"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(process: Process, words: tuple[str, ...], said: str) -> None:
    done = asked(process, *words)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and done.stderr.count("\n") == 1


def test_the_lane_of_the_config_makes_it_advise_batches(
    process: Process, uncached: list[Record], tmp_path: Path
) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text('[features.search]\nlane = "background"\n')
    kinds = {
        (one["kind"], one["feature"]) for one in told(process, "--least-usd", "0", "--config", str(config))["advice"]
    }
    assert kinds == {("caching", "support"), ("caching", "search"), ("batch", "search")}


def test_caching_as_advised_saves_what_was_advised(process: Process, uncached: list[Record]) -> None:
    """Last of all, for it adds to the ledger: the same traffic again, with `cache_control` where it says."""
    made = told(process, "--least-usd", "0")
    advised = nano(made["total"]["saved_usd"])
    assert ['"cache_control": {"type": "ephemeral"}' in one["change"] for one in made["advice"]] == [True, True]
    cached = ask(process, is_cached=True)
    assert sum(one.cache_read_tokens > 0 for one in cached) == 6  # of four calls the first writes
    realised = input_nano(uncached) - input_nano(cached)
    assert input_nano(uncached) == INPUT * sum(one.input_tokens for one in uncached)
    assert (1 - TOLERANCE) * advised <= realised <= advised


def talk(process: Process, session: str, *, is_cached: bool) -> list[Record]:
    """One conversation of five turns, its answers sent along; its rows, oldest first."""
    before = len(process.records())
    headers = {
        "x-api-key": process.key,
        "anthropic-version": "2023-06-01",
        "x-penstock-feature": "talk",
        "x-penstock-session": session,
    }
    turns: list[dict[str, Any]] = []
    for number in range(5):
        turns.append(
            {"role": "user", "content": f"Chapter {number}. " + "The river rose and the gate was shut. " * 100}
        )
        body: dict[str, Any] = {"model": HAIKU, "max_tokens": 32, "messages": turns}
        if is_cached:
            body["cache_control"] = {"type": "ephemeral"}
        answer = httpx2.post(process.url + "/v1/messages", json=body, headers=headers)
        assert answer.status_code == 200
        turns.append({"role": "assistant", "content": answer.json()["content"]})
        process.records(before + number + 1)
    return process.records(before + 5)[before:]


def test_caching_conversations_as_advised_saves_what_was_advised(process: Process) -> None:
    plain = talk(process, "s1", is_cached=False)
    (one,) = told(process, "--feature", "talk", "--least-usd", "0")["advice"]
    assert (one["kind"], one["of"], one["confidence"]) == ("caching", f"{HAIKU}, turns, 5m", "medium")
    advised = nano(one["saved_usd"])
    cached = talk(process, "s2", is_cached=True)
    assert sum(record.cache_read_tokens > 0 for record in cached) == 4
    realised = input_nano(plain) - input_nano(cached)
    assert (1 - TOLERANCE) * advised <= realised <= (1 + TOLERANCE) * advised
