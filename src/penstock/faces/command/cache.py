"""`penstock cache doctor`: what was read from the prompt cache, what was not, and why."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Annotated

import typer

from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...tools.cache import Diagnosis, Patient, Span, diagnose
from ...tools.cache.causes import CAUSES
from ...wire.prices import usd
from .. import compose
from .options import ConfigOption, DataOption, JsonOption, from_us, opened

_DAYS_US = 7 * 86_400_000_000
_SHOWN = 20

app = typer.Typer(help="What the API's prompt cache does for the calls in the ledger.", no_args_is_help=True)


@app.callback()
def cache() -> None:
    """What the API's prompt cache does for the calls in the ledger."""


@app.command("doctor")
def doctor(
    since: Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: 7 days.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; the same forms. Default: now.")] = None,
    feature: Annotated[str | None, typer.Option(metavar="NAME", help="Only calls of this feature.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hit rate by feature, why each miss was one, what it cost, and what to change."""
    now_us = BlockingClock.wall_us()
    until_us = from_us(until, "--until", now_us)
    until_us = now_us if until_us is None else until_us
    since_us = from_us(since, "--since", now_us)
    since_us = until_us - _DAYS_US if since_us is None else since_us
    if since_us >= until_us:
        raise ConfigError("--since is not before --until.", code="bad_option", fix="Begin earlier, or end later.")
    own = opened(config, data)
    made = diagnose(own.data, Span(since_us, until_us, feature), compose.price_book(own))
    if as_json:
        print(json.dumps(made.told(), indent=2))
    else:
        _show(made)


def _dollars(nano: int) -> str:
    """Dollars to the cent; below ten cents, exactly."""
    return usd(nano) if abs(nano) < 100_000_000 else f"{Decimal(nano) / 1_000_000_000:,.2f}"


def _show(made: Diagnosis) -> None:
    if not made.calls:
        print("No calls were answered in this time.")
        return
    _show_table(made)
    place = 0
    for patient in made.patients:
        for one in patient.findings:
            place += 1
            if place > _SHOWN:
                continue
            cause = CAUSES[one.cause]
            verb = "wasted" if cause.is_waste else "lost"
            print(f"\n{place}. {_name(patient)}: {one.cause}, {one.calls:,} calls, {_dollars(one.nano)} dollars {verb}")
            print(f"   {' '.join(filter(None, (cause.said, one.evidence)))} See {', '.join(one.call_ids)}.")
            print(f"   Fix: {one.fix}")
    print(
        f"\n{made.calls:,} calls; misses cost {_dollars(made.lost_nano)} dollars more than reads would have, and "
        f"{_dollars(made.unread_nano)} more than no cache went into writes that nothing read."
    )
    if place > _SHOWN:
        print(f"{place - _SHOWN:,} more are not shown; --json has all, --feature those of one feature.")
    if made.unjudged:
        print(
            f"{made.unjudged:,} of the calls have no fingerprint and are only counted: their prompts are too short to "
            "be cached, or they were made before there were fingerprints."
        )


def _show_table(made: Diagnosis) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("feature", "prompt", "model"):
        table.add_column(heading, overflow="fold")
    for heading in ("calls", "hits", "could", "read", "of", "%", "lost $", "unread writes $"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in made.patients[:_SHOWN]:
        table.add_row(
            one.group.feature or "-",
            one.group.prompt or "-",
            one.group.model,
            *[f"{count:,}" for count in (one.calls, one.hits, one.chances, one.read_tokens, one.could_tokens)],
            "-" if one.percent is None else f"{one.percent:.1f}",
            _dollars(one.lost_nano),
            _dollars(one.unread_nano),
        )
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)


def _name(patient: Patient) -> str:
    group = patient.group
    return " ".join(filter(None, (group.feature or "no feature", group.prompt))) + f", {group.model}"
