"""Virtual keys and their use as tables and sentences, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...tools.keys import DAYS_MAX
from ...tools.leak import LABELS

_HEADINGS = ("id", "name", "key", "environment", "tier")
_FIGURES = ("limit $", "spent", "period", "expires", "age", "last used", "state")


def print_keys(keys: Sequence[dict[str, Any]]) -> None:
    """The table of `penstock keys list`, and below it those that are due for rotation."""
    rows = [[key[name] or "-" for name in ("id", "name", "key", "environment", "tier")] + _figures(key) for key in keys]
    _print_table([*_HEADINGS, *_FIGURES], rows)
    due = [key["id"] for key in keys if key["is_due"]]
    if due:
        print(f"\nOlder than {DAYS_MAX} days, so due for `penstock keys rotate`: {', '.join(due)}")


def _figures(key: dict[str, Any]) -> list[str]:
    return [
        key["limit_usd"] or "-",
        key["spent_usd"],
        key["period_now"],
        (key["expires_at"] or "never")[:10],
        f"{key['age_days']} d{', due' if key['is_due'] else ''}",
        (key["last_used_at"] or "never")[:16],
        key["state"],
    ]


def print_use(use: dict[str, Any]) -> None:
    """What a key was used for, and what came after its revocation."""
    totals = use["totals"]
    print(
        f"From {use['since']} to {use['until']} it spent {totals['cost_usd']} dollars in {totals['calls']:,} calls, "
        f"{totals['errors']:,} of them errors."
    )
    if totals["unpriced"]:
        print(f"{totals['unpriced']:,} calls have no known cost and are not in the sum.")
    if totals["calls"]:
        rows = [
            [label, str(row[label] or "-"), f"{row['calls']:,}", f"{row['errors']:,}", row["cost_usd"]]
            for label in LABELS
            for row in use["by"][label]
        ]
        print()
        _print_table(["by", "", "calls", "errors", "cost $"], rows)
    after = use["after_revocation"]
    if after is not None and after["answered"] + after["refused"]:
        print(
            f"\nWARNING: {after['refused']:,} calls with it were refused since it was revoked, the last at "
            f"{after['last_at']}: someone still has it. "
            f"{after['answered']:,} were answered, for {after['cost_usd']} dollars."
        )


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("calls", "errors", "cost $") else "left")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)
