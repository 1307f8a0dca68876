"""A data folder with pages over it, whose time stands still: what tests of the pages begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
from starlette.testclient import TestClient

import script
from penstock.config.load import load
from penstock.faces.command.pages import opened
from penstock.ports import Key
from penstock.ports.blocking import BlockingClock, SystemChance
from penstock.record import Record
from penstock.stores.folding import fold
from penstock.stores.keys import KeyStore
from penstock.stores.schema import connect
from penstock.stores.sums import roll

#: 2026-11-20 12:30 UTC, in the middle of an hour.
NOW_US = 1_795_177_800_000_000
HOST = "http://testserver"


class Still(BlockingClock):
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.us = NOW_US

    def wall_us(self) -> int:  # type: ignore[override]
        return self.us


class Place:
    """The pages of a data folder, under a config that tests may change: `settings` are keys by full name."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data, self.clock, self.chance = data, Still(), SystemChance()
        self.config = load(environ={}, overrides={"data": data, **settings})
        ports = replace(script.ports(), clock=self.clock, salt=b"the salt of tests")
        self.pages = opened(lambda: self.config, ports, folder=data)
        self.keys = KeyStore(data, self.clock)

    def client(self, *, host: str = "127.0.0.1", base: str = HOST) -> TestClient:
        """A browser that has been nowhere yet, at an address of its own."""
        return TestClient(self.pages.app(), base_url=base, client=(host, 50_000), follow_redirects=False)

    def key(self, *scopes: str, **more: Any) -> tuple[Key, str]:
        made, secret = self.keys.create(
            "tester", chance=self.chance, token=self.chance.token, scopes=scopes or ("admin",), **more
        )
        return made, secret.reveal()

    def visitor(self, *scopes: str, **more: Any) -> TestClient:
        """A browser that has logged in."""
        client = self.client(**more)
        assert log_in(client, self.key(*scopes)[1]).status_code == 303
        return client

    def fill(self, records: Iterable[Record], *, is_summed: bool = True) -> list[Record]:
        """Put records into the ledger, and sum them."""
        rows = list(records)
        connection = connect(self.data)
        try:
            fold(connection, rows)
            while is_summed and roll(connection):
                pass
        finally:
            connection.close()
        return rows


def log_in(client: TestClient, key: str, to: str = "") -> httpx2.Response:
    return client.post(f"/penstock/login{to}", data={"key": key})


def a_record(number: int = 0, **more: Any) -> Record:
    """A message that was answered a while ago."""
    usual: dict[str, Any] = {
        "call_id": f"call_{number:026x}",
        "began_at_us": NOW_US - 3_600_000_000,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "upstream": "anthropic",
        "environment": "dev",
        "feature": "chat",
        "model_asked": "claude-haiku-4-5",
        "model_served": "claude-haiku-4-5",
        "status": 200,
        "ending": "complete",
        "stop_reason": "end_turn",
        "input_tokens": 100,
        "output_tokens": 20,
        "cost_nano": 200_000,
        "cost_basis": "exact",
        "attempts": 1,
        "total_us": 1_200_000,
        "upstream_us": 1_150_000,
        "first_token_us": 300_000,
        "trail": b"[]",
    }
    return Record(**{**usual, **more})


#: Makes a place; what it is told are settings of the config.
Placed = Callable[..., Place]
