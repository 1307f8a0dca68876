"""`penstock advise`: what would have been saved, and what to change for it."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...tools.advise import Advised, Span
from ...tools.advise import advise as advised
from ...wire.prices import usd
from .. import compose
from .options import ConfigOption, DataOption, JsonOption, from_us, opened

_DAYS_US = 30 * 86_400_000_000
_LEAST_USD = "0.01"
_SHOWN = 20


def advise(
    since: Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: 30 days.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; the same forms. Default: now.")] = None,
    feature: Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of this feature.")] = None,
    least_usd: Annotated[
        str, typer.Option(metavar="DOLLARS", help="Leave out what would have saved less.")
    ] = _LEAST_USD,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """What caching, batches, other models, shorter answers and histories would have saved, from the ledger."""
    now_us = BlockingClock.wall_us()
    until_us = from_us(until, "--until", now_us)
    until_us = now_us if until_us is None else until_us
    since_us = from_us(since, "--since", now_us)
    since_us = until_us - _DAYS_US if since_us is None else since_us
    if since_us >= until_us:
        raise ConfigError("--since is not before --until.", code="bad_option", fix="Begin earlier, or end later.")
    own = opened(config, data)
    made = advised(
        own.data,
        Span(since_us, until_us, feature),
        features=own.features,
        prices=compose.price_book(own),
        least_nano=_nano(least_usd),
    )
    if as_json:
        print(json.dumps(made.told(), indent=2))
    else:
        _show(made)


def _nano(dollars: str) -> int:
    """Dollars as nano-dollars, at least one. Raises ConfigError."""
    try:
        return max(1, int(Decimal(dollars) * 1_000_000_000))
    except (InvalidOperation, ValueError, OverflowError):
        raise ConfigError(
            f"--least-usd {dollars!r} is no amount of dollars.", code="bad_option", fix="Say for instance 0.5."
        ) from None


def _cents(nano: int) -> str:
    """Dollars to the cent; below ten cents, exactly."""
    return usd(nano) if abs(nano) < 100_000_000 else f"{Decimal(nano) / 1_000_000_000:,.2f}"


def _show(made: Advised) -> None:
    from rich.console import Console
    from rich.table import Table

    print(
        f"{made.calls:,} calls that cost {_cents(made.cost_nano)} dollars, "
        f"over {made.covered_us / 86_400_000_000:.1f} days."
    )
    if made.advice:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("#", "advice", "feature", "of"):
            table.add_column(heading, overflow="fold")
        for heading in ("calls", "cost $", "saved $", "per 30 days $", "in total $"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("confidence")
        for place, one in enumerate(made.advice[:_SHOWN], 1):
            money = [one.cost_nano, one.saved_nano, made.monthly(one.saved_nano), one.share_nano]
            labels = [str(place), one.kind, one.feature or "-", one.label or "-"]
            table.add_row(*labels, f"{one.calls:,}", *map(_cents, money), one.confidence)
        console = Console()
        if not console.is_terminal:
            console.width = 400  # a pipe has no edge to fold at
        console.print()
        console.print(table)
    for place, one in enumerate(made.advice[:_SHOWN], 1):
        print(f"\n{place}. {one.kind}, {one.feature or 'no feature'}: {one.change}")
        print(f"   Evidence: {one.evidence} See {', '.join(one.call_ids)}.")
        print(f"   Confidence {one.confidence}: {one.why}")
        print(f"   Risk: {one.risk}")
    print()
    _show_total(made)


def _show_total(made: Advised) -> None:
    if made.advice or made.hidden:
        print(
            f"Together, in the order {', '.join(made.order)}: {_cents(made.total_nano)} dollars, "
            f"{_cents(made.monthly(made.total_nano))} per 30 days; without that of low confidence "
            f"{_cents(made.sure_nano)}, {_cents(made.monthly(made.sure_nano))} per 30 days."
        )
    else:
        print("Nothing to advise.")
    if len(made.advice) > _SHOWN:
        print(f"{len(made.advice) - _SHOWN:,} more are not shown; --json has all, --feature those of one feature.")
    if made.hidden:
        print(f"{made.hidden:,} would have saved less than --least-usd each.")
    for note in made.notes:
        print(f"Note: {note}")
