"""The simulator as a process: ready, address, end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest

from penstock.simulator import Pace, running

CHILD = """
from penstock.simulator import serve
serve("127.0.0.1", 0, lambda sim: print(sim.url, sim.key, flush=True), seed=5)
print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_when_it_is_ready_and_ends_on_a_signal(number: signal.Signals) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        url, key = child.stdout.readline().split()
        with running(seed=5) as same:
            assert key == same.key
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5):
            child.send_signal(number)
            rest, errors = child.communicate(timeout=10)
    finally:
        child.kill()
    assert (rest, errors, child.returncode) == ("ended\n", "", 0)


def test_a_taken_port_is_an_error_of_the_system() -> None:
    with running() as sim:
        port = int(sim.url.rpartition(":")[2])
        with pytest.raises(OSError), running(port=port):
            raise AssertionError("the port was taken twice")


def test_a_caller_that_leaves_a_paced_stream_is_noticed() -> None:
    body = b'{"model":"claude-sonnet-4-6","max_tokens":99,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
    with running(pace=Pace(tokens_per_s=400)) as sim:
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-api-key: {sim.key}\r\nanthropic-version: 2023-06-01\r\n"
        with socket.create_connection(("127.0.0.1", int(sim.url.rpartition(":")[2])), timeout=5) as link:
            link.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert link.recv(100).startswith(b"HTTP/1.1 200")
        while not sim.requests[0].ending:
            time.sleep(0.005)
        assert sim.requests[0].ending == "caller gone"
