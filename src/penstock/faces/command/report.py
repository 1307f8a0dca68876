"""`penstock report`: what calls cost, how long they took and how they ended."""

from __future__ import annotations

import csv
import json
import sys
from decimal import Decimal
from typing import Annotated, Any

import typer

from ...ports.blocking import BlockingClock
from ...stores import report as tool
from ...stores.reading import GROUPABLE
from .options import ConfigOption, DataOption, JsonOption, from_us, listed, opened

#: How long the longest bar is.
_BAR_CHARACTERS = 24
_EIGHTHS = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")


def report(
    by: Annotated[
        str | None, typer.Option(metavar="LABELS", help=f"Group by, with commas: {', '.join(sorted(GROUPABLE))}.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: all.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; the same forms.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV: the groups, or the totals without --by.")] = False,
    plot: Annotated[
        bool | None,
        typer.Option("--plot/--no-plot", help="A bar beside each group, as long as its cost. Default: at a terminal."),
    ] = None,
) -> None:
    """Cost, tokens, latency percentiles and errors, in all and by group."""
    now_us = BlockingClock.wall_us()
    made = tool.report(
        opened(config, data).data,
        listed(by),
        since_us=from_us(since, "--since", now_us),
        until_us=from_us(until, "--until", now_us),
    )
    if as_json:
        print(json.dumps(made, indent=2))
    elif as_csv:
        rows = tool.flattened(made["groups"] if by else [made["totals"]])
        if rows:
            writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    else:
        _show(made, listed(by), has_bars=sys.stdout.isatty() if plot is None else plot)


def _show(made: dict[str, Any], by: list[str], *, has_bars: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in by:
        table.add_column(name, overflow="fold")
    for heading in ("calls", "errors", "cost $", "input", "written", "read", "output", "p50 ms", "p95", "p99"):
        table.add_column(heading, justify="right", no_wrap=True)
    has_bars = has_bars and bool(made["groups"])
    if has_bars:
        table.add_column("cost", no_wrap=True)
    most = max((Decimal(row["cost_usd"]) for row in made["groups"]), default=Decimal(0))
    for row in made["groups"]:
        bar = [_bar(Decimal(row["cost_usd"]), most)] if has_bars else []
        table.add_row(*[_label(row[name]) for name in by], *_cells(row), *bar)
    if made["groups"]:
        table.add_section()
    table.add_row(*["all" if place == 0 else "" for place in range(len(by))], *_cells(made["totals"]))
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)
    totals = made["totals"]
    if totals["held_usd"] != "0.00":
        print(
            f"Budgets held {totals['held_usd']} dollars for calls that cost {totals['held_cost_usd']}; "
            f"{totals['over_held']} cost more than was held, by {totals['over_held_usd']} together."
        )
    unpriced = totals["unpriced"]
    if unpriced:
        print(
            f"{unpriced} calls have no known cost and are not in the sum: unknown models, batches not yet billed, or "
            "calls whose usage was never seen. `penstock report --by model,ending` shows which.",
            file=sys.stderr,
        )


def _bar(amount: Decimal, most: Decimal) -> str:
    """A bar as long as an amount, in eighths of a character; of the most it has all the room."""
    eighths = int(8 * _BAR_CHARACTERS * amount / most) if most else 0
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8]


def _label(value: object) -> str:
    return "-" if value is None else str(value)


def _cells(row: dict[str, Any]) -> list[str]:
    latency = row["latency_ms"] or {}
    return [
        f"{row['calls']:,}",
        f"{row['errors']:,}",
        row["cost_usd"],
        *[f"{row[name]:,}" for name in tool.COLUMNS[4:]],
        *[f"{latency[p]:,.1f}" if p in latency else "-" for p in ("p50", "p95", "p99")],
    ]
