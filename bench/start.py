"""How long the gateway takes from its command to its first accepted call."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from .machine import Unmeasurable, child, cores, python
from .report import Plan, Row, Section, Spread, Target
from .subjects import await_file, environment, serve_command

_ABOUT = (
    "From starting the process to the ready file, which is there once the gateway accepts calls: with a data folder "
    "that was used before, and with none, so that key and database are made first. Beside it, the bare interpreter."
)


def measure(plan: Plan) -> Section:
    section = Section("start", "Gateway: time to start", _ABOUT, ("Penstock", "python -c pass"))
    times = 3 if plan.is_quick else 15
    interpreter = Spread.of([_interpreter_s() for _ in range(times)])
    again: Spread | None = None
    fresh: Spread | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            _start_s(Path(folder, "data"))  # makes the key and the database, and fills the page cache
            again = Spread.of([_start_s(Path(folder, "data")) for _ in range(times)])
            fresh = Spread.of([_start_s(Path(folder, f"data-{number}")) for number in range(times)])
    except Unmeasurable as reason:
        section.notes.append(f"Penstock is not measured: {reason}.")
    section.rows += [
        Row("ready, data folder used before", "s", (again, interpreter), Target(0.6)),
        Row("ready, no data folder yet", "s", (fresh, None)),
    ]
    return section


def _start_s(data: Path) -> float:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        ready = Path(folder, "ready.json")
        # port 9 (discard) has no listener: starting must not need the upstream
        argv = serve_command(9, data, ready)
        began_s = time.monotonic()
        with child(argv, cores()[0], env=environment()) as process:
            return await_file(process, ready) - began_s


def _interpreter_s() -> float:
    began_s = time.monotonic()
    with child(python("-c", "pass"), cores()[0]) as process:
        process.output(10)
        return time.monotonic() - began_s
