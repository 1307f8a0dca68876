"""`penstock audit`: who changed what."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...stores.audit import Entry, entries
from ...tools.keys import moment
from .options import ConfigOption, DataOption, JsonOption, moment_us, opened, span_us

app = typer.Typer(help="Show or export who changed what: keys, budgets, configs.", no_args_is_help=True)

SinceOption = Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: all.")]
SubjectOption = Annotated[str | None, typer.Option(help="Only what was done to this: a key's id, an upstream.")]


@app.command("list")
def list_entries(
    since: SinceOption = None,
    subject: SubjectOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Every change, oldest first: when, who, what, of what, and from what to what."""
    found = list(entries(opened(config, data).data, since_us=_from(since), subject=subject))
    if as_json:
        print(json.dumps([_shown(entry) for entry in found], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("at", "who", "action", "subject", "before", "after"):
        table.add_column(heading, no_wrap=heading not in ("before", "after"), overflow="fold")
    for entry in found:
        states = [_words(entry.before, entry.after), _words(entry.after, entry.before)]
        table.add_row(moment(entry.at_us), entry.who, entry.action, entry.subject, *states)
    console = Console(markup=False)
    if not console.is_terminal:
        console.width = 400  # a pipe has no edge to fold at
    console.print(table)


@app.command("export")
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.jsonl", help="Where to write it, one change to a line.")],
    since: SinceOption = None,
    subject: SubjectOption = None,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write the changes to a file that only you can read, to be kept on another machine."""
    found = entries(opened(config, data).data, since_us=_from(since), subject=subject)
    lines = [json.dumps(_shown(entry)) + "\n" for entry in found]
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.writelines(lines)
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}.", code="bad_option", fix="Name a file that can be."
        ) from None
    print(f"{len(lines)} changes are in {file}.")


def _from(text: str | None) -> int | None:
    if text is None:
        return None
    span = span_us(text)
    return BlockingClock.wall_us() - span if span is not None else moment_us(text, "--since")


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": moment(entry.at_us),
        "at_us": entry.at_us,
        "who": entry.who,
        "action": entry.action,
        "subject": entry.subject,
        "before": entry.before,
        "after": entry.after,
    }


def _words(state: dict[str, Any] | None, other: dict[str, Any] | None) -> str:
    """What one side says and the other does not; nothing where it says nothing."""
    said = {name: value for name, value in (state or {}).items() if (other or {}).get(name) != value}
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in said.items() if value is not None) or "-"
