"""The log of calls: a line for each, without what should not be in a log, in bounded files."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import anthropic
import pytest

pytest.importorskip("structlog", reason="structlog is not installed")

import penstock
from gateways import gateway
from penstock.errors import ConfigError
from penstock.observe.log import CallLog
from penstock.record import Record
from penstock.simulator import running
from script import HELLO


def a_record(**more: Any) -> Record:
    fields = {"call_id": "call_1", "began_at_us": 1_795_132_800_000_000, "face": "gateway", "method": "POST"}
    return Record(**fields, path="/v1/messages", endpoint="messages", **more)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_call_is_one_line_with_what_is_known_of_it(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.jsonl", 1 << 20)
    log.write([a_record(feature="chat", cost_nano=33_000, total_us=1_500, status=200, input_tokens=8)])
    log.write([a_record(ending="failed", status=529, error_type="overloaded_error")])
    log.close()
    first, second = lines(tmp_path / "calls.jsonl")
    assert first["event"] == "call" and first["level"] == "info" and first["began_at"] == "2026-11-20T00:00:00.000000Z"
    assert (first["feature"], first["cost_usd"], first["total_ms"], first["input_tokens"]) == (
        "chat",
        "0.000033",
        1.5,
        8,
    )
    assert "user" not in first and "error_type" not in first
    assert second["level"] == "error" and second["error_type"] == "overloaded_error"
    assert (tmp_path / "calls.jsonl").stat().st_mode & 0o077 == 0


def test_a_tag_that_tells_too_much_stands_as_a_hash(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.jsonl", 1 << 20)
    key = "sk-ant-api03-" + "canary" * 15 + "AA"
    log.write([a_record(user="ada@example.com", session=key, segment="acme"), a_record(user="ada@example.com")])
    log.close()
    text = (tmp_path / "calls.jsonl").read_text()
    assert "ada@" not in text and "canary" not in text
    first, second = lines(tmp_path / "calls.jsonl")
    assert first["user"] == second["user"] and first["user"].startswith("sha256:") and first["segment"] == "acme"


def test_the_files_are_bounded(tmp_path: Path) -> None:
    log = CallLog(tmp_path / "calls.jsonl", 50_000)
    for number in range(2_000):
        log.write([a_record(user=f"u{number}")])
    log.close()
    assert 25_000 < sum(file.stat().st_size for file in tmp_path.iterdir()) <= 50_000
    assert lines(tmp_path / "calls.jsonl")[-1]["user"] == "u1999"


def test_a_place_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written") as refused:
        CallLog(tmp_path / "file" / "calls.jsonl", 1 << 20)
    assert refused.value.code == "log_unwritable"


def test_both_faces_write_it_and_no_secret_is_in_it(tmp_path: Path) -> None:
    config = (
        '[log]\ncalls = "file:calls.jsonl"\n[upstreams.sim]\nkind = "compatible"\nurl = "{}"\nkeys = ["env:SIM_KEY"]\n'
    )
    with running(seed=1, accept_any=True) as sim:
        text = config.format(sim.url)
        with gateway(data=tmp_path / "data", config=text, SIM_KEY=sim.key) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            client.messages.create(**HELLO, extra_headers={"x-penstock-feature": "chat"})
            process.stop()
        (tmp_path / "penstock.toml").write_text('[log]\ncalls = "file:calls.jsonl"\n')
        bare = anthropic.Anthropic(base_url=sim.url, api_key=sim.key)
        wrapped = penstock.wrap(bare, config=tmp_path / "penstock.toml", data=tmp_path / "own", feature="chat")
        wrapped.messages.create(**HELLO)
        ends = time.monotonic() + 10
        while not (tmp_path / "own" / "calls.jsonl").stat().st_size and time.monotonic() < ends:
            time.sleep(0.02)
    for folder, face in (("data", "gateway"), ("own", "client")):
        (line,) = lines(tmp_path / folder / "calls.jsonl")
        assert (line["feature"], line["face"], line["ending"]) == ("chat", face, "complete")
        text = (tmp_path / folder / "calls.jsonl").read_text()
        assert sim.key not in text and process.key not in text and "Hello" not in text
