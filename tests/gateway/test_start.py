"""Starts that cannot be, and what a start tells, beyond what test_lifecycle holds: files, addresses, shared folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gateways import Process, command, gateway

from .test_hangup import eventually
from .test_lifecycle import ask, refused_start


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--port", "70000"), "`gateway.port` is 70000"),
        (("--port", "0", "--host", "192.0.2.1"), "192.0.2.1"),
        (("--port", "0", "--config", "not-there.toml"), "not-there.toml"),
        (("--port", "0", "--upstream", "api.example"), "scheme"),
    ],
)
def test_an_option_that_cannot_be_is_one_line_and_exit_code_2(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    assert said in refused_start(*words, "--data", str(tmp_path / "data"))


def test_a_journal_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("a file")
    said = refused_start("--port", "0", "--data", str(tmp_path))
    assert str(tmp_path / "journal") in said and "a file stands where a folder must" in said


def test_a_database_that_is_none_stops_the_start_and_is_left_as_it_was(tmp_path: Path) -> None:
    database = tmp_path / "penstock.db"
    database.write_text("something of someone else's, and longer than the head of a database")
    before = database.read_bytes()
    done = command("serve", "--port", "0", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert str(database) in done.stderr and done.stderr.count("\n") == 1
    assert database.read_bytes() == before


@pytest.mark.parametrize("place", ["a-folder", "a-file/ready.json"])
def test_a_ready_file_that_cannot_be_written_stops_the_start_and_leaves_no_key_about(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "a-folder").mkdir()
    (tmp_path / "a-file").write_text("")
    data = tmp_path / "data"
    done = command("serve", "--port", "0", "--data", str(data), "--ready-file", str(tmp_path / place))
    assert done.returncode == 2
    assert done.stderr.startswith("penstock: ")
    assert done.stderr.count("\n") == 1
    key = (data / "first.key").read_bytes().strip()
    holders = [path.name for path in tmp_path.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert holders == ["first.key"]


def test_a_start_without_an_environment_serves_the_simulator_says_so_and_takes_calls(tmp_path: Path) -> None:
    ready, log = tmp_path / "ready.json", tmp_path / "log"
    words = ["serve", "--port", "0", "--data", str(tmp_path / "data"), "--ready-file", str(ready)]
    with log.open("wb") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "penstock", *words], cwd=tmp_path, env={}, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        assert eventually(ready.exists, wait_s=30), log.read_text()
        told = json.loads(ready.read_text())
        assert ask(Process(told["url"], told["key"], tmp_path / "data", child, log)).status_code == 200
        said = log.read_text()
        assert told["url"] in said
        assert told["key"] in said
        assert "the built-in simulator (no ANTHROPIC_API_KEY is set" in said
        assert not told["url"].endswith(":0"), "the port that was taken, not the one that was asked for"
    finally:
        child.terminate()
        assert child.wait(20) == 0


def test_a_second_start_prints_the_same_key_as_the_first(tmp_path: Path) -> None:
    said = []
    for _ in range(2):
        with gateway(data=tmp_path / "data") as process:
            text = process.log.read_text()
            assert process.key in text
            said.append(next(line for line in text.splitlines() if line.strip().startswith("key ")).split()[1])
    assert said[0] == said[1]
    assert "(created just now)" not in text


def test_two_gateways_share_a_data_folder_and_its_keys(tmp_path: Path) -> None:
    with gateway(data=tmp_path / "data") as one, gateway(data=tmp_path / "data") as other:
        assert one.key == other.key
        for process in (one, other):
            assert ask(process, key=one.key).status_code == 200
        assert [record.ending for record in one.records(2)] == ["complete"] * 2
