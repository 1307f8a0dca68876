"""`python -m bench [NAME ...]`: run benches, print what they found, and write it into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from . import machine
from .machine import ROOT, Unmeasurable
from .report import Plan, Section, write_section

#: In the order of the page. Each is a module of this package.
BENCHES = (
    "gateway",
    "streams",
    "latency",
    "memory",
    "start",
    "ledger",
    "layers",
    "caching",
    "choosing",
    "context",
    "in_process",
    "simulator",
    "tokens",
    "estimator",
    "guards",
    "structure",
    "dashboard",
    "watching",
)

PAGE = ROOT / "docs" / "benchmarks.md"


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        if options.urgent:
            _hurry()
        os.sched_setaffinity(0, {machine.cores()[1]})
    except Unmeasurable as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that no child is left behind
    plan, sections = Plan(is_quick=options.quick, rows=20_000 if options.quick else options.rows), []
    status = 0
    for name in options.names or BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        about = machine.line() + (" Priority raised (--urgent)." if options.urgent else "")
        neighbours = machine.Neighbours()
        try:
            section = measure(name, plan)
        except Unmeasurable as reason:
            print(f"{name}: not measured: {reason}", file=sys.stderr)
            status = 1
            continue
        section.notes.append(f"Other processes used {neighbours.cores():.2f} cores meanwhile.")
        sections.append(section)
        text = section.markdown(datetime.now(UTC).date().isoformat(), about)
        if not options.json:
            print(f"{text}\n", flush=True)
        if not plan.is_quick:
            write_section(options.page, name, text)
    if options.json:
        print(json.dumps([section.to_json() for section in sections], indent=2))
    return status


def measure(name: str, plan: Plan) -> Section:
    """Run one bench. It is imported only now, because some import what others need not have."""
    section: Section = importlib.import_module(f"bench.{name}").measure(plan)
    return section


def _hurry() -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -15)
    except PermissionError as error:
        raise Unmeasurable("--urgent raises the priority of processes, which takes root") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHES, []], metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument(
        "--quick", action="store_true", help="a second each, to see that it runs; the page is left alone"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="calls in the ledger that `dashboard` makes")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument(
        "--urgent", action="store_true", help="raise the priority of all processes involved; takes root"
    )
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write into (docs/benchmarks.md)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
