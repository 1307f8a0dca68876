"""Callers who hang up: the upstream is let go at once, and the call is settled once."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from gateways import Process, gateway
from penstock.simulator import Pace, running
from script import HELLO

#: Ten tokens a second: a stream that is still going when its caller leaves.
SLOW = {**HELLO, "stream": True, "max_tokens": 400, "messages": [{"role": "user", "content": "Write 200 words."}]}


def opened(process: Process, body: Any = SLOW) -> socket.socket:
    """A caller's connection with its request sent."""
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {process.key}\r\nanthropic-version: 2023-06-01\r\n"
        f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    caller = socket.create_connection(("127.0.0.1", int(process.url.rpartition(":")[2])))
    caller.sendall(head.encode() + content)
    return caller


def read_until(caller: socket.socket, mark: bytes) -> bytes:
    got = b""
    while mark not in got:
        piece = caller.recv(65536)
        assert piece, got
        got += piece
    return got


def eventually(is_true: Callable[[], bool], *, wait_s: float = 10.0) -> bool:
    ends = time.monotonic() + wait_s
    while time.monotonic() < ends:
        if is_true():
            return True
        time.sleep(0.02)
    return is_true()


@pytest.fixture(scope="module")
def slow() -> Any:
    with running(seed=2, pace=Pace(tokens_per_s=20.0)) as simulator:
        yield simulator


def test_a_stream_left_by_its_caller_is_let_go_upstream_and_settled_once(slow: Any) -> None:
    with gateway(slow.url, ANTHROPIC_API_KEY=slow.key) as process:
        caller = opened(process)
        read_until(caller, b"content_block_delta")
        caller.close()
        assert eventually(lambda: slow.requests[-1].ending == "caller gone"), "the upstream was not let go"
        (record,) = process.records(1)
        assert (record.ending, record.cost_basis) == ("abandoned", "estimated")
        assert record.cost_nano
        assert record.output_tokens >= 1
        assert process.stop() == 0
        assert [again.call_id for again in process.records()] == [record.call_id], "settled once"


def test_drained_instead_the_stream_is_read_to_its_end_for_the_exact_cost() -> None:
    config = '[transport]\non_hangup = "drain"\n'
    with running(seed=2, pace=Pace(tokens_per_s=400.0)) as simulator:
        with gateway(simulator.url, config=config, ANTHROPIC_API_KEY=simulator.key) as process:
            caller = opened(process)
            read_until(caller, b"content_block_delta")
            caller.close()
            (record,) = process.records(1)
            assert (record.ending, record.cost_basis) == ("complete", "exact")
            assert record.stop_reason in ("end_turn", "max_tokens")


def test_a_caller_who_leaves_before_the_answer_begins_is_recorded_too() -> None:
    with running(seed=2) as simulator:
        simulator.trigger("hang")
        with gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as process:
            caller = opened(process, HELLO)
            assert eventually(lambda: len(simulator.requests) == 1)
            caller.close()
            (record,) = process.records(1)
            assert (record.ending, record.cost_nano, record.cost_basis) == ("abandoned", None, "unknown")


def test_fifty_who_leave_at_once_leave_nothing_behind(slow: Any) -> None:
    with gateway(slow.url, ANTHROPIC_API_KEY=slow.key) as process:
        place = f"/proc/{process.child.pid}/fd"
        if not os.path.isdir(place):
            pytest.skip("open files cannot be counted on this system")
        before = len(os.listdir(place))
        callers = [opened(process) for _ in range(50)]
        for caller in callers:
            read_until(caller, b"message_start")
        for caller in callers:
            caller.close()
        records = process.records(50)
        assert [record.ending for record in records] == ["abandoned"] * 50
        # One journal and one database connection may have been opened since; sockets none.
        assert eventually(lambda: len(os.listdir(place)) <= before + 6), os.listdir(place)
