"""The ledger's rows, or its calls counted by labels, as CSV, JSON, JSON lines or Parquet.

Rows are read, turned and written a few thousand at a time, so that memory does not grow with the ledger.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from ..errors import ConfigError
from ..record import Record
from ..stores.folding import COLUMNS
from ..stores.reading import ERRORS, GROUPABLE
from ..wire.prices import usd
from .ledger import chunks, opened
from .writers import Kind, Writer


class Column(NamedTuple):
    """One column of an export: the SQL it is read by, what it holds, and how it is told, where not as it is read."""

    name: str
    sql: str
    kind: Kind
    told: Callable[[Any], Any] | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What to export. Times are Unix microseconds, from `since_us` up to but not including `until_us`.

    With `by`, calls are counted and summed by those labels; without, each is a row, oldest first. `columns` are those
    wanted and their order; without any, all but the trail.
    """

    by: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    since_us: int | None = None
    until_us: int | None = None


def moment(at_us: int) -> str:
    """`2026-11-20T12:00:00.000000Z`."""
    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000:06d}Z"


def _dollars(nano: int | None) -> str | None:
    return None if nano is None else usd(nano)


def _text(trail: bytes) -> str:
    return bytes(trail).decode("utf-8", "replace")


def _kind(name: str) -> Kind:
    field = next(one for one in msgspec.structs.fields(Record) if one.name == name)
    return Kind.FLAG if field.type is bool else Kind.WHOLE if field.type in (int, int | None) else Kind.TEXT


def _of_calls() -> dict[str, Column]:
    """Every column of a call, in their order: those of the record, with times and dollars to read beside them."""
    found = {"began_at": Column("began_at", "began_at_us", Kind.MOMENT, moment)}
    for name in COLUMNS:
        kind = _kind(name)
        found[name] = Column(name, name, kind, {Kind.FLAG: bool}.get(kind))
        if name in ("cost_nano", "held_nano"):
            dollars = name.replace("_nano", "_usd")
            found[dollars] = Column(dollars, name, Kind.DOLLARS, _dollars)
    found["trail"] = Column("trail", "trail", Kind.TEXT, _text)
    return found


CALLS: Mapping[str, Column] = _of_calls()

_FAILED = ", ".join(f"'{ending}'" for ending in sorted(ERRORS))
_COUNTS = (
    ("calls", "count(*)"),
    ("errors", f"sum(ending IN ({_FAILED}))"),
    ("unpriced", "sum(cost_nano IS NULL)"),
    *(
        (name, f"sum({name})")
        for name in (
            "input_tokens",
            "cache_read_tokens",
            "cache_write_5m_tokens",
            "cache_write_1h_tokens",
            "output_tokens",
            "thinking_tokens",
            "web_searches",
        )
    ),
    ("cost_nano", "coalesce(sum(cost_nano), 0)"),
)


def _of_groups(by: Sequence[str]) -> dict[str, Column]:
    """The columns of calls counted by labels. Raises ConfigError for a label that does not exist."""
    unknown = [name for name in by if name not in GROUPABLE]
    if unknown:
        raise ConfigError(
            f"Calls cannot be grouped by {unknown[0]!r}.",
            code="bad_label",
            fix=f"Choose from {', '.join(sorted(GROUPABLE))}.",
        )
    found = {name: Column(name, GROUPABLE[name], Kind.WHOLE if name == "status" else Kind.TEXT) for name in by}
    found |= {name: Column(name, sql, Kind.WHOLE) for name, sql in _COUNTS}
    found["cost_usd"] = Column("cost_usd", found["cost_nano"].sql, Kind.DOLLARS, _dollars)
    return found


def columns(asked: Asked) -> tuple[Column, ...]:
    """The columns of an export, in order. Raises ConfigError for one that does not exist."""
    known = _of_groups(asked.by) if asked.by else CALLS
    if not asked.columns:
        return tuple(column for name, column in known.items() if name != "trail")
    for name in asked.columns:
        if name not in known:
            raise ConfigError(f"There is no column {name!r}.", code="bad_label", fix=f"There are: {', '.join(known)}.")
    if len(set(asked.columns)) < len(asked.columns):
        raise ConfigError("A column is named twice.", code="bad_label", fix="Name each once.")
    return tuple(known[name] for name in asked.columns)


def count(data: Path, asked: Asked) -> int:
    """How many calls lie in the span. Raises StoreFailed."""
    with opened(data) as connection:
        condition, values = _condition(asked)
        found: int = connection.execute(f"SELECT count(*) FROM calls {condition}", values).fetchone()[0]
        return found


def export(
    data: Path,
    asked: Asked,
    made: Callable[[BinaryIO, Sequence[tuple[str, Kind]]], Writer],
    out: BinaryIO,
    told: Callable[[int], None] = lambda _: None,
) -> int:
    """Write what is asked for to `out`, by the writer that `made` makes for it; how many rows there were.

    `told` is called with the number of rows written so far. Raises StoreFailed, and ConfigError for a column or label
    that does not exist.
    """
    chosen = columns(asked)
    rows = 0
    with opened(data) as connection:
        writer = made(out, [(column.name, column.kind) for column in chosen])
        for chunk in _chunks(connection, asked, chosen):
            writer.write(_turned(chunk, chosen, writer))
            rows += len(chunk)
            told(rows)
        writer.close()
    return rows


def _chunks(connection: sqlite3.Connection, asked: Asked, chosen: Sequence[Column]) -> Iterator[list[tuple[Any, ...]]]:
    condition, values = _condition(asked)
    order = "ORDER BY began_at_us, rowid"  # the index by time has both
    if asked.by:
        labels = ", ".join(GROUPABLE[name] for name in asked.by)
        order = f"GROUP BY {labels} ORDER BY {labels}"
    query = f"SELECT {', '.join(column.sql for column in chosen)} FROM calls {condition} {order}"
    return chunks(connection, query, values)


def _condition(asked: Asked) -> tuple[str, list[int]]:
    bounds = [("began_at_us >= ?", asked.since_us), ("began_at_us < ?", asked.until_us)]
    given = [(term, value) for term, value in bounds if value is not None]
    return (f"WHERE {' AND '.join(term for term, _ in given)}" if given else ""), [value for _, value in given]


def _turned(rows: Sequence[tuple[Any, ...]], chosen: Sequence[Column], writer: Writer) -> Iterable[Sequence[Any]]:
    """The rows as they are to be written. A writer that has types of its own gets money and times as they were read."""
    turns = [
        (place, column.told)
        for place, column in enumerate(chosen)
        if column.told is not None and not (writer.is_typed and column.kind in (Kind.DOLLARS, Kind.MOMENT))
    ]
    if not turns:
        return rows
    turned = [list(row) for row in rows]
    for row in turned:
        for place, tell in turns:
            row[place] = tell(row[place])
    return turned
