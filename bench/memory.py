"""What the gateway keeps in memory: at rest, and after many calls."""

from __future__ import annotations

import time

from . import traffic
from .machine import Unmeasurable, rss_mib
from .report import Plan, Row, Section, Spread, Target
from .subjects import Subject, nginx, penstock, stub
from .wrk import load

_ABOUT = "Resident memory of the process: once it accepts calls, after as many calls as stated, and its peak."


def measure(plan: Plan) -> Section:
    section = Section("memory", "Gateway: memory", _ABOUT, ("Penstock", "nginx"))
    calls = 5_000 if plan.is_quick else 100_000
    found: dict[str, tuple[float, float, float]] = {}
    with stub() as upstream:
        for start in (penstock, nginx):
            try:
                with start(upstream.port) as subject:
                    found[subject.name] = _memory(subject, calls)
            except Unmeasurable as reason:
                section.notes.append(f"{start.__name__} is not measured: {reason}.")
    for at, (what, target) in enumerate(
        [("at rest", Target(60)), (f"after {calls:,} calls", None), ("at its peak", None)]
    ):
        figures = tuple(Spread.of([found[name][at]]) if name in found else None for name in section.subjects)
        section.rows.append(Row(what, "MiB", figures, target))
    return section


def _memory(subject: Subject, calls: int) -> tuple[float, float, float]:
    assert subject.pid is not None
    time.sleep(1)
    rest = rss_mib(subject.pid)
    answered = 0
    while answered < calls:
        answered += load(subject, traffic.request_body(), 2).requests
    time.sleep(1)  # let the ledger's writer catch up
    return rest, rss_mib(subject.pid), rss_mib(subject.pid, "VmHWM")
