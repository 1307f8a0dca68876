"""The ledger's side: what it has of an upstream by day, by minute, and of calls whose cost it does not know."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from ...wire.messages import Usage
from ...wire.models import shipped
from ...wire.prices import PriceBook
from ..ledger import chunks
from .attempts import given_up
from .sums import DAY_US, MINUTE_US, ZERO, Counts, Place, Sum, plus

#: More calls of one minute and place than these are summed up, and not kept one by one.
ROWS_KEPT = 64

_COUNTED = "input_tokens, cache_read_tokens, cache_write_5m_tokens, cache_write_1h_tokens, output_tokens, web_searches"
_SUMMED = ", ".join(f"sum({name})" for name in _COUNTED.split(", "))
_LABELS = "upstream, coalesce(model_served, model_asked), service_tier, inference_geo, speed"
_IS_BATCH = "endpoint = 'batches'"
_SPENT = "instr(trail, CAST('\"Spent\"' AS BLOB)) > 0"


class Row(NamedTuple):
    """One call, or what an earlier attempt of one had used. `nano` is None where its cost is not known."""

    call_id: str
    began_us: int
    took_us: int
    place: Place
    counts: Counts
    nano: int | None
    basis: str
    held_nano: int | None = None
    request_bytes: int = 0

    @property
    def ends_minute(self) -> int:
        return (self.began_us + self.took_us) // MINUTE_US


class Minute(msgspec.Struct):
    """The calls of one minute and place; `rows` are the first ROWS_KEPT of `calls`."""

    counts: Counts = ZERO
    calls: int = 0
    nano: int = 0
    longest_us: int = 0
    rows: list[Row] = msgspec.field(default_factory=list)


class Books:
    """What the ledger holds of the targets in `keys`, which has the id of each one's API key, or None."""

    def __init__(self, connection: sqlite3.Connection, keys: Mapping[str, str | None], prices: PriceBook) -> None:
        self._connection, self._keys, self._prices = connection, keys, prices
        self._models: dict[str | None, str] = {}

    def days(self, since_us: int, until_us: int) -> dict[tuple[int, Place], Sum]:
        """Sums by day and place."""
        query = (
            f"SELECT began_at_us / {DAY_US}, {_LABELS}, {_SUMMED}, count(*), coalesce(sum(cost_nano), 0), "
            f"sum(cost_basis = 'unpriced') FROM calls {self._where()} AND NOT {_IS_BATCH} GROUP BY 1, 2, 3, 4, 5, 6"
        )
        found: dict[tuple[int, Place], Sum] = {}
        for row in self._asked(query, since_us, until_us):
            own = found.setdefault((row[0], self._place(row[1:6])), Sum())
            own.counts = plus(own.counts, row[6:12])
            own.calls += row[12]
            own.nano += row[13]
            own.unpriced += row[14]
        for host, spent in self._given_up(since_us, until_us):
            if spent.basis == "unknown":
                continue
            # A call's cost has that of its given-up attempts in it, which belongs where those were made.
            day = spent.began_us // DAY_US
            there = found.setdefault((day, spent.place), Sum())
            there.counts, there.nano = plus(there.counts, spent.counts), there.nano + (spent.nano or 0)
            if host is not None:
                (there if host.nano is None else found[day, host.place]).nano -= spent.nano or 0
        return found

    def minutes(self, days: Collection[int], models: Collection[str]) -> dict[Place, dict[int, Minute]]:
        """The calls of those days and models by minute."""
        found: dict[Place, dict[int, Minute]] = {}
        for day in sorted(days):
            since_us, until_us = day * DAY_US, (day + 1) * DAY_US
            for row in self._rows(since_us, until_us):
                if row.place.model in models and row.basis != "unknown":
                    _note(found, row)
            for _, row in self._given_up(since_us, until_us):
                if row.place.model in models and row.basis != "unknown":
                    _note(found, row)
        return found

    def unknown(self, since_us: int, until_us: int) -> list[Row]:
        """Calls that may have cost something, nobody knows what, and attempts of calls likewise."""
        found = list(self._rows(since_us, until_us, f"AND NOT {_IS_BATCH} AND cost_basis = 'unknown'"))
        return found + [row for _, row in self._given_up(since_us, until_us) if row.basis == "unknown"]

    def batches(self, since_us: int, until_us: int) -> list[Row]:
        """The batches that were made. `nano` is what their results came to, None where nobody has had them."""
        more = f"AND {_IS_BATCH} AND (cost_basis = 'deferred' OR cost_nano > 0)"
        rows = self._rows(since_us, until_us, more)
        return [row._replace(place=place(row.place.key, "", "batch", None, None)) for row in rows]

    def begins_us(self) -> int | None:
        """When the oldest call began; None without one."""
        marks = ", ".join("?" * len(self._keys))
        query = f"SELECT min(began_at_us) FROM calls WHERE upstream IN ({marks})"
        found: int | None = self._connection.execute(query, tuple(self._keys)).fetchone()[0]
        return found

    def _rows(self, since_us: int, until_us: int, more: str = f"AND NOT {_IS_BATCH}") -> Iterator[Row]:
        query = (
            f"SELECT call_id, began_at_us, total_us, cost_nano, cost_basis, held_nano, request_bytes, {_LABELS}, "
            f"{_COUNTED} FROM calls {self._where()} {more} ORDER BY began_at_us"
        )
        for row in self._asked(query, since_us, until_us):
            yield self._row(row[:12], row[12:])

    def _given_up(self, since_us: int, until_us: int) -> Iterator[tuple[Row | None, Row]]:
        """Attempts that were given up for another, and the row of their call where it is one of ours.

        What they had used is known, an estimate, or not known.
        """
        query = (
            "SELECT call_id, began_at_us, total_us, cost_nano, cost_basis, held_nano, request_bytes, "
            f"{_LABELS}, model_asked, trail FROM calls WHERE began_at_us >= ? AND began_at_us < ? "
            f"AND endpoint = 'messages' AND (attempts > 1 OR {_SPENT})"
        )
        for rows in chunks(self._connection, query, (since_us, until_us)):
            for row in rows:
                host = self._row(row[:12], ZERO) if row[7] in self._keys else None
                for fact in given_up(msgspec.json.decode(row[13], type=list[dict[str, Any]]), row[12], row[4]):
                    if fact.upstream not in self._keys:
                        continue
                    usage = fact.usage or Usage()
                    labels = (fact.upstream, fact.model, usage.service_tier, usage.inference_geo, usage.speed)
                    if fact.usage is None:
                        held = None if row[5] is None else max(0, row[5] - (row[3] or 0))
                        yield host, self._row((*row[:3], None, "unknown", held, row[6], *labels), ZERO)
                    else:
                        nano = self._prices.price(usage, fact.model, at_us=row[1]).nano
                        yield host, self._row((*row[:3], nano, "estimated", None, 0, *labels), _counts(usage))

    def _row(self, fields: tuple[Any, ...], counts: Counts) -> Row:
        """Of the call's id, begin and length, cost, basis, hold, size, and labels."""
        call_id, began_us, took_us, *more = fields[:7]
        return Row(call_id, began_us, took_us, self._place(fields[7:12]), counts, *more)

    def _asked(self, query: str, since_us: int, until_us: int) -> Iterator[tuple[Any, ...]]:
        for rows in chunks(self._connection, query, (since_us, until_us, *self._keys)):
            yield from rows

    def _where(self) -> str:
        marks = ", ".join("?" * len(self._keys))
        return f"WHERE began_at_us >= ? AND began_at_us < ? AND endpoint <> 'count_tokens' AND upstream IN ({marks})"

    def _place(self, labels: tuple[Any, ...]) -> Place:
        upstream, model, tier, geo, speed = labels
        return place(self._keys[upstream], self._id(model), tier, geo, speed)

    def _id(self, model: str | None) -> str:
        known = self._models.get(model)
        if known is None:
            known = self._models[model] = model_id(model)
        return known


def place(key: str | None, model: str, tier: str | None, geo: str | None, speed: str | None) -> Place:
    """What is not said is what is usual."""
    return Place(key, model, tier or "standard", geo or "not_available", speed or "standard")


def model_id(name: str | None) -> str:
    """The id that reports have for a model; an alias may have been asked for."""
    model = shipped().find(name) if name else None
    return model.id if model is not None else name or ""


def _note(found: dict[Place, dict[int, Minute]], row: Row) -> None:
    minute = found.setdefault(row.place, {}).setdefault(row.began_us // MINUTE_US, Minute())
    minute.counts = plus(minute.counts, row.counts)
    minute.calls += 1
    minute.nano += row.nano or 0
    minute.longest_us = max(minute.longest_us, row.took_us)
    if len(minute.rows) < ROWS_KEPT:
        minute.rows.append(row)


def _counts(usage: Usage) -> Counts:
    return (
        usage.input_tokens,
        usage.cache_read_tokens,
        usage.cache_write_5m_tokens,
        usage.cache_write_1h_tokens,
        usage.output_tokens,
        usage.web_searches,
    )
