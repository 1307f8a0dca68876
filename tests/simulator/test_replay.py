"""Recorded answers come out as they went in."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from penstock.simulator import Recorded, Running, running

Got = tuple[int, dict[str, str], bytes]
STREAM = b'event: ping\ndata: {"type": "ping"}\n\nevent: odd\ndata: {"caf\xc3\xa9":1}   \n\n'


def chunks(sim: Running, body: bytes) -> tuple[bytes, list[bytes]]:
    """Head and chunks of an answer, as they are on the wire."""
    address = urlsplit(sim.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as link:
        head = f"POST /v1/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        link.sendall(head.encode() + body)
        heard = b""
        while piece := link.recv(65536):
            heard += piece
    head_heard, _, rest = heard.partition(b"\r\n\r\n")
    made = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if length:
            made.append(rest[:length])
        rest = rest[length + 2 :]
    return head_heard, made


def test_pieces_and_headers_are_the_recorded_ones() -> None:
    headers = (("Content-Type", "text/event-stream; charset=utf-8"), ("x-odd", "a"), ("x-odd", "b"))
    framing = (("transfer-encoding", "chunked"), ("connection", "keep-alive"))
    cuts = (3, 17, 30)
    with running(replay=[Recorded(200, headers + framing, STREAM, cuts)]) as sim:
        head, made = chunks(sim, b"{}")
    assert made == [STREAM[:3], STREAM[3:20], STREAM[20:50], STREAM[50:]]
    lines = head.decode().lower().split("\r\n")
    wanted = ["content-type: text/event-stream; charset=utf-8", "x-odd: a", "x-odd: b"]
    assert lines[1:] == [*wanted, "connection: close", "transfer-encoding: chunked"]


def test_answers_are_served_in_order_then_the_model_speaks(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    recorded = [Recorded(529, (("content-length", "3"),), b"one"), Recorded(200, (), b"two")]
    with running(replay=recorded) as sim:
        first, second, third = (send(sim, body=ask) for _ in range(3))
    assert (first[0], first[1]["content-length"], first[2]) == (529, "3", b"one")
    assert (second[0], second[2]) == (200, b"two")
    assert json.loads(third[2])["type"] == "message"


def test_a_matching_request_gets_its_own_answer(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    spaced = json.dumps(ask, indent=2).encode()
    recorded = [Recorded(200, (), b"other"), Recorded(200, (), b"mine", request=spaced)]
    with running(replay=recorded) as sim:
        assert send(sim, body=ask)[2] == b"mine"
        assert send(sim, body=ask)[2] == b"other"


def test_served_requests_are_remembered_as_they_came(send: Callable[..., Got], ask: dict[str, Any]) -> None:
    with running(keep_requests=2) as sim:
        for number in range(3):
            send(sim, f"/v1/messages?beta={number}", ask, x_trace="t")
        served = sim.requests
    assert [one.path for one in served] == ["/v1/messages?beta=1", "/v1/messages?beta=2"]
    assert json.loads(served[0].body) == ask and served[0].headers["x-trace"] == "t"
    assert (served[0].method, served[0].status) == ("POST", 200)
    assert served[0].ending == "whole"
