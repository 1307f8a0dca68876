"""A local Claude API: deterministic, seeded, with faults on demand."""

from __future__ import annotations

from .api import Served
from .app import Options, Simulator
from .deliver import Pace
from .faults import NAMES, Fault, Faults
from .replay import Recorded
from .server import Running, running, serve

FAULT_NAMES = NAMES

__all__ = [
    "FAULT_NAMES",
    "Fault",
    "Faults",
    "Options",
    "Pace",
    "Recorded",
    "Running",
    "Served",
    "Simulator",
    "running",
    "serve",
]
