"""Reading the ledger, for people and their tools. Blocks; never used while a call waits.

Times are Unix microseconds, UTC, from `since_us` up to but not including `until_us`; None leaves that end open.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from ..errors import ConfigError, StoreFailed
from ..record import Record
from .folding import COLUMNS, adopt
from .schema import connect, database, failing, journal_folder

#: What a report may be grouped by and filtered on, and the SQL for it.
GROUPABLE: Mapping[str, str] = {
    "feature": "feature",
    "user": "user",
    "segment": "segment",
    "prompt": "prompt",
    "arm": "arm",
    "outcome": "outcome",
    "session": "session",
    "model": "coalesce(model_served, model_asked)",
    "key": "key_id",
    "environment": "environment",
    "tier": "tier",
    "day": "strftime('%Y-%m-%d', began_at_us / 1000000, 'unixepoch')",
    "hour": "strftime('%Y-%m-%dT%H:00Z', began_at_us / 1000000, 'unixepoch')",
    "endpoint": "endpoint",
    "status": "status",
    "upstream": "upstream",
    "face": "face",
    "ending": "ending",
    "error": "error_type",
}

#: Endings that count as errors. A caller who hung up or cancelled got what it asked for until then.
ERRORS = frozenset({"refused", "failed", "truncated", "killed"})

Label = str | int | None


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of one duration over the calls that have it, in microseconds; each is a value that occurred."""

    count: int
    p50_us: int
    p95_us: int
    p99_us: int


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that share the labels. `cost_nano` sums the costs that are known; `unpriced` counts the calls
    whose cost is not. `capped` counts answers that `max_tokens` cut off.

    Of the calls that budgets held something for and whose cost is known: `held_nano` in all, `held_cost_nano` what they
    did cost; `over_held` of them cost more, by `over_held_nano` together.
    """

    labels: dict[str, Label]
    calls: int = 0
    errors: int = 0
    cost_nano: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    capped: int = 0
    held_nano: int = 0
    held_cost_nano: int = 0
    over_held: int = 0
    over_held_nano: int = 0
    total: Latency | None = None
    upstream: Latency | None = None
    first_token: Latency | None = None

    @property
    def cache_write_tokens(self) -> int:
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens


_ERRORS_SQL = ", ".join(f"'{ending}'" for ending in sorted(ERRORS))
_SUMS = f"""count(*), sum(ending IN ({_ERRORS_SQL})), coalesce(sum(cost_nano), 0), sum(cost_nano IS NULL),
    sum(input_tokens), sum(cache_read_tokens), sum(cache_write_5m_tokens), sum(cache_write_1h_tokens),
    sum(output_tokens), sum(thinking_tokens), sum(stop_reason IS 'max_tokens'),
    coalesce(sum(held_nano) FILTER (WHERE cost_nano IS NOT NULL), 0),
    coalesce(sum(cost_nano) FILTER (WHERE held_nano IS NOT NULL), 0),
    coalesce(sum(cost_nano > held_nano), 0), coalesce(sum(max(cost_nano - held_nano, 0)), 0),
    group_concat(total_us), group_concat(upstream_us), group_concat(first_token_us)"""
_NAMES = Group.__struct_fields__[1:16]
_BUT_TRAIL = tuple(name for name in COLUMNS if name != "trail")  # long, and seldom asked for


class LedgerReader:
    """The ledger of a data folder. Opening it folds what dead processes left, so that a report after a crash is right.

    Raises StoreFailed, here and from every method.
    """

    def __init__(self, data: Path) -> None:
        self._place = database(data)
        if not self._place.exists() and not journal_folder(data).exists():
            raise StoreFailed(
                f"There is no ledger in {data}.",
                code="no_ledger",
                fix="Name the data folder of the process that made the calls with --data.",
            )
        self._connection = connect(data)
        with failing(self._place):
            adopt(self._connection, journal_folder(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    def call(self, call_id: str) -> Record | None:
        """One call with its trail (the facts as JSON), or None."""
        query = f"SELECT {', '.join(COLUMNS)} FROM calls WHERE call_id = ?"
        with failing(self._place):
            row = self._connection.execute(query, (call_id,)).fetchone()
        return None if row is None else _to_record(COLUMNS, row)

    def calls(
        self,
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        where: Mapping[str, Label] | None = None,
        limit: int | None = None,
    ) -> Iterator[Record]:
        """Calls, newest first, without their trails."""
        condition, values = _condition(since_us, until_us, where or {})
        query = f"SELECT {', '.join(_BUT_TRAIL)} FROM calls {condition} ORDER BY began_at_us DESC, call_id DESC LIMIT ?"
        with failing(self._place):
            for row in self._connection.execute(query, (*values, -1 if limit is None else limit)):
                yield _to_record(_BUT_TRAIL, row)

    def grouped(
        self,
        by: Sequence[str] = (),
        *,
        since_us: int | None = None,
        until_us: int | None = None,
        where: Mapping[str, Label] | None = None,
    ) -> list[Group]:
        """Sums and percentiles per combination of labels, ordered by label; with no labels, one group of all calls.

        Raises ConfigError for a label that does not exist.
        """
        condition, values = _condition(since_us, until_us, where or {})
        labels = [_groupable(name) for name in by]
        grouping = f"GROUP BY {', '.join(labels)} ORDER BY {', '.join(labels)}" if labels else "HAVING count(*) > 0"
        query = f"SELECT {', '.join([*labels, _SUMS])} FROM calls {condition} {grouping}"
        with failing(self._place):
            return [_to_group(by, row) for row in self._connection.execute(query, values)] or (
                [] if by else [Group(labels={})]
            )


def _groupable(name: str) -> str:
    try:
        return GROUPABLE[name]
    except KeyError:
        raise ConfigError(
            f"Calls cannot be grouped or filtered by {name!r}.",
            code="bad_label",
            fix=f"Choose from {', '.join(sorted(GROUPABLE))}.",
        ) from None


def _condition(since_us: int | None, until_us: int | None, where: Mapping[str, Label]) -> tuple[str, list[Any]]:
    terms: list[str] = []
    values: list[Any] = []
    if since_us is not None:
        terms.append("began_at_us >= ?")
        values.append(since_us)
    if until_us is not None:
        terms.append("began_at_us < ?")
        values.append(until_us)
    for name, value in where.items():
        terms.append(f"{_groupable(name)} IS ?")
        values.append(value)
    return (f"WHERE {' AND '.join(terms)}" if terms else ""), values


def _to_record(columns: Sequence[str], row: Sequence[Any]) -> Record:
    fields = dict(zip(columns, row, strict=True))
    fields["is_stream"] = bool(fields["is_stream"])
    return Record(**fields)


def _to_group(by: Sequence[str], row: Sequence[Any]) -> Group:
    labels, sums, durations = row[: len(by)], row[len(by) : -3], row[-3:]
    total, upstream, first_token = map(_latency_of_text, durations)
    return Group(
        labels=dict(zip(by, labels, strict=True)),
        **dict(zip(_NAMES, sums, strict=True)),
        total=total,
        upstream=upstream,
        first_token=first_token,
    )


def _latency_of_text(durations: str | None) -> Latency | None:
    """SQLite hands a group's durations over as one text: an order faster than a row or a callback for each."""
    return None if durations is None else latency(array("q", map(int, durations.split(","))))


def latency(durations_us: Sequence[int]) -> Latency | None:
    """Nearest-rank percentiles; None without a duration."""
    if not durations_us:
        return None
    ranked, count = sorted(durations_us), len(durations_us)

    def rank(percent: int) -> int:
        return ranked[-(-percent * count // 100) - 1]

    return Latency(count, rank(50), rank(95), rank(99))
