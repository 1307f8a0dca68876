"""A local Claude API: deterministic, seeded, with faults on demand."""

from __future__ import annotations

from .accounts import ApiKey
from .api import Served
from .app import Options, Simulator
from .books import Books, Entry
from .cassette import read_cassette
from .faults import NAMES, Fault, Faults
from .limits import Limits
from .pace import Pace
from .replay import Recorded
from .reports import Drift
from .schedule import Rule, read_rule
from .script import Cue
from .server import Running, running, serve
from .setup import read_setup
from .spend import Caps

FAULT_NAMES = NAMES

__all__ = [
    "FAULT_NAMES",
    "ApiKey",
    "Books",
    "Caps",
    "Cue",
    "Drift",
    "Entry",
    "Fault",
    "Faults",
    "Limits",
    "Options",
    "Pace",
    "Recorded",
    "Rule",
    "Running",
    "Served",
    "Simulator",
    "read_cassette",
    "read_rule",
    "read_setup",
    "running",
    "serve",
]
