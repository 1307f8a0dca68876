"""What may be nowhere is nowhere: with everything on that writes or shows, keys, prompts and names are looked for.

A key: nowhere at all. What was said: in the bodies kept, scrubbed, and on the page of that call. A user who is called
by an e-mail address: in the ledger and on pages, and in no log, metric or span.
"""

from __future__ import annotations

import contextlib
import html
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx2
import pytest

from gateways import Process, command, gateway
from penstock.dashboard.app import PAGES
from penstock.simulator import running
from penstock.stores.bodies import find
from traffic import Seen, made

_FILL = "Zq7" * 40
UPSTREAM_KEY = "sk-ant-" + "api03-" + _FILL[:93] + "AA"
PASTED_KEY = "AKIA" + "IOSFODNN7CANARY2"
SAID = "the heron of Tuesday counts violet anchors"
WHO = "ann.canary@example.com"
LOOKED_AT = 400

CONFIG = """
[resilience]
tries_max = 1
[log]
level = "debug"
calls = "file:calls.jsonl"
[metrics]
enabled = true
[traces]
endpoint = "COLLECTOR"
[records.bodies]
percent = 100
[[budgets]]
per = ["user"]
period = "day"
plan_usd = "1000"
[upstreams.anthropic]
kind = "compatible"
url = "URL"
keys = ["env:UPSTREAM_CANARY"]
"""


@contextlib.contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A place that takes what is posted to it, as it is."""
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.path.encode() + repr(self.headers.items()).encode())
            taken.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", taken
    server.shutdown()


def say(process: Process) -> list[str]:
    """Calls that end in different ways; their ids."""
    said = f"{SAID}, key {PASTED_KEY}, {process.key}"
    body = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": said}]}
    head = {"x-api-key": process.key, "anthropic-version": "2023-06-01", "x-penstock-user": WHO}
    ids = []
    for more, fault in (({}, None), ({"stream": True}, None), ({}, "error_500"), ({"system": said}, "overloaded")):
        headers = head if fault is None else {**head, "x-simulator-fault": fault}
        answer = httpx2.post(f"{process.url}/v1/messages", json={**body, **more}, headers=headers, timeout=20)
        ids.append(answer.headers["x-penstock-call-id"])
    httpx2.post(f"{process.url}/v1/messages", json=body, headers={**head, "x-api-key": UPSTREAM_KEY})
    return ids


def walked(session: httpx2.Client) -> dict[str, bytes]:
    """Every page and whatever they link to, exports among it, by address."""
    queries = ("", "?by=user", "?format=csv", "?format=json")
    left = [f"/penstock/{path}{query}" for path, _ in PAGES for query in queries]
    found: dict[str, bytes] = {}
    while left and len(found) < LOOKED_AT:
        address = left.pop(0)
        if address in found:
            continue
        with session.stream("GET", address) as answer:
            assert answer.status_code < 400, address
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                found[address] = next(answer.iter_bytes(), b"")
                continue
            found[address] = answer.read()
        for link in re.findall(r'(?:href|src|data-live)="([^"#]+)"', found[address].decode("utf-8", "replace")):
            to = urlsplit(urljoin(str(session.base_url) + address, html.unescape(link)))
            if to.netloc == session.base_url.netloc.decode() and "/static/" not in to.path and "logout" not in to.path:
                left.append(to.path + (f"?{to.query}" if to.query else ""))
    return found


def holds(content: bytes, *canaries: str) -> list[str]:
    return [one for one in canaries if one.encode() in content or one[12:44].encode() in content]


@pytest.mark.weighty
def test_keys_are_nowhere_and_what_was_said_only_where_it_is_kept(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(seed=1, accept_any=True, allow_fault_headers=True) as simulator, collector() as (url, spans):
        config = CONFIG.replace("COLLECTOR", url).replace("URL", simulator.url)
        with gateway(data=data, config=config, UPSTREAM_CANARY=UPSTREAM_KEY) as process:
            calls = say(process)
            process.records(len(calls) + 1)
            seen = Seen(process, made(data, "admin"), made(data, "view"))
            with seen.session() as session:
                session.post("/penstock/login", data={"key": UPSTREAM_KEY})
                pages = walked(session)
                metrics = session.get("/metrics", headers={"x-api-key": seen.admin})
                cookies = "; ".join(f"{one.name}={one.value}" for one in session.cookies.jar).encode()
            assert metrics.status_code == 200 and b"penstock_calls_total" in metrics.content
            log = process.log.read_bytes().replace(process.key.encode(), b"", 4)  # as the welcome shows it, for pasting
            keys = (UPSTREAM_KEY, PASTED_KEY, process.key, seen.admin, seen.viewer)
    files = {path.name: path.read_bytes() for path in data.rglob("*") if path.is_file() and path.name != "first.key"}
    told = command("export", "-", "--format", "json", "--data", str(data)).stdout.encode()

    assert {"penstock.db", "bodies.db", "calls.jsonl"} <= set(files)
    assert len(pages) > 20 and any("/calls/" in address for address in pages)
    assert spans and SAID not in told.decode() and calls[0] in told.decode()
    sent = b"".join(spans)
    everything = {**pages, **files, "log": log, "metrics": metrics.content, "spans": sent, "export": told, "-": cookies}
    assert not {name: found for name, content in everything.items() if (found := holds(content, *keys))}

    kept = [bodies for call in calls if (bodies := find(data, call)) is not None]
    assert kept and all(SAID in repr(bodies) for bodies in kept), "scrubbed, and otherwise as it was"
    assert not [bodies for bodies in kept if holds(repr(bodies).encode(), *keys, WHO)]
    their_pages = {name for name in pages if re.search(r"/calls/call_", name)}
    elsewhere = {name: content for name, content in everything.items() if name not in their_pages}
    assert not [name for name, content in elsewhere.items() if holds(content, SAID) and name != "bodies.db"]
    assert not [name for name in ("calls.jsonl", "log", "metrics", "spans") if WHO.encode() in everything[name]]
