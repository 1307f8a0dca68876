"""What the tests of alerts share: a place that messages are posted to, and rows of a ledger."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from penstock.record import Record


@dataclass
class Posted:
    """One message as it arrived: the path, the JSON, and what `now` said then."""

    path: str
    body: dict[str, Any]
    at_us: int


@dataclass
class Desk:
    """A real HTTP server that keeps what is posted to it; `status` may say that it fails."""

    url: str
    posted: list[Posted] = field(default_factory=list)
    status: Callable[[], int] = lambda: 200
    now: Callable[[], int] = lambda: 0

    def titles(self) -> list[str]:
        return [one.body["title"].partition("): ")[2] for one in self.posted]


@contextlib.contextmanager
def desk() -> Iterator[Desk]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status = made.status()
            if status == 200:
                made.posted.append(Posted(self.path, body, made.now()))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Desk(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def row(number: int, began_at_us: int, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "call_id": f"call_{number:0>26}",
        "began_at_us": began_at_us,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "upstream": "anthropic",
        "model_asked": "claude-sonnet-4-6",
        "status": 200,
        "input_tokens": 1_000,
        "cache_read_tokens": 9_000,
        "output_tokens": 100,
        "cost_nano": 10_000_000,
        "cost_basis": "exact",
        "attempts": 1,
        "total_us": 1_000_000,
    }
    return Record(**{**given, **fields})
