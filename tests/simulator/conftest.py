from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import anthropic
import pytest

from penstock.simulator import Running, running

Got = tuple[int, dict[str, str], bytes]
MODEL = "claude-sonnet-4-6"


@pytest.fixture(scope="module")
def sim() -> Iterator[Running]:
    with running(seed=7, allow_fault_headers=True) as simulator:
        yield simulator


@pytest.fixture
def client(sim: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0, timeout=20) as made:
        yield made


@pytest.fixture
def ask() -> dict[str, Any]:
    """A plain question, as keyword arguments of `messages.create`."""
    return {"model": MODEL, "max_tokens": 300, "messages": [{"role": "user", "content": "Tell me of the river."}]}


@pytest.fixture
def send() -> Callable[..., Got]:
    """One plain HTTP request: status, headers, body. A usual header given as "" is left out."""

    def send_one(
        sim: Running, path: str = "/v1/messages", body: Any = None, method: str | None = None, **headers: str
    ) -> Got:
        usual = {"x-api-key": sim.key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        link = http.client.HTTPConnection(urlsplit(sim.url).netloc, timeout=20)
        try:
            sent = {name: value for name, value in {**usual, **given}.items() if value}
            link.request(method or ("GET" if body is None else "POST"), path, data, sent)
            answer = link.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            link.close()

    return send_one


@pytest.fixture
def events() -> Callable[[bytes], list[tuple[str, dict[str, Any]]]]:
    """Name and data of every event of a stream's body."""

    def read(body: bytes) -> list[tuple[str, dict[str, Any]]]:
        frames = [frame.split("\n") for frame in body.decode().split("\n\n") if frame]
        return [(name.removeprefix("event: "), json.loads(data.removeprefix("data: "))) for name, data in frames]

    return read
