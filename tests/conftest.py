"""What all tests share: the two drivers, and where the shared recordings are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from script import DRIVERS, Drive

#: Real recorded traffic lies beside the project, and is not part of it.
SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(params=DRIVERS)
def drive(request: pytest.FixtureRequest) -> Drive:
    return DRIVERS[request.param]


@pytest.fixture(scope="session")
def recordings() -> Path:
    folder = SHARED / "recordings"
    if not folder.is_dir():
        pytest.skip("the recorded traffic is not on this machine")
    return folder
