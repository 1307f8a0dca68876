"""Choices through both faces: the same arms, rows and copies; and copies that are under way when a process ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import pytest

import penstock
from gateways import environment, gateway
from penstock.call import Tags
from penstock.choosing.splits import Split
from penstock.config.load import load
from penstock.record import Record
from penstock.simulator import running
from penstock.stores.reading import LedgerReader
from script import ANSWER, HELLO, a_call

CONFIG = """
[gateway]
grace_s = {grace_s}
[features.chat]
quality = "balanced"
[[features.chat.routes]]
when = {{ tokens_over = 2000 }}
model = "claude-opus-5"
[features.chat.split]
arms = [{{ name = "b", share_percent = 50, model = "claude-haiku-4-5" }}]
[features.chat.shadow]
quality = "top"
share_percent = {share}
concurrency_max = 20
"""
ASK: dict[str, Any] = {**HELLO, "model": "feature:chat"}
LONG: dict[str, Any] = {**ASK, "messages": [{"role": "user", "content": "river " * 3000}]}
USERS = [f"u{number}" for number in range(8)]


def through_the_gateway(url: str, key: str, config: Path, data: Path) -> None:
    with gateway(url, data=data, config=config.read_text(), ANTHROPIC_API_KEY=key) as process:
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
        for user in USERS:
            client.messages.create(**ASK, extra_headers={"x-penstock-user": user})
        client.messages.create(**LONG)
        assert process.stop() == 0


def in_process(url: str, key: str, config: Path, data: Path) -> None:
    with penstock.wrap(anthropic.Anthropic(base_url=url, api_key=key), config=config, data=data) as client:
        for user in USERS:
            with penstock.tags(user=user):
                client.messages.create(**ASK)
        client.messages.create(**LONG)


def on_a_loop(url: str, key: str, config: Path, data: Path) -> None:
    async def main() -> None:
        bare = anthropic.AsyncAnthropic(base_url=url, api_key=key)
        async with penstock.wrap(bare, config=config, data=data) as client:
            for user in USERS:
                with penstock.tags(user=user):
                    async with client.messages.stream(**ASK) as stream:
                        await stream.get_final_message()
            await client.messages.create(**LONG)

    asyncio.run(main())


def records(data: Path, count: int) -> list[Record]:
    ends = time.monotonic() + 10
    while True:
        with LedgerReader(data) as ledger:
            found = list(ledger.calls())[::-1]
        if len(found) >= count or time.monotonic() > ends:
            return found
        time.sleep(0.05)


@pytest.mark.parametrize("face", [through_the_gateway, in_process, on_a_loop])
def test_every_face_chooses_alike(face: Any, tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(CONFIG.format(grace_s=10, share=100))
    with running(seed=1, accept_any=True) as sim:
        face(sim.url, sim.key, config, tmp_path / "data")
        asked = [json.loads(request.body)["model"] for request in sim.requests]
        cost = sum(entry.cost_nano for entry in sim.books)
    rows = records(tmp_path / "data", 18)
    loaded = load(config, environ={})
    split = Split("chat", loaded.features["chat"].split, loaded.quality)
    copies = [row for row in rows if row.arm == "shadow:claude-opus-5-5"]
    assert len(rows) == 18 and len(copies) == 9 and asked.count("claude-opus-5-5") == 9
    assert {(row.user, row.key_id, row.feature, row.ending) for row in copies} == {(None, None, "chat", "complete")}
    for row in rows:
        if row.user is not None:
            arm = split.arm(a_call(tags=Tags(user=row.user)))
            assert row.arm == split.label(arm)
            assert row.model_asked == ("claude-haiku-4-5" if arm else "claude-sonnet-5-5")
    (long,) = [row for row in rows if row.arm is None]
    assert long.model_asked == "claude-opus-5"
    assert sum(row.cost_nano or 0 for row in rows) == cost, "the ledger agrees with the upstream's books"


# --- the end of a process ----------------------------------------------------------------------------------------


class Slow(BaseHTTPRequestHandler):
    """Answers at once, but for copies."""

    protocol_version = "HTTP/1.1"
    wait_s = 1.0

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if b"claude-opus-5-5" in body:
            time.sleep(self.wait_s)
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("grace_s", "ending"), [(10, "complete"), (0.2, "abandoned")])
def test_a_gateway_that_ends_lets_copies_end_within_the_grace(
    slow: str, tmp_path: Path, grace_s: float, ending: str
) -> None:
    config = CONFIG.format(grace_s=grace_s, share=100)
    with gateway(slow, data=tmp_path / "data", config=config, ANTHROPIC_API_KEY="k") as process:
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0)
        began = time.monotonic()
        client.messages.create(**ASK)
        assert time.monotonic() - began < Slow.wait_s, "the caller does not wait for it"
        time.sleep(0.1)
        assert process.stop() == 0
        assert (time.monotonic() - began > Slow.wait_s) is (ending == "complete")
    rows = {row.arm or "": row for row in records(tmp_path / "data", 2)}
    assert rows["shadow:claude-opus-5-5"].ending == ending


PROGRAM = """
import sys, anthropic, penstock
client = penstock.wrap(anthropic.Anthropic(base_url=sys.argv[1], api_key="k"), config=sys.argv[2], data=sys.argv[3])
client.messages.create(model="feature:chat", max_tokens=8, messages=[{"role": "user", "content": "Hello"}])
"""


def test_a_program_that_ends_waits_for_its_copies(slow: str, tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(CONFIG.format(grace_s=10, share=100))
    words = [sys.executable, "-c", PROGRAM, slow, str(config), str(tmp_path / "data")]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    rows = {row.arm or "": row for row in records(tmp_path / "data", 2)}
    assert rows["shadow:claude-opus-5-5"].ending == "complete"
