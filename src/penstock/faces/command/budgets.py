"""`penstock budgets`: what may be spent, what has been, and what is left."""

from __future__ import annotations

import json
from typing import Any

import typer

from ...ports.blocking import BlockingClock
from ...tools import budgets as tool
from ...wire.prices import usd
from .options import ConfigOption, DataOption, JsonOption, opened

app = typer.Typer(help="Show what budgets have spent and left, or count it anew.", no_args_is_help=True)


@app.command("list")
def list_budgets(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Every budget in its present period, and each user, key and so on that it is kept apart by."""
    rows = tool.standing(opened(config, data), BlockingClock())
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    if not rows:
        print("There are no budgets. `[[budgets]]` in the config makes some; keys may have their own.")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("budget", "of", "period"):
        table.add_column(heading, overflow="fold")
    for heading in ("plan $", "spent", "%", "held", "left", "limit"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)


def _cells(row: dict[str, Any]) -> list[str]:
    of = ", ".join(value or f"no {name}" for name, value in row["of"].items()) or "-"
    percent = "-" if row["plan_percent"] is None else f"{row['plan_percent']:.1f}"
    left, limit = (row[name] if row[name] is not None else "-" for name in ("left_usd", "limit_usd"))
    money = [row["plan_usd"], row["spent_usd"], percent, row["held_usd"], left, limit]
    return [row["budget"], of, row["period"], *money]


@app.command("rebuild")
def rebuild(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Count what budgets have spent anew from the ledger. Calls wait for a second meanwhile. Exit code 1 where it
    differed."""
    found, left = tool.rebuild(opened(config, data), BlockingClock())
    if as_json:
        differences = [
            {"account": one.account.split("\x1f"), "was_usd": usd(one.before_nano), "is_usd": usd(one.after_nano)}
            for one in found
        ]
        print(json.dumps({"differences": differences, "left_alone": left}, indent=2))
    else:
        for one in found:
            print(f"{' / '.join(one.account.split(chr(31)))}: was {usd(one.before_nano)}, is {usd(one.after_nano)}")
        for title in left:
            print(f"{title}: left alone, for its period began before the oldest record")
        print(f"{len(found)} differed.")
    raise typer.Exit(1 if found else 0)
