"""What tests of the pages share: a data folder with pages over it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from place import Place, Placed


@pytest.fixture
def placed(tmp_path: Path) -> Placed:
    return lambda **settings: Place(tmp_path / "data", **settings)


@pytest.fixture
def place(placed: Placed) -> Place:
    return placed()
