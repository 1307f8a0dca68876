"""`penstock cache doctor` as its users meet it: calls through a gateway to the simulator's cache, then what it says."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from gateways import Process, command, gateway
from penstock.simulator import running

MODEL = "claude-haiku-5-5"
MARK = {"type": "ephemeral"}
RULES = "You answer customers of a bookshop, kindly and briefly. " * 150
OFF = '[features.chat.cache]\nmarks = "off"\n[features.search.cache]\nmarks = "off"\n'


def ask(process: Process, feature: str, system: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": "Are you open today?"}]
    body = {"model": MODEL, "max_tokens": 16, "system": system, "messages": turns, **more}
    headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01", "x-penstock-feature": feature}
    answer = httpx2.post(process.url + "/v1/messages", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return {**answer.json(), "call_id": answer.headers["x-penstock-call-id"]}


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    """Four calls that nobody marked, and four with the hour of the day before the rules; the last asks the API why."""
    with running(seed=1) as simulator, gateway(simulator.url, config=OFF, ANTHROPIC_API_KEY=simulator.key) as started:
        for _ in range(4):
            ask(started, "chat", [{"type": "text", "text": RULES}])
        previous = None
        for at in range(4):
            system = [
                {"type": "text", "text": f"It is {at} o'clock."},
                {"type": "text", "text": RULES, "cache_control": MARK},
            ]
            named = {"previous_message_id": previous}
            previous = ask(started, "search", system, diagnostics=named, stream=False)["id"]
        started.records(8)
        yield started


def doctor(process: Process, *words: str) -> subprocess.CompletedProcess[str]:
    return command("cache", "doctor", *words, "--data", str(process.data))


def test_it_says_what_was_read_why_the_rest_was_not_and_what_to_do(process: Process) -> None:
    done = doctor(process)
    assert done.returncode == 0, done.stderr
    assert "chat, claude-haiku-5-5: unmarked, 3 calls" in done.stdout
    assert "search, claude-haiku-5-5: volatile, 3 calls" in done.stdout
    assert "Block 1 of 2 of the system prompt is the first to differ, 0 tokens in." in done.stdout
    assert "The API's diagnostics say system_changed (3)." in done.stdout
    assert "Fix: Move what changes (dates, ids, names, search results) out of there" in done.stdout
    assert "8 calls; misses cost 0." in done.stdout


def test_as_json_it_has_the_same_of_one_feature(process: Process) -> None:
    told = json.loads(doctor(process, "--json", "--feature", "chat", "--since", "1h").stdout)
    (feature,) = told["features"]
    (found,) = feature["findings"]
    assert (feature["feature"], feature["calls"], feature["chances"], feature["hits"]) == ("chat", 4, 3, 0)
    assert found["cause"] == "unmarked" and found["lost_usd"] == told["lost_usd"] != "0.00"


def test_the_fingerprint_is_told_and_holds_no_word_of_the_prompt(process: Process) -> None:
    record = process.record(process.record_of(feature="search").call_id)
    assert b'"type":"Fingerprinted"' in record.trail and b"bookshop" not in record.trail
    done = command("explain", record.call_id, "--data", str(process.data))
    assert "marked for the cache at block 2 for 5m" in done.stdout
    assert "The API compared it with the message named: system changed, and" in done.stdout


def test_a_time_without_calls_and_a_span_that_is_none(process: Process) -> None:
    assert doctor(process, "--until", "2020-01-02", "--since", "2020-01-01").stdout.startswith("No calls were answered")
    done = doctor(process, "--since", "2020-01-02", "--until", "2020-01-01")
    assert done.returncode == 2 and "--since is not before --until" in done.stderr


def test_without_a_ledger_it_says_so(tmp_path: Any) -> None:
    done = command("cache", "doctor", "--data", str(tmp_path / "none"))
    assert done.returncode == 2 and "There is no ledger" in done.stderr
