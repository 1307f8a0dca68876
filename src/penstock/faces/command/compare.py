"""`penstock compare`: the arms of a feature side by side, and how sure their differences are."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ...ports.blocking import BlockingClock
from ...tools import compare as tool
from ...wire.prices import usd
from .options import ConfigOption, DataOption, JsonOption, from_us, opened


def compare(
    feature: Annotated[
        str | None, typer.Argument(metavar="FEATURE", help="Whose calls. Default: those of none.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: all.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; the same forms.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """The arms of a feature's split, and copies beside the calls they are of: cost, latency, failures and outcomes."""
    now_us = BlockingClock.wall_us()
    made = tool.compare(
        opened(config, data).data,
        feature,
        since_us=from_us(since, "--since", now_us),
        until_us=from_us(until, "--until", now_us),
    )
    if as_json:
        told = {"arms": [arm.told() for arm in made.arms], "differences": [one.told() for one in made.differences]}
        print(json.dumps({"feature": made.feature, **told}, indent=2))
    else:
        _show(made)


def _show(made: tool.Compared) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", overflow="fold")
    table.add_column("model", overflow="fold")
    headings = ("calls", "failed", "declined", "cut", "$ per call", "input", "output", "p50 ms", "p95", "first p50")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("outcomes", overflow="fold")
    for arm in made.arms:
        row = arm.told()
        shares = [_share(count, arm.calls) for count in (arm.failures, arm.declined, arm.capped)]
        tokens = [f"{row[name]:,.0f}" for name in ("input_tokens_per_call", "output_tokens_per_call")]
        total, first = row["latency_ms"] or {}, row["first_token_ms"] or {}
        times = [
            f"{found[p]:,.1f}" if p in found else "-" for found, p in ((total, "p50"), (total, "p95"), (first, "p50"))
        ]
        outcomes = ", ".join(f"{name} {_share(count, arm.calls)}" for name, count in row["outcomes"].items())
        models = ", ".join(row["models"]) or "-"
        cost = row["cost_per_call_usd"] if arm.cost.count else "-"
        table.add_row(arm.label or "-", models, f"{arm.calls:,}", *shares, cost, *tokens, *times, outcomes or "-")
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)
    for one in made.differences:
        against = one.against or f"the {one.pairs:,} calls they are copies of"
        print(f"\n{one.arm} against {against}:")
        print(f"  cost per call: {_dollars(one)}")
        print(f"  failures: {_points(one)}")
    if not made.differences:
        print("\nNothing to compare: no call of these is in a split, and none is a copy.")


def _share(count: int, calls: int) -> str:
    return f"{100 * count / calls:.1f} %" if calls else "-"


def _dollars(one: tool.Difference) -> str:
    cost = one.cost
    said = f"{_signed(cost.difference)} dollars"
    if cost.low is None or cost.high is None:
        return f"{said}, of too few calls to say more"
    word = "a difference" if cost.is_sure else "may be chance"
    return f"{said}, with 95 % confidence from {_signed(cost.low)} to {_signed(cost.high)}: {word}"


def _points(one: tool.Difference) -> str:
    own = one.failures
    if own.low is None or own.high is None:
        return "too few calls to say anything"
    word = "a difference" if own.is_sure else "may be chance"
    low, high = f"{100 * own.low:+.1f}", f"{100 * own.high:+.1f}"
    return f"{100 * own.difference:+.1f} points, with 95 % confidence from {low} to {high}: {word}"


def _signed(nano: float) -> str:
    return f"{'-' if nano < 0 else '+'}{usd(abs(round(nano)))}"
