"""`penstock export`: the ledger's rows, or counts of them, as a file for other tools."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from ...errors import ConfigError
from ...ports.blocking import BlockingClock
from ...stores.reading import GROUPABLE
from ...tools.export import Asked, columns, count
from ...tools.export import export as written
from ...tools.writers import FORMATS, whole_file
from .options import ConfigOption, DataOption, from_us, listed, opened


def export(
    file: Annotated[str, typer.Argument(metavar="FILE", help="FILE.csv, .jsonl, .json or .parquet; `-` for stdout.")],
    format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="csv, jsonl, json or parquet. Default: as FILE ends.")
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="LABELS", help=f"Count by, with commas, instead: {', '.join(sorted(GROUPABLE))}."),
    ] = None,
    chosen: Annotated[
        str | None, typer.Option("--columns", metavar="NAMES", help="These columns, in this order. Default: all.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From when: `24h`, `7d`, `2026-11-01`. Default: all.")] = None,
    until: Annotated[str | None, typer.Option(help="Up to when; the same forms.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it exists.")] = False,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Write calls, oldest first, or daily and other counts of them (`--by day,feature`), to a file."""
    now_us = BlockingClock.wall_us()
    kind = _format(file, format)
    asked = Asked(
        by=tuple(listed(by)),
        columns=tuple(listed(chosen)),
        since_us=from_us(since, "--since", now_us),
        until_us=from_us(until, "--until", now_us),
    )
    folder = opened(config, data).data
    columns(asked)  # a wrong name is told before anything is made
    with _progress(folder, asked) as told:
        if file == "-":
            rows = written(folder, asked, FORMATS[kind], sys.stdout.buffer, told)
        else:
            with whole_file(Path(file), may_replace=force) as out:
                rows = written(folder, asked, FORMATS[kind], out, told)
    print(f"{rows:,} rows{'' if file == '-' else f' to {file}'}", file=sys.stderr)


def _format(file: str, given: str | None) -> str:
    kind = given or Path(file).suffix.removeprefix(".")
    if kind not in FORMATS:
        place = f"--format {given!r} is" if given else f"{file!r} does not say"
        raise ConfigError(
            f"{place} no format of a file." if given else f"{place} what format it is to have.",
            code="bad_option",
            fix=f"Say --format with one of {', '.join(FORMATS)}.",
        )
    if kind == "parquet" and file == "-" and sys.stdout.isatty():
        raise ConfigError("Parquet is not for terminals.", code="bad_option", fix="Name a file, or pipe it on.")
    return kind


@contextlib.contextmanager
def _progress(data: Path, asked: Asked) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, for rows; counts are done at once or not to be foreseen."""
    if asked.by or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("calls", total=count(data, asked))
        yield lambda rows: bars.update(bar, completed=rows)
