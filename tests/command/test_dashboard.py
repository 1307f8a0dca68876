"""`penstock dashboard`: the pages of a folder, and nothing else; what it prints logs in once."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

from gateways import command, environment
from penstock.ports import Key
from penstock.ports.blocking import BlockingClock, SystemChance
from penstock.record import Record
from penstock.stores.folding import fold
from penstock.stores.keys import KeyStore
from penstock.stores.schema import connect
from penstock.stores.sums import DAY_US


@contextlib.contextmanager
def serving(data: Path, *words: str) -> Iterator[tuple[httpx2.Client, str]]:
    """The verb in a process of its own: a client for its address, and the link it prints."""
    argv = [sys.executable, "-m", "penstock", "dashboard", "--port", "0", "--data", str(data), *words]
    child = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment())
    try:
        assert child.stdout is not None
        found = next(found for line in child.stdout if (found := re.search(r"(http://[^/]+)(/\S+link=\S+)", line)))
        with httpx2.Client(base_url=found[1], timeout=20) as client:
            yield client, found[2]
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(20) == 0


def a_key(data: Path, scope: str) -> tuple[Key, str]:
    chance = SystemChance()
    made, secret = KeyStore(data, BlockingClock()).create("k", chance=chance, token=chance.token, scopes=[scope])
    return made, secret.reveal()


def filled(data: Path, ages_days: tuple[float, ...]) -> None:
    now_us = time.time_ns() // 1000
    connection = connect(data)
    fold(
        connection,
        [
            Record(
                call_id=f"call_{number:026x}",
                began_at_us=now_us - int(age * DAY_US),
                face="client",
                method="POST",
                path="/v1/messages",
                endpoint="messages",
                feature="chat",
                cost_nano=1_230_000_000,
            )
            for number, age in enumerate(ages_days)
        ],
    )
    connection.close()


def test_the_link_logs_in_once_and_everything_else_leads_to_the_pages(tmp_path: Path) -> None:
    filled(tmp_path, (400, 60, 0.01))
    with serving(tmp_path) as (client, link):
        for path in ("/", "/v1/messages", "/metrics", "/penstock"):
            assert client.get(path).headers["location"] == "/penstock/"
        assert client.get("/penstock/").status_code == 303
        assert client.get(link).status_code == 303
        text = client.get("/penstock/").text
        assert "$1.23" in text and "owner" in text and "read-only" not in text
        client.cookies.clear()
        assert client.get(link).status_code == 200 and client.get("/penstock/").status_code == 303
    connection = connect(tmp_path)
    assert connection.execute("SELECT count(*) FROM calls").fetchone() == (3,), "nothing is deleted, however old"
    connection.close()


def test_keys_of_the_folder_log_in(tmp_path: Path) -> None:
    _, secret = a_key(tmp_path, "view")
    with serving(tmp_path) as (client, _):
        assert client.post("/penstock/login", data={"key": secret}).status_code == 303
        assert "read-only" in client.get("/penstock/").text


def test_what_a_process_that_was_killed_left_is_there(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from penstock.ports.blocking import BlockingClock; from penstock.stores.sqlite import SqliteLedger\n"
        "from penstock.record import Record\n"
        "clock = BlockingClock(); ledger = SqliteLedger(Path(sys.argv[1]), clock, window_s=60)\n"
        "asyncio.run(ledger.close(Record(call_id='call_1', began_at_us=clock.wall_us(), face='client', method='POST',"
        " path='/v1/messages', endpoint='messages', cost_nano=4_560_000_000)))\n"
        "os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment(), check=False)
    with serving(tmp_path) as (client, link):
        client.get(link)
        assert "$4.56" in client.get("/penstock/").text


def test_an_address_that_is_taken_and_a_ledger_in_memory_are_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = command("dashboard", "--port", port, "--data", str(tmp_path / "data"))
    assert done.returncode == 2 and port in done.stderr and "Traceback" not in done.stderr
    config = tmp_path / "penstock.toml"
    config.write_text('[stores]\nledger = "memory"\n')
    done = command("dashboard", "--config", str(config))
    assert done.returncode == 2 and "memory" in done.stderr and done.stderr.count("\n") == 1
