"""`python -m bench.scoreboard [TEST ...]`: run the board, print it, and write it into docs/scoreboard.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from .. import machine
from ..machine import ROOT, Unmeasurable
from ..report import write_section
from . import life, limits, money, replays, storm, streams, stuck
from .board import Line, Scale, table

PAGE = ROOT / "docs" / "scoreboard.md"

RUNS: dict[str, Callable[[Scale], list[Line]]] = {
    "T1": storm.random_failures,
    "T2-T3": storm.outage,
    "T4": limits.upstream_limits,
    "T5": streams.broken,
    "T6": stuck.black_hole,
    "T7": streams.hangups,
    "T8": money.killed,
    "T9": money.overshoot,
    "T10": limits.own_limits,
    "T15": streams.fidelity,
    "T16": replays.idempotency,
    "T19": life.drain,
    "T20": life.reload_and_soak,
}


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        os.sched_setaffinity(0, {machine.cores()[1]})
    except Unmeasurable as reason:
        print(f"scoreboard: {reason}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    about, began, lines = machine.line(), time.monotonic(), []
    for name in options.names or RUNS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        lines += RUNS[name](Scale(options.quick))
    text = (
        f"`make scoreboard`, {datetime.now(UTC).date().isoformat()}, {time.monotonic() - began:,.0f} s. {about}\n\n"
        + table(lines)
    )
    if options.json:
        print(json.dumps([line.to_json() for line in lines], indent=2))
    else:
        print(text)
    if not options.quick and not options.names:
        write_section(options.page, "scoreboard", text)
    return 1 if any(line.is_met is False for line in lines) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scoreboard", description=f"{__doc__} Exits with 1 where a target is missed."
    )
    parser.add_argument("names", nargs="*", choices=[*RUNS, []], metavar="TEST", help=", ".join(RUNS))
    parser.add_argument("--quick", action="store_true", help="a little of each, to see that it runs")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write into (docs/scoreboard.md)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
