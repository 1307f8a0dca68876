"""`penstock sums`: the sums by the hour that pages and reports read."""

from __future__ import annotations

import json

import typer

from ...ports.blocking import BlockingClock
from ...tools.sums import Day, rebuild_sums
from ...wire.prices import usd
from .options import ConfigOption, DataOption, JsonOption, opened

app = typer.Typer(help="Make the sums anew that pages and reports read.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Make the sums anew that pages and reports read."""


@app.command("rebuild")
def rebuild(config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Sum the ledger's rows anew. Calls go on; their rows wait meanwhile. Exit code 1 where sums differed."""
    done = rebuild_sums(opened(config, data), BlockingClock())
    if as_json:
        differences = [
            {"day": one.day, "before": one.before.told(), "after": one.after.told()} for one in done.differences
        ]
        print(json.dumps({"differences": differences, "calls": done.calls, "from": done.from_day}, indent=2))
    else:
        for one in done.differences:
            print(f"{one.day}: was {_told(one.before)}, is {_told(one.after)}")
        print(f"{done.calls:,} calls since {done.from_day} summed; {len(done.differences)} days differed.")
    raise typer.Exit(1 if done.differences else 0)


def _told(day: Day) -> str:
    return f"{day.calls:,} calls for ${usd(day.nano)}"
