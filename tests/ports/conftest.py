"""The upstream suite runs over every backend."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from backends import BACKENDS, Backend


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.name)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found


@pytest.fixture(params=[each for each in BACKENDS if each.is_loop], ids=lambda backend: backend.name)
def loop_backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found
