"""The stores' tests share their entries and a data folder of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from entries import StillClock

from penstock.stores.sqlite import SqliteLedger


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def ledger(data: Path, clock: StillClock) -> Iterator[SqliteLedger]:
    store = SqliteLedger(data, clock)
    yield store
    store.close_store()
