"""Faults at run time and the books, over HTTP and by the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from gateways import command
from penstock.simulator import Running, Simulator, running
from penstock.simulator.api import Served

Got = tuple[int, dict[str, str], bytes]


def test_a_fault_for_a_while_and_then_no_more(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    clock = [1_795_132_800.0]
    with running(seed=2, clock=lambda: clock[0]) as sim:
        status, _, body = send(sim, "/simulator/faults", {"fault": "overloaded", "share": 0.5, "for_s": 60})
        (rule,) = json.loads(body)["rules"]
        assert status == 200 and rule["fault"] == "overloaded" and rule["to_s"] == 60
        during = [send(sim, body=ask)[0] for _ in range(30)]
        clock[0] += 61
        after = [send(sim, body=ask)[0] for _ in range(5)]
    assert 3 < during.count(529) < 27 and after == [200] * 5


def test_control_is_not_traffic(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    def body(asks_first: bool) -> bytes:
        with running(seed=6) as sim:
            if asks_first:
                send(sim, "/simulator/faults")
                send(sim, "/simulator/books")
            assert sim.requests == []
            return send(sim, body=ask)[2]

    assert body(False) == body(True)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"fault": "flood"}, "unknown fault 'flood'"),
        ({"fault": "reset", "share": 2}, "between 0 and 1"),
        ({"fault": "reset", "count": 0}, "at least 1"),
        ({"fault": "reset", "when": "now"}, "when"),
        ({}, "fault"),
    ],
)
def test_what_cannot_be_asked_is_named(
    sim: Running, send: Callable[..., Got], asked: dict[str, Any], fault: str
) -> None:
    status, _, body = send(sim, "/simulator/faults", asked)
    assert status == 400 and fault in json.loads(body)["error"]["message"]


def test_the_kinds_are_listed_and_rules_can_be_cleared(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    with running() as sim:
        send(sim, "/simulator/faults", {"fault": "error_500", "share": 1.0, "for_s": 999})
        listed = json.loads(send(sim, "/simulator/faults")[2])
        assert {kind["name"] for kind in listed["kinds"]} >= {"overloaded", "slicer"} and len(listed["rules"]) == 1
        assert send(sim, body=ask)[0] == 500
        assert json.loads(send(sim, "/simulator/faults", method="DELETE")[2]) == {"rules": []}
        assert send(sim, body=ask)[0] == 200


def test_the_books_tell_what_was_served(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    with running() as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        message = client.messages.create(**ask)
        send(sim, body={**ask, "model": "none"})
        told = json.loads(send(sim, "/simulator/books")[2])
    first, second = told["entries"]
    assert first["output_tokens"] == message.usage.output_tokens and first["cost_nano"] > 0
    assert first["cost_nano"] == message.usage.input_tokens * 3_000 + message.usage.output_tokens * 15_000
    assert second["status"] == 404 and second["error_type"] == "not_found_error" and second["cost_nano"] == 0
    assert told["totals"]["cost_nano"] == first["cost_nano"]


def test_other_machines_need_the_key() -> None:
    simulator = Simulator(control_key="secret-of-the-simulator")

    def status(client: str, **headers: str) -> int:
        served = Served("GET", "/simulator/faults", {n.replace("_", "-"): v for n, v in headers.items()}, b"")
        served.client = client
        return simulator.exchange(served)[0].status

    assert status("127.0.0.1") == 200 and status("::1") == 200
    assert status("192.0.2.7") == 403 and status("192.0.2.7", x_simulator_key="guess") == 403
    assert status("192.0.2.7", x_simulator_key="secret-of-the-simulator") == 200


def test_the_command_line_sets_faults_off_and_shows_the_books(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    with running() as sim:
        set_off = command("simulator", "trigger", "overloaded", "--share", "1", "--for", "60s", "--url", sim.url)
        assert (set_off.returncode, set_off.stderr) == (0, "") and "1 rule" in set_off.stdout
        assert send(sim, body=ask)[0] == 529
        assert command("simulator", "clear", "--url", sim.url).returncode == 0
        assert send(sim, body=ask)[0] == 200
        books = command("simulator", "books", "--json", "--url", sim.url)
        assert [entry["status"] for entry in json.loads(books.stdout)["entries"]] == [529, 200]
        wrong = command("simulator", "trigger", "flood", "--url", sim.url)
        assert wrong.returncode == 2 and "unknown fault" in wrong.stderr and wrong.stderr.count("\n") == 1
    gone = command("simulator", "books", "--url", sim.url)
    assert gone.returncode == 1 and gone.stderr.startswith("penstock: No simulator answers at ")


def test_the_command_line_lists_every_fault() -> None:
    listed = json.loads(command("simulator", "faults", "--json").stdout)
    assert len(listed) > 35 and all(one["says"] for one in listed)
