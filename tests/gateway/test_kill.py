"""SIGKILL under load, fifty times: no call whose answer began to reach its caller is lost, none is recorded twice."""

from __future__ import annotations

import http.client
import json
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from gateways import Process, gateway
from penstock.simulator import running
from penstock.stores.reading import LedgerReader
from script import HELLO

KILLS = 50
CALLERS = 4


def call_on(process: Process, answered: list[str], seed: int) -> None:
    """Calls until the gateway is gone; `answered` gets the ids of calls whose head came back."""
    draw = random.Random(seed)
    address = process.url.rpartition(":")[2]
    headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01"}
    connection = http.client.HTTPConnection("127.0.0.1", int(address), timeout=10)
    while True:
        body = json.dumps({**HELLO, "stream": draw.random() < 0.5})
        try:
            connection.request("POST", "/v1/messages", body, headers)
            answer = connection.getresponse()
            answered.append(answer.headers["x-penstock-call-id"])
            answer.read()
        except (OSError, http.client.HTTPException):
            return


def one_life(url: str, key: str, data: Path, number: int) -> list[str]:
    """A gateway from its start to its sudden death, and the calls it had answered or begun to answer."""
    answered: list[str] = []
    with gateway(url, data=data, ANTHROPIC_API_KEY=key) as process:
        threads = [
            threading.Thread(target=call_on, args=(process, answered, number * CALLERS + n), daemon=True)
            for n in range(CALLERS)
        ]
        for thread in threads:
            thread.start()
        time.sleep(random.Random(number).uniform(0.05, 0.25))
        process.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(10)
    return answered


@pytest.mark.weighty
def test_fifty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    data, answered = tmp_path / "data", list[str]()
    with running(seed=5) as simulator:
        for number in range(KILLS):
            answered += one_life(simulator.url, simulator.key, data, number)
        served = sum(1 for request in simulator.requests if request.path == "/v1/messages")
    assert len(answered) > KILLS, "there was load"
    with LedgerReader(data) as ledger:  # adopts what the last killed process left
        records = list(ledger.calls())
    rows = Counter(record.call_id for record in records)
    assert max(rows.values()) == 1
    assert not [call_id for call_id in answered if rows[call_id] != 1]
    endings = Counter(record.ending for record in records)
    assert endings["killed"] > 0, "some calls were under way when the end came"
    assert endings["complete"] > KILLS
    assert all(
        record.cost_nano is None and record.cost_basis == "unknown" for record in records if record.ending == "killed"
    )
    assert len(records) >= min(served, 1000)
    with sqlite3.connect(data / "penstock.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
