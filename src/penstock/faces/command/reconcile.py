"""`penstock reconcile`: the ledger against the provider's own usage and cost reports."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Annotated

import typer

from ...call import Target
from ...config.load import Loaded, open_config
from ...config.schema import UpstreamConfig
from ...drive import run
from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...ports.origin import PoolLimits
from ...ports.sockets import SocketPool
from ...stores.alerts import AlertStore
from ...tools.reconcile import LABELS, Asked, Reconciled
from ...tools.reconcile import reconcile as compared
from ...tools.reconcile.findings import dollars
from ...tools.reconcile.result import Compared
from ...tools.reconcile.sums import day_name
from ...wire.prices import usd
from .. import compose
from .options import ConfigOption, DataOption, JsonOption, listed, moment_us, span_us

_DAY_US = 86_400_000_000
_DAYS = 7


def reconcile(
    upstream: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which upstream. Default: the one with an `admin_key`.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From which day, UTC: `2026-11-01`, `30d`. Default: 7 whole days.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to which day, which is left out. Default: today.")] = None,
    by: Annotated[
        str, typer.Option(metavar="LABELS", help=f"What rows are told apart by: {', '.join(LABELS)}.")
    ] = "day,model",
    api_key_ids: Annotated[
        str | None,
        typer.Option(
            metavar="IDS",
            help="The API's ids of the upstream's `keys`, in order. Default: as configured, or else all.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(metavar="PERCENT", min=0, help="How much drift is none, in percent of the invoice.")
    ] = 1.0,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare the ledger with the API's usage and cost reports, and say why they differ.

    Exit code 1 where the drift is above the threshold: what is not explained, and faults that were found.
    """
    loaded = open_config(config, overrides={} if data is None else {"data": data})
    clock = BlockingClock()
    name = _upstream(loaded, upstream)
    own = loaded.config.upstreams[name]
    since_day, until_day = _span(since, until, clock.wall_us(), loaded.config.records.keep_days)
    asked = Asked(
        upstream=name,
        targets=tuple(name if place == 0 else f"{name}#{place + 1}" for place in range(max(1, len(own.keys)))),
        api_key_ids=tuple(listed(api_key_ids)) or own.api_key_ids,
        since_day=since_day,
        until_day=until_day,
        by=tuple(listed(by)),
    )
    made = _compared(loaded, name, own, asked, clock)
    AlertStore(loaded.config.data).note_drift(name, made.drift_percent)
    if as_json:
        print(json.dumps(made.told(), indent=2))
    else:
        _show(made, asked.by)
    if made.drift_percent > threshold:
        raise typer.Exit(1)


def _upstream(loaded: Loaded, given: str | None) -> str:
    """The upstream to ask. Raises ConfigError where it cannot be."""
    known = loaded.config.upstreams
    able = [name for name, own in known.items() if own.admin_key is not None]
    if given is None and len(able) == 1:
        return able[0]
    if given in able:
        return given
    if given is not None and given not in known:
        fault, fix = f"There is no upstream {given!r}.", f"There are: {', '.join(known) or 'none'}."
    elif given is not None or not able:
        fault = f"Upstream {given} has no `admin_key`." if given else "No upstream has an `admin_key`."
        fix = 'Give it an Admin API key by reference, such as admin_key = "env:ANTHROPIC_ADMIN_KEY".'
    else:
        fault, fix = f"{len(able)} upstreams have an `admin_key`.", f"Say --upstream with one of {', '.join(able)}."
    raise ConfigError(fault, code="no_upstream", fix=fix)


def _span(since: str | None, until: str | None, now_us: int, keep_days: int) -> tuple[int, int]:
    """The first day and the day after the last, both of what the ledger keeps. Raises ConfigError."""
    today = now_us // _DAY_US
    kept = -(-(now_us - keep_days * _DAY_US) // _DAY_US)
    until_day = today if until is None else _day(until, "--until", today)
    since_day = max(until_day - _DAYS, kept) if since is None else _day(since, "--since", today)
    if since_day < kept:
        raise ConfigError(
            f"--since {since!r} lies before the oldest record: records are kept for {keep_days} days.",
            code="bad_option",
            fix="Begin later, or raise `records.keep_days` for next time.",
        )
    if not since_day < until_day <= today + 1:
        raise ConfigError(
            "There is no day between --since and --until.", code="bad_option", fix="Begin earlier; end today at most."
        )
    return since_day, until_day


def _day(text: str, option: str, today: int) -> int:
    span = span_us(text)
    at_us = today * _DAY_US - span if span is not None else moment_us(text, option)
    if at_us % _DAY_US:
        raise ConfigError(
            f"{option} {text!r} is not the beginning of a day, UTC.",
            code="bad_option",
            fix="Costs are reported by whole days: say `2026-11-01`, `7d` or `2w`.",
        )
    return at_us // _DAY_US


def _compared(loaded: Loaded, name: str, own: UpstreamConfig, asked: Asked, clock: BlockingClock) -> Reconciled:
    assert own.admin_key is not None
    admin = Target(name, own.address, loaded.secrets.resolve(own.admin_key))
    pool = SocketPool(PoolLimits())
    try:
        with _progress() as told:
            return compared(
                loaded.config.data,
                admin,
                asked,
                upstream=pool,
                clock=clock,
                prices=compose.price_book(loaded.config),
                told=told,
            )
    finally:
        run(pool.aclose())


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """A bar for each report on a terminal, gone when done."""
    if not sys.stderr.isatty():
        yield lambda _, __: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    with Progress(console=Console(stderr=True), transient=True) as bars:
        shown: dict[str, TaskID] = {}

        def told(what: str, share: float) -> None:
            if what not in shown:
                shown[what] = bars.add_task(what, total=1.0)
            bars.update(shown[what], completed=share)

        yield told


def _show(made: Reconciled, by: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in by:
        table.add_column(name, overflow="fold")
    for heading in ("calls", "tokens", "at the API", "ledger $", "invoice $", "difference $"):
        table.add_column(heading, justify="right", no_wrap=True)
    for one in made.rows:
        table.add_row(*[value or "-" for value in one.labels.values()], *_cells(one))
    console = Console()
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)
    for finding in made.findings:
        where = f"{finding.key} " if finding.key else ""
        calls = f" ({', '.join(finding.call_ids)})" if finding.call_ids else ""
        print(f"\n{finding.cause}: {dollars(finding.pico)} dollars, {day_name(finding.day)}, {where}{finding.model}")
        print(f"  {finding.told}{calls}")
    print()
    for note in made.notes:
        print(f"Note: {note}")
    print(
        f"Invoice {usd(made.invoice_nano)} dollars, ledger {usd(made.ledger_nano)}, difference "
        f"{usd(made.difference_nano)}. Drift {usd(made.drift_nano)} dollars, {made.drift_percent:.2f} %; of that "
        f"{usd(made.unexplained_nano)} not explained."
    )


def _cells(one: Compared) -> list[str]:
    tokens = [f"{sum(side.counts[:-1]):,}" for side in (one.ledger, one.api)]
    invoiced = one.api.pico
    own = one.ledger.pico or 0
    money = [dollars(own), "-" if invoiced is None else dollars(invoiced)]
    return [f"{one.calls:,}", *tokens, *money, "-" if invoiced is None else dollars(invoiced - own)]
