"""A gateway's life: start, reload, drain, and keys that come and go meanwhile."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import Process, command, environment, gateway
from penstock.simulator import Pace, running
from script import HELLO

from .test_hangup import SLOW, eventually


def ask(process: Process, body: Any = None, key: str | None = None, **more: Any) -> httpx2.Response:
    headers = {"x-api-key": key or process.key, "anthropic-version": "2023-06-01"}
    return httpx2.post(
        process.url + "/v1/messages", content=json.dumps(body or HELLO), headers=headers, timeout=30, **more
    )


def refused_start(*words: str, **env: str) -> str:
    """What a start that cannot be says: one line on stderr, exit code 2."""
    done = command("serve", *words, **env)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("penstock: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = refused_start("--port", port, "--data", str(tmp_path / "data"))
    assert port in said
    assert "--port" in said


def test_a_data_folder_that_cannot_be_written_is_too(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    said = refused_start("--port", "0", "--data", str(tmp_path / "data"))
    assert str(tmp_path / "data") in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gateway\n", "penstock.toml:1"),
        ("[gateway]\nprot = 1\n", "Did you mean `port`?"),
        ('[upstreams.anthropic]\nkeys = ["' + "sk-ant-" + 'api03-secret"]\n', "env:ANTHROPIC_API_KEY"),
        ('[upstreams.anthropic]\nkeys = ["env:NOT_SET_ANYWHERE"]\n', "NOT_SET_ANYWHERE"),
    ],
)
def test_a_broken_config_is_too(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(text)
    told = refused_start("--port", "0", "--config", str(file), "--data", str(tmp_path / "data"))
    assert said in told
    assert "api03-secret" not in told


def test_the_first_key_is_made_once_and_shown_again(tmp_path: Path) -> None:
    with gateway(data=tmp_path / "data") as process:
        first = process.key
        assert "built-in simulator" in process.log.read_text()
        assert ask(process).status_code == 200
    with gateway(data=tmp_path / "data") as process:
        assert process.key == first
        assert ask(process).status_code == 200
    assert ((tmp_path / "data" / "first.key").stat().st_mode & 0o777) == 0o600


def test_it_starts_with_an_empty_environment(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    words = ["serve", "--port", "0", "--data", str(tmp_path / "data"), "--ready-file", str(ready)]
    child = subprocess.Popen(
        [sys.executable, "-m", "penstock", *words], cwd=tmp_path, env={}, stdout=subprocess.DEVNULL
    )
    try:
        assert eventually(ready.exists, wait_s=30)
        told = json.loads(ready.read_text())
        assert set(told) == {"url", "key", "pid", "upstream"}
        assert told["pid"] == child.pid
        assert (ready.stat().st_mode & 0o077) == 0, "it holds a key"
    finally:
        child.terminate()
        assert child.wait(20) == 0


def test_a_key_works_as_soon_as_it_is_made_and_ends_within_a_second(tmp_path: Path) -> None:
    with running(seed=1) as simulator, gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as process:
        data = str(process.data)
        made = json.loads(command("keys", "create", "app", "--json", "--data", data).stdout)
        assert ask(process, key=made["key"]).status_code == 200
        assert command("keys", "revoke", made["id"], "--data", data).returncode == 0
        revoked_at = time.monotonic()
        assert eventually(lambda: ask(process, key=made["key"]).status_code == 401, wait_s=5)
        assert time.monotonic() - revoked_at < 1.5, "a second, and the calls that asked"


def test_a_drain_lets_streams_end_and_refuses_what_comes_after() -> None:
    with running(seed=2, pace=Pace(tokens_per_s=200.0)) as simulator:
        with gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as process:
            bodies: list[str] = []
            threads = [threading.Thread(target=lambda: bodies.append(ask(process, SLOW).text)) for _ in range(20)]
            for thread in threads:
                thread.start()
            assert eventually(lambda: len(simulator.requests) == 20)
            process.child.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            with pytest.raises(httpx2.ConnectError):
                ask(process)
            for thread in threads:
                thread.join(30)
            assert process.child.wait(20) == 0
            assert len(bodies) == 20
            assert all("message_stop" in body and "event: error" not in body for body in bodies)
            assert [record.ending for record in process.records(20)] == ["complete"] * 20


def test_a_reload_holds_for_later_calls_and_disturbs_none_under_way() -> None:
    config = "[admission]\nbody_bytes_max = 100000\n"
    with running(seed=2, pace=Pace(tokens_per_s=100.0)) as simulator:
        with gateway(simulator.url, config=config, ANTHROPIC_API_KEY=simulator.key) as process:
            file = process.log.parent / "penstock.toml"
            bodies: list[str] = []
            stream = threading.Thread(target=lambda: bodies.append(ask(process, SLOW).text))
            stream.start()
            assert eventually(lambda: len(simulator.requests) == 1)
            file.write_text("[admission]\nbody_bytes_max = 10\n")
            process.child.send_signal(signal.SIGHUP)
            assert eventually(lambda: ask(process).status_code == 413)
            file.write_text("[admission]\nbody_bytes_maxx = 10\n")
            process.child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "the old config stays" in process.log.read_text())
            assert ask(process).status_code == 413
            stream.join(30)
            assert "message_stop" in bodies[0]


def test_the_environment_of_these_tests_names_no_upstream() -> None:
    assert not [name for name in environment() if name.startswith("ANTHROPIC_")]
    assert os.environ.get("PATH") == environment().get("PATH")
