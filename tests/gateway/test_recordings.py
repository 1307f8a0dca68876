"""Every recorded exchange through a real gateway: what comes out is what went in, byte for byte.

The recordings lie beside the repository, not in it.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from gateways import ONCE, Process, gateway
from penstock.wire.messages import endpoint
from penstock.wire.reading import reading

#: Header fields of one hop or of the framing, made anew by each; `content-encoding` because bodies are kept decoded.
ONE_HOP = {"connection", "content-length", "transfer-encoding", "content-encoding", "keep-alive", "date", "trailer"}


class Player(BaseHTTPRequestHandler):
    """An upstream that answers with the recording whose number the request names, in the pieces it came in."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    exchanges: ClassVar[list[dict[str, Any]]] = []

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        response = self.exchanges[int(self.headers["x-recording"])]["response"]
        body = body_of(response)
        self.send_response_only(response["status"])
        for name, value in fields_of(response):
            self.send_header(name, value)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        at = 0
        for length in [*response.get("chunks", []), len(body)]:
            piece, at = body[at : at + length], at + length
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: Any) -> None: ...


def body_of(response: dict[str, Any]) -> bytes:
    body = response["body"]
    text: str = body if isinstance(body, str) else json.dumps(body)
    if response["streamed"] and text.startswith('{"type":"text","content":'):
        text = json.loads(text)["content"]  # one recorder kept some streams as a string within an object
    return text.encode()


def fields_of(response: dict[str, Any]) -> list[tuple[str, str]]:
    """The recorded fields as they can be sent; where none were kept, the type of the body."""
    fields = [(n, v) for n, v in (response.get("headers") or {}).items() if n not in ONE_HOP and isinstance(v, str)]
    if not any(name == "content-type" for name, _ in fields):
        fields.append(("content-type", "text/event-stream" if response["streamed"] else "application/json"))
    return fields


@pytest.fixture(scope="module")
def exchanges(recordings: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(recordings.rglob("*.json"))]
    return [one for one in found if one["response"]["body"] is not None and " /v1/" in one["endpoint"]]


@pytest.fixture(scope="module")
def process(exchanges: list[dict[str, Any]]) -> Iterator[Process]:
    Player.exchanges = exchanges
    server = ThreadingHTTPServer(("127.0.0.1", 0), Player)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with gateway(f"http://127.0.0.1:{server.server_port}", config=ONCE) as process:
        yield process
    server.shutdown()


def ask(connection: http.client.HTTPConnection, process: Process, number: int, exchange: dict[str, Any]) -> Any:
    method, _, path = exchange["endpoint"].partition(" ")
    body = b'{"model": "m", "max_tokens": 1, "messages": []}' if method == "POST" else None
    path = path.replace("{id}", "id_1")
    connection.request(method, path, body, {"x-api-key": process.key, "x-recording": str(number)})
    answer = connection.getresponse()
    return answer, answer.read()


@pytest.mark.weighty
def test_every_recording_passes_byte_for_byte(process: Process, exchanges: list[dict[str, Any]]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", int(process.url.rpartition(":")[2]), timeout=30)
    counts: Counter[str] = Counter()
    faults = []
    for number, exchange in enumerate(exchanges):
        response, source = exchange["response"], exchange["source"]
        expected = body_of(response)
        answer, body = ask(connection, process, number, exchange)
        kept = {name.lower(): value for name, value in answer.getheaders()}
        lost = [name for name, value in fields_of(response) if kept.get(name.lower()) != value.strip()]
        if answer.status != response["status"] or lost:
            faults.append(f"{source}: status {answer.status}, fields lost {lost}")
        if body == expected:
            counts["identical"] += 1
        elif body == expected.replace(
            b'"results_url":"https://api.anthropic.com', b'"results_url":"' + process.url.encode()
        ):
            counts["a batch whose results_url leads here"] += 1
        elif body.startswith(expected) and b"message_stop" not in expected and body.count(b"event: error\n") == 1:
            counts["ended early in the recording, and said so"] += 1
        else:
            faults.append(f"{source}: the body differs")
    assert not faults, "\n".join(faults[:20])
    assert counts["identical"] > 2_000
    # Two recordings stop short: streams of the retired `/v1/complete`, filed under messages.
    assert counts["a batch whose results_url leads here"] <= 5, counts
    assert counts["ended early in the recording, and said so"] <= 5, counts
    records = process.records(len(exchanges), wait_s=30)
    assert len(records) == len(exchanges)
    assert_usage_is_as_read(exchanges, {record.call_id: record for record in records}, records)


def assert_usage_is_as_read(exchanges: list[dict[str, Any]], by_id: dict[str, Any], records: list[Any]) -> None:
    """The ledger holds what a reading of the bytes themselves finds. Calls were made in order, one at a time."""
    assert len(by_id) == len(records), "no row twice"
    for exchange, record in zip(exchanges, sorted(records, key=lambda one: one.began_at_us), strict=True):
        response = exchange["response"]
        method, _, path = exchange["endpoint"].partition(" ")
        kinds = [(name.lower().encode(), value.encode()) for name, value in fields_of(response)]
        own = reading(endpoint(method, path), response["status"], kinds)
        own.feed(body_of(response))
        own.finish()
        usage = own.answer.usage
        assert (record.status, record.stop_reason) == (response["status"], own.answer.stop_reason), exchange["source"]
        if usage is not None and record.ending == "complete":
            found = (record.input_tokens, record.cache_read_tokens, record.output_tokens)
            assert found == (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens), exchange["source"]
