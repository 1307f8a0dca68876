"""Sums of the ledger by the hour, kept as rows arrive, so that pages and reports need not read millions of calls.

Rows are summed some seconds after they came, by a mark of how far that has got. What a row was that changes later (a
batch that is billed, a call that was given up for killed) is noted by a trigger, and put right with the next rows. Sums
outlive the rows they are of, and follow from them: `rebuild` makes them again. Times are Unix microseconds, UTC.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from .schema import writing

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
#: So many rows are summed in one transaction; whoever folds calls waits for that.
_ROWS = 20_000
#: And so many at one go, so that a ledger of millions that has no sums yet gets them bit by bit.
_ROWS_AT_ONCE = 200_000

#: The labels that sums are kept apart by, and what each is of a call. An empty text stands for none.
LABELS: Mapping[str, str] = {
    "environment": "coalesce(environment, '')",
    "feature": "coalesce(feature, '')",
    "segment": "coalesce(segment, '')",
    "key": "coalesce(key_id, '')",
    "model": "coalesce(model_served, model_asked, '')",
    "upstream": "coalesce(upstream, '')",
    "prompt": "coalesce(prompt, '')",
    "arm": "coalesce(arm, '')",
}
#: What is summed, and how it follows from calls. Money in nano-dollars.
MEASURES: Mapping[str, str] = {
    "calls": "count(*)",
    "errors": "sum(ending IN ('refused', 'failed', 'truncated', 'killed'))",
    "refused": "sum(ending = 'refused')",
    "cost_nano": "coalesce(sum(cost_nano), 0)",
    "unpriced": "sum(cost_nano IS NULL)",
    "input_tokens": "sum(input_tokens)",
    "cache_read_tokens": "sum(cache_read_tokens)",
    "cache_write_5m_tokens": "sum(cache_write_5m_tokens)",
    "cache_write_1h_tokens": "sum(cache_write_1h_tokens)",
    "output_tokens": "sum(output_tokens)",
    "thinking_tokens": "sum(thinking_tokens)",
    "web_searches": "sum(web_searches)",
    "capped": "sum(stop_reason IS 'max_tokens')",
    "attempts": "sum(attempts)",
    "wait_us": "sum(wait_us)",
}
#: Durations are counted by steps: each is a quarter longer than the one before, from a millisecond to a quarter hour.
STEPS_US = tuple(round(1000 * 1.25**power) for power in range(62))
#: The durations that are: of messages that were answered, end to end and to the first token.
DURATIONS = {"total": "total_us", "first_token": "first_token_us"}

_HOUR = f"began_at_us - began_at_us % {HOUR_US}"
_DAY = f"began_at_us - began_at_us % {DAY_US}"
_ANSWERED = "endpoint = 'messages' AND ending NOT IN ('refused', 'killed')"
_USERS = ("calls", "errors", "cost_nano", "input_tokens", "cache_read_tokens", "output_tokens")


def step_sql(column: str) -> str:
    """The step that a duration is in: how many of `STEPS_US` it reaches."""
    return " + ".join(f"({column} >= {us})" for us in STEPS_US)


def _summing(table: str, keys: Mapping[str, str], measures: Mapping[str, str], condition: str = "1") -> str:
    """Adds calls to a table of sums: `sign` 1 or -1, `source` the table they are in, `where` which of them."""
    names = ", ".join((*keys, *measures))
    values = ", ".join((*keys.values(), *(f"{{sign}} * ({measure})" for measure in measures.values())))
    places = ", ".join(str(place) for place in range(1, len(keys) + 1))
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in measures)
    return (
        f"INSERT INTO {table} ({names}) SELECT {values} FROM {{source}} WHERE {{where}} AND {condition} "
        f"GROUP BY {places} ON CONFLICT DO UPDATE SET {added}"
    )


_WHAT = {"feature": LABELS["feature"], "model": LABELS["model"]}
_CALLS = {"calls": "count(*)"}
_STATEMENTS = (
    _summing("sums", {"hour_us": _HOUR, **LABELS}, MEASURES),
    _summing(
        "sums_of_users",
        {"day_us": _DAY, "user": "user", "feature": LABELS["feature"]},
        {name: MEASURES[name] for name in _USERS},
        "user IS NOT NULL",
    ),
    _summing(
        "sums_of_errors",
        {
            "hour_us": _HOUR,
            **_WHAT,
            "layer": "coalesce(error_layer, 'upstream')",
            "code": "coalesce(error_code, error_type, ending)",
        },
        _CALLS,
        "ending IN ('refused', 'failed', 'truncated', 'killed')",
    ),
    *(
        _summing(
            "sums_of_durations",
            {"hour_us": _HOUR, **_WHAT, "what": f"'{what}'", "step": step_sql(column)},
            _CALLS,
            f"{_ANSWERED} AND {column} IS NOT NULL",
        )
        for what, column in DURATIONS.items()
    ),
)
_TABLES = ("sums", "sums_of_users", "sums_of_errors", "sums_of_durations")


def roll(connection: sqlite3.Connection) -> int:
    """Sum what has come or changed since; how many rows came. Raises sqlite3.Error."""
    total = 0
    while total < _ROWS_AT_ONCE:
        with writing(connection):
            (mark,) = connection.execute("SELECT rowid_summed FROM summed").fetchone()
            _mend(connection, mark)
            last = "SELECT max(rowid), count(*) FROM (SELECT rowid FROM calls WHERE rowid > ? ORDER BY rowid LIMIT ?)"
            until, count = connection.execute(last, (mark, _ROWS)).fetchone()
            if not count:
                break
            _add(connection, "rowid > ? AND rowid <= ?", (mark, until))
            connection.execute("UPDATE summed SET rowid_summed = ?", (until,))
        total += count
    return total


def rebuild(connection: sqlite3.Connection, whole_from_us: int) -> int:
    """Make the sums anew of the days that the ledger has whole; of how many rows. Raises sqlite3.Error."""
    from_us = -(-whole_from_us // DAY_US) * DAY_US
    with writing(connection):
        for table in _TABLES:
            unit = "day_us" if table == "sums_of_users" else "hour_us"
            connection.execute(f"DELETE FROM {table} WHERE {unit} >= ?", (from_us,))
        _add(connection, "began_at_us >= ?", (from_us,))
        connection.execute("DELETE FROM sums_changed")
        connection.execute("UPDATE summed SET rowid_summed = (SELECT coalesce(max(rowid), 0) FROM calls)")
        (count,) = connection.execute("SELECT count(*) FROM calls WHERE began_at_us >= ?", (from_us,)).fetchone()
    return int(count)


def _add(connection: sqlite3.Connection, where: str, values: Sequence[int]) -> None:
    for statement in _STATEMENTS:
        connection.execute(statement.format(sign=1, source="calls", where=where), values)


def _mend(connection: sqlite3.Connection, mark: int) -> None:
    """Take away what changed rows were when they were summed, and add what they are: `sums_changed` has the former."""
    if connection.execute("SELECT 1 FROM sums_changed LIMIT 1").fetchone() is None:
        return
    for statement in _STATEMENTS:
        connection.execute(statement.format(sign=-1, source="sums_changed", where="row <= ?"), (mark,))
    _add(connection, "rowid IN (SELECT row FROM sums_changed WHERE row <= ?)", (mark,))
    connection.execute("DELETE FROM sums_changed")


def prune(connection: sqlite3.Connection, before_us: int) -> None:
    """Drop sums of times before. Raises sqlite3.Error."""
    with writing(connection):
        for table in _TABLES:
            unit = "day_us" if table == "sums_of_users" else "hour_us"
            connection.execute(f"DELETE FROM {table} WHERE {unit} < ?", (before_us,))
