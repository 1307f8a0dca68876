"""One simulator and one gateway before it, shared by the tests that leave both as they found them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gateways import ONCE, Process, gateway
from penstock.simulator import running
from penstock.simulator.server import Running


@dataclass
class Pair:
    """A gateway and the simulator behind it."""

    gateway: Process
    simulator: Running


@pytest.fixture(scope="session")
def pair() -> Iterator[Pair]:
    with running(seed=1, allow_fault_headers=True) as simulator:
        with gateway(simulator.url, config=ONCE, ANTHROPIC_API_KEY=simulator.key) as process:
            yield Pair(process, simulator)
