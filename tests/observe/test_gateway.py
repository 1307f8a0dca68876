"""Alerts of a running gateway: told while it serves, and by the next one where it could not be told."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from posted import desk

from gateways import Process, gateway
from penstock.simulator import running
from penstock.stores.alerts import AlertStore
from script import HELLO

TOKEN = "T0kenThatNobodyMaySee"
CONFIG = """
[log]
level = "debug"
[upstreams.anthropic]
url = "URL"
keys = ["env:UPSTREAM_KEY"]
[resilience]
tries_max = 1
breaker_failures = 3
[alerts]
sinks = ["env:HOOK"]
every_s = 0.2
hold_s = 0.0
window_s = 10.0
error_calls_min = 5
"""


def wait(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "nothing came"
        time.sleep(0.05)


def call(process: Process, *faults: str) -> None:
    headers = {"x-api-key": process.key, "anthropic-version": "2023-06-01"}
    for fault in faults:
        httpx2.post(
            process.url + "/v1/messages", json=HELLO, headers={**headers, "x-simulator-fault": fault}, timeout=20
        )


@pytest.mark.weighty
def test_an_outage_is_told_while_calls_go_on_and_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(seed=1, accept_any=True, allow_fault_headers=True) as simulator, desk() as told:
        config = CONFIG.replace("URL", simulator.url)
        told.status = lambda: 503
        env = {"UPSTREAM_KEY": "k" * 20, "HOOK": f"{told.url}/{TOKEN}"}
        with gateway(data=data, config=config, **env) as process:
            call(process, *["error_500"] * 5)
            said = ("error rate, critical: 100.0 % of 5 calls failed", "env:HOOK could not be told of alert")
            wait(lambda: all(one in process.log.read_text() for one in said))
            process.child.send_signal(signal.SIGKILL)
            process.child.wait()
            log = process.log.read_text()
        assert told.posted == []
        assert TOKEN not in log
        told.status = lambda: 200
        with gateway(data=data, config=config, **env) as process:
            wait(lambda: {"error rate, critical", "error rate, over"} <= set(told.titles()), 60.0)
            assert process.stop() == 0
    titles = told.titles()
    assert len(titles) == len(set(titles)), titles
    assert any(title.startswith("circuit ") for title in titles)


def test_without_sinks_alerts_are_kept_and_logged(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(seed=1, accept_any=True, allow_fault_headers=True) as simulator:
        config = CONFIG.replace("URL", simulator.url).replace('sinks = ["env:HOOK"]\n', "")
        with gateway(data=data, config=config, UPSTREAM_KEY="k" * 20) as process:
            call(process, *["error_500"] * 5)
            store = AlertStore(data)
            wait(lambda: "error rate" in [alert.identity for alert in store.history()])
            assert all(alert.deliveries == () for alert in store.history())


def test_a_sink_that_cannot_be_meant_stops_the_start(tmp_path: Path) -> None:
    config = CONFIG.replace("URL", "http://127.0.0.1:9")
    try:
        with gateway(data=tmp_path / "data", config=config, UPSTREAM_KEY="k" * 20, HOOK=TOKEN):
            raise AssertionError("it started")
    except AssertionError as error:
        said = str(error)
    assert "What env:HOOK holds is no URL" in said and TOKEN not in said
