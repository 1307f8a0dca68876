"""`penstock tail`: calls as they end, a line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...config.schema import Config
from ...dashboard.wording import count, dollars, duration, moment
from ...drive import run
from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...record import Record
from ...stores.keys import KeyStore
from ...stores.reading import ERRORS, LedgerReader
from ...stores.schema import connect, database, failing
from ...stores.search import ANY_ERROR, Wanted, arrived, find, last_row
from ...stores.totals import Span
from ...wire.prices import usd
from .options import ConfigOption, DataOption, opened

if TYPE_CHECKING:
    from rich.console import Console

#: How often the ledger is asked, in seconds; and how many rows are read at one go.
EVERY_S = 0.25
_ROWS = 2_000
_ENDINGS = (*sorted(ERRORS), "abandoned", "complete", ANY_ERROR)
_STYLES = {"complete": "green", "refused": "yellow", "abandoned": "dim"}
_ALWAYS = Span(0, 2**62)


def tail(
    feature: Annotated[str | None, typer.Option(help="Calls of this feature alone.")] = None,
    model: Annotated[str | None, typer.Option(help="That asked for this model, or were answered by it.")] = None,
    ending: Annotated[str | None, typer.Option(help=f"That ended so: {', '.join(_ENDINGS)}.")] = None,
    user: Annotated[str | None, typer.Option(help="Of this user.")] = None,
    key: Annotated[str | None, typer.Option(help="By the keys of this name or id.")] = None,
    last: Annotated[int, typer.Option("-n", "--last", help="So many that have ended come first.", min=0)] = 10,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, an object a line.")] = False,
) -> None:
    """Follow the ledger: a line for each call as it ends, until Ctrl-C."""
    settings = opened(config, data)
    if ending is not None and ending not in _ENDINGS:
        raise ConfigError(f"No call ends {ending!r}.", code="bad_option", fix=f"Choose from {', '.join(_ENDINGS)}.")
    LedgerReader(settings.data).close()  # says so where there is none, and takes in what dead processes left
    wanted = Wanted(
        {} if feature is None else {"feature": feature},
        model=model,
        user=user,
        ending=ending,
        key_ids=None if key is None else _keys(settings, key),
    )
    console = _console()
    if console.is_terminal:
        print(f"Calls in {settings.data}, as they end. Ctrl-C ends it.", file=sys.stderr)
    try:
        for record in _followed(settings, wanted, last):
            if as_json:
                print(json.dumps(_entry(record)), flush=True)
            else:
                _show(console, record)
    except KeyboardInterrupt:
        return


def _keys(settings: Config, named: str) -> tuple[str, ...]:
    found = KeyStore(settings.data, BlockingClock()).find(named)
    if not found:
        raise ConfigError(
            f"There is no key {named!r} in {settings.data}.", code="bad_option", fix="`penstock keys list` has them."
        )
    return tuple(key.id for key in found)


def _followed(settings: Config, wanted: Wanted, last: int) -> Iterator[Record]:
    """The last calls that are as wanted, and then each as its row comes. Without end. Raises StoreFailed."""
    connection = connect(settings.data)
    try:
        with failing(database(settings.data)):
            known = last_row(connection)
            before = find(connection, wanted, _ALWAYS, limit=last).rows if last else []
            yield from (row.record for row in reversed(before))
            while True:
                newest = last_row(connection)
                while known < newest:
                    until = min(newest, known + _ROWS)
                    yield from (row.record for row in arrived(connection, wanted, known, until))
                    known = until
                run(BlockingClock().sleep(EVERY_S))
    finally:
        connection.close()


def _entry(record: Record) -> dict[str, Any]:
    """A record without its trail."""
    told = {name: getattr(record, name) for name in record.__struct_fields__ if name != "trail"}
    return {**told, "cost_usd": None if record.cost_nano is None else usd(record.cost_nano)}


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def _show(console: Console, record: Record) -> None:
    from rich.text import Text

    error = record.error_code or record.error_type if record.ending in ERRORS else None
    all_input = sum(
        (record.input_tokens, record.cache_read_tokens, record.cache_write_5m_tokens, record.cache_write_1h_tokens)
    )
    first = f"first {duration(record.first_token_us)}" if record.first_token_us is not None else ""
    cached = f" ({count(record.cache_read_tokens)} cached)" if record.cache_read_tokens else ""
    tries = f"  {record.attempts} attempts" if record.attempts > 1 else ""
    console.print(
        Text.assemble(
            (f"{moment(record.began_at_us)[11:]}  ", "dim"),
            (f"{record.ending:<9}", _STYLES.get(record.ending, "red")),
            f" {record.status or '':<3}  {_plain(record.feature or '-'):<16}  ",
            f"{_plain(record.model_served or record.model_asked or '-'):<26}",
            f"  {duration(record.total_us):>8}  {first:<13}",
            f"  {count(all_input)}{cached} in, {count(record.output_tokens)} out  {dollars(record.cost_nano)}{tries}",
            (f"  {_plain(error)}" if error else "", "red"),
            f"  user {_plain(record.user)}" if record.user else "",
            (f"  {record.call_id}", "dim"),
        )
    )


def _plain(text: str) -> str:
    """Without what would steer the terminal: tags are the callers' words."""
    return "".join(character if character.isprintable() else "�" for character in text)
