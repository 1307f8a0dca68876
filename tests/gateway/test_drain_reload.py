"""Drains and reloads, seen by callers: beyond test_lifecycle, kept connections and what a reload changes."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from pathlib import Path

import pytest

from gateways import Process, gateway
from penstock.ports.blocking import BlockingClock
from penstock.simulator import Pace, running
from penstock.spending.budget import parts
from penstock.stores.budgets import SqliteBudgets
from penstock.stores.shared import SharedDatabase

from .test_hangup import SLOW, eventually, opened, read_until
from .test_lifecycle import ask


def kept(process: Process) -> http.client.HTTPConnection:
    """A caller's connection that has had an answer and stays open."""
    connection = http.client.HTTPConnection("127.0.0.1", int(process.url.rpartition(":")[2]), timeout=20)
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"status": "ready"})
    return connection


def refuses_connections(process: Process) -> bool:
    try:
        http.client.HTTPConnection("127.0.0.1", int(process.url.rpartition(":")[2]), timeout=5).connect()
    except ConnectionError:  # one queued as the listener closes is reset instead
        return True
    return False


@pytest.mark.parametrize("path", ["/readyz", "/v1/messages"])
def test_a_kept_connection_is_told_503_while_a_stream_under_way_ends(path: str) -> None:
    with running(seed=2, pace=Pace(tokens_per_s=150.0)) as simulator:
        with gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as process:
            connection = kept(process)
            caller = opened(process)
            read_until(caller, b"message_start")
            process.child.send_signal(signal.SIGTERM)
            assert eventually(lambda: refuses_connections(process))
            headers = {"x-api-key": process.key}
            if path == "/readyz":
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(SLOW), headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            assert answer.status == 503
            assert int(answer.headers["retry-after"]) >= 1
            assert said["error"]["details"]["error_code"] == "draining"
            assert b"event: error" not in read_until(caller, b"message_stop")
            caller.close()
            assert process.child.wait(20) == 0
            (record,) = process.records(1)
            assert (record.ending, record.cost_basis) == ("complete", "exact")


def test_a_reload_changes_what_a_hang_up_means_for_later_calls_only() -> None:
    with running(seed=2, pace=Pace(tokens_per_s=100.0)) as simulator:
        with gateway(
            simulator.url, config='[transport]\non_hangup = "cancel"\n', ANTHROPIC_API_KEY=simulator.key
        ) as process:
            earlier = opened(process)
            read_until(earlier, b"message_start")
            (process.log.parent / "penstock.toml").write_text(
                '[transport]\non_hangup = "drain"\n[log]\nlevel = "info"\n'
            )
            process.child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "reloaded" in process.log.read_text())
            later = opened(process)
            read_until(later, b"message_start")
            earlier.close()
            later.close()
            endings = {record.ending: record for record in process.records(2, wait_s=20)}
            assert set(endings) == {"abandoned", "complete"}
            assert endings["abandoned"].began_at_us < endings["complete"].began_at_us


def test_a_reload_changes_the_prices_of_later_calls() -> None:
    model = "claude-haiku-4-5"
    config = '[log]\nlevel = "info"\n[prices.models.claude-haiku-4-5]\ninput_usd = "{}"\noutput_usd = "0"\n'
    with running(seed=2) as simulator:
        with gateway(simulator.url, config=config.format(1000), ANTHROPIC_API_KEY=simulator.key) as process:
            ask(process)
            process.records(1)
            (process.log.parent / "penstock.toml").write_text(config.format(2000))
            process.child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "reloaded" in process.log.read_text())
            ask(process)
            first, second = process.records(2)
            assert first.model_asked == second.model_asked == model
            assert first.cost_nano
            assert second.cost_nano == 2 * first.cost_nano


def test_a_budget_that_comes_with_a_reload_counts_what_was_spent_before_and_no_call_fails_for_it() -> None:
    first = '[log]\nlevel = "info"\n[[budgets]]\nname = "all"\nplan_usd = 100\n'
    with running(seed=2) as simulator:
        with gateway(simulator.url, config=first, ANTHROPIC_API_KEY=simulator.key) as process:
            statuses: list[int] = []
            is_over = threading.Event()

            def calls() -> None:
                while not is_over.is_set():
                    statuses.append(ask(process).status_code)

            caller = threading.Thread(target=calls)
            caller.start()
            assert eventually(lambda: len(statuses) > 20)
            added = '[[budgets]]\nname = "each user"\nper = ["user"]\nplan_usd = 10\n'
            (process.log.parent / "penstock.toml").write_text(first + added)
            process.child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "reloaded" in process.log.read_text())
            before = len(statuses)
            assert eventually(lambda: len(statuses) > before + 20)
            is_over.set()
            caller.join(20)
            assert set(statuses) == {200}
            costs = [record.cost_nano or 0 for record in process.records(len(statuses))]
            process.stop()
            spent = balances(process.data)
            assert spent["all"] == sum(costs) and 0 <= sum(costs) - spent["each user"] <= 10 * max(costs)
            with gateway(simulator.url, data=process.data, config=first + added, ANTHROPIC_API_KEY=simulator.key):
                assert balances(process.data) == dict.fromkeys(("all", "each user"), sum(costs))


def balances(data: Path) -> dict[str, int]:
    """What each budget has spent; nothing is held."""
    shared = SharedDatabase(data)
    found = SqliteBudgets(shared, BlockingClock()).balances()
    shared.close()
    assert all(balance.held_nano == 0 for balance in found.values())
    return {parts(name)[0]: balance.spent_nano for name, balance in found.items()}


@pytest.mark.parametrize("text", ["[transport\n", "[transport]\non_hangup = 5\n", "[nothing]\n"])
def test_a_bad_config_on_a_reload_is_one_line_and_the_old_one_holds(text: str) -> None:
    with running(seed=2, pace=Pace(tokens_per_s=200.0)) as simulator:
        config = "[admission]\nbody_bytes_max = 1000\n"
        with gateway(simulator.url, config=config, ANTHROPIC_API_KEY=simulator.key) as process:
            bodies: list[str] = []
            stream = threading.Thread(target=lambda: bodies.append(ask(process, SLOW).text))
            stream.start()
            assert eventually(lambda: len(simulator.requests) == 1)
            before = process.log.read_text()
            (process.log.parent / "penstock.toml").write_text(text)
            process.child.send_signal(signal.SIGHUP)
            assert eventually(lambda: "the old config stays" in process.log.read_text())
            assert ask(process, {**SLOW, "stream": False, "system": "x" * 1000}).status_code == 413
            assert ask(process).status_code == 200
            stream.join(30)
            assert "message_stop" in bodies[0]
            added = process.log.read_text().removeprefix(before)
            assert added.count("\n") == 1, added
            assert "penstock.toml" in added
