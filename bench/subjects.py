"""What is measured, and against what: Penstock, nginx as the floor, and the stub with nothing between."""

from __future__ import annotations

import http.client
import json
import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .machine import Child, Unmeasurable, child, cores, cpu_s, program, python
from .traffic import UPSTREAM_KEY, request_body, request_headers

_START_S = 15.0
_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; tcp_nodelay on; keepalive_requests 100000000;
  client_max_body_size 64m; client_body_buffer_size 1m;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  upstream stub {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://stub; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Subject:
    """Something that answers calls on 127.0.0.1. `pid` is None for the stub itself."""

    name: str
    port: int
    key: str
    pid: int | None

    def cpu_s(self) -> float:
        return cpu_s(self.pid) if self.pid is not None else 0.0


@contextmanager
def stub() -> Iterator[Subject]:
    """The stub in a process of its own, on the core of the load."""
    with child(python("-m", "bench.stub"), cores()[1]) as process:
        words = process.line()
        if not words.isdigit():
            raise Unmeasurable(f"the stub did not start: {process.last_words()}")
        yield Subject("stub alone", int(words), UPSTREAM_KEY, None)


@contextmanager
def nginx(upstream_port: int) -> Iterator[Subject]:
    """nginx as a reverse proxy, unbuffered, keeping its connections. Raises Unmeasurable."""
    where, port = program("nginx"), free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        config = Path(folder, "nginx.conf")
        config.write_text(_NGINX.format(folder=folder, port=port, upstream=upstream_port))
        with child([where, "-e", "stderr", "-p", folder, "-c", str(config)], cores()[0]) as process:
            await_accepting(process, port)
            yield Subject("nginx", port, UPSTREAM_KEY, process.pid)


@contextmanager
def penstock(upstream_port: int, *, is_probed: bool = True) -> Iterator[Subject]:
    """The gateway as users start it, with all its layers, keys and its SQLite ledger. Raises Unmeasurable.

    The probe is one JSON call, which a paced upstream, that only streams, cannot answer.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ready = Path(folder, "ready.json")
        argv = serve_command(upstream_port, Path(folder, "data"), ready)
        with child(argv, cores()[0], env=environment()) as process:
            await_file(process, ready)
            told = json.loads(ready.read_text())
            port = int(told["url"].rpartition(":")[2].strip("/"))
            subject = Subject("Penstock", port, told["key"], int(told["pid"]))
            if is_probed:
                _probe(subject)
            yield subject


def _probe(subject: Subject) -> None:
    """One call, which must be answered, recorded and priced: a gateway with less on is not the one to measure."""
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=10)
    connection.request("POST", "/v1/messages", request_body(), request_headers(subject.key))
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200 or not answer.headers["x-penstock-call-id"] or not answer.headers["x-penstock-cost-usd"]:
        raise Unmeasurable(
            f"the gateway answered the first call with {answer.status}, or without a cost: {body[:200]!r}"
        )


def serve_command(upstream_port: int, data: Path, ready: Path) -> list[str]:
    upstream = f"http://127.0.0.1:{upstream_port}"
    places = ["--upstream", upstream, "--data", str(data), "--ready-file", str(ready)]
    return python("-c", "from penstock.faces.command import main; main()", "serve", "--port", "0", *places)


def environment() -> Mapping[str, str]:
    """The environment without anything that would change what is measured."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("ANTHROPIC", "PENSTOCK"))}
    kept = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    return {**kept, "ANTHROPIC_API_KEY": UPSTREAM_KEY}


def await_file(process: Child, place: Path) -> float:
    """Wait for a file to be there and whole; the moment it was, by the monotonic clock. Raises Unmeasurable."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        if place.exists() and place.read_text().rstrip().endswith("}"):
            return time.monotonic()
        if process.process.poll() is not None:
            break
        time.sleep(0.001)
    raise Unmeasurable(_why_not("penstock serve", process))


def await_accepting(process: Child, port: int) -> float:
    """Wait for a port to accept; the moment it did, by the monotonic clock. Raises Unmeasurable."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return time.monotonic()
        time.sleep(0.001)
    raise Unmeasurable(_why_not(process.name, process))


def _why_not(name: str, process: Child) -> str:
    code = process.process.poll()
    if code is None:
        return f"{name} was not ready within {_START_S:.0f} s"
    return f"{name} ended with code {code}: {process.last_words()}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def all_subjects() -> Iterator[tuple[list[Subject], list[str]]]:
    """Penstock, nginx and the stub they both call, in this order; and why one is missing, where one is."""
    missing: list[str] = []
    with ExitStack() as exits:
        upstream = exits.enter_context(stub())
        found = []
        for name, start in (("Penstock", penstock), ("nginx", nginx)):
            try:
                found.append(exits.enter_context(start(upstream.port)))
            except Unmeasurable as reason:
                missing.append(f"{name} is not measured: {reason}.")
        yield [*found, upstream], missing
