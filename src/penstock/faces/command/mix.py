"""`penstock mix`: how calls and money are spread over the tiers of quality."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ...ports.blocking import BlockingClock
from ...tools import mix as tool
from .options import ConfigOption, DataOption, JsonOption, from_us, opened


def mix(
    since: Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: all.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; the same forms.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Calls and dollars by tier of quality, against the rule of thumb, and each feature's models with their reason.
    Exit code 1 if a feature uses the top tier and nobody said why."""
    now_us = BlockingClock.wall_us()
    own = opened(config, data)
    made = tool.mix(
        own.data,
        own.features,
        own.quality,
        since_us=from_us(since, "--since", now_us),
        until_us=from_us(until, "--until", now_us),
    )
    if as_json:
        print(json.dumps(made.told(), indent=2))
    else:
        _show(made.told())
    if made.unreasoned:
        raise typer.Exit(1)


def _show(told: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    tiers = Table(box=None, pad_edge=False, header_style="bold")
    tiers.add_column("quality")
    for heading in ("calls", "share", "thumb", "cost $", "share"):
        tiers.add_column(heading, justify="right", no_wrap=True)
    for row in told["tiers"]:
        thumb = "-" if row["thumb_percent"] is None else f"{row['thumb_percent']} %"
        shares = [f"{row[name]:.1f} %" for name in ("calls_percent", "cost_percent")]
        tiers.add_row(row["quality"], f"{row['calls']:,}", shares[0], thumb, row["cost_usd"], shares[1])
    console.print(tiers)
    features = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("feature", "model", "quality"):
        features.add_column(heading, overflow="fold")
    for heading in ("calls", "share", "cost $"):
        features.add_column(heading, justify="right", no_wrap=True)
    features.add_column("reason", overflow="fold")
    for row in told["features"]:
        labels = [row["feature"] or "-", row["model"], row["quality"]]
        figures = [f"{row['calls']:,}", f"{row['calls_percent']:.1f} %", row["cost_usd"]]
        features.add_row(*labels, *figures, row["reason"] or "-")
    console.print()
    console.print(features)
    for name in told["unreasoned"]:
        print(f"\n{name} uses the top tier and has no reason: give it a `reason` under [features.{name}], or less.")
