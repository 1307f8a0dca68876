from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

import penstock
from penstock.config.schema import Config
from penstock.faces.client.compose import _compositions
from penstock.simulator import Running, running

sys.path.insert(0, str(Path(__file__).parent))  # for sdk_session, which is a program too

Rows = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def sim() -> Iterator[Running]:
    with running(seed=7, allow_fault_headers=True, batch_s=0.05) as simulator:
        yield simulator


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data=tmp_path / "data")


@pytest.fixture
def rows(config: Config) -> Rows:
    """The ledger's rows, in the order the calls began."""

    def read() -> list[dict[str, Any]]:
        for known in _compositions:
            if known.config.data == config.data:
                known.ledger.flush()  # type: ignore[attr-defined]
        with sqlite3.connect(config.data / "penstock.db") as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute("select * from calls order by began_at_us, call_id")]

    return read


@pytest.fixture
def bare(sim: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0, timeout=20) as made:
        yield made


@pytest.fixture
def client(bare: anthropic.Anthropic, config: Config) -> anthropic.Anthropic:
    return penstock.wrap(bare, config=config)


@pytest.fixture
def loop_client(sim: Running, config: Config) -> anthropic.AsyncAnthropic:
    bare = anthropic.AsyncAnthropic(base_url=sim.url, api_key=sim.key, max_retries=0, timeout=20)
    return penstock.wrap(bare, config=config)
