"""Sums over recent spans of the ledger, cheap enough to be taken every few seconds beside the calls.

Durations and counts are of calls by when they ended, for what hangs is known only then; money and tokens by when they
began, as budgets have it. A piece of time whose calls have all ended and been billed is summed once and remembered.
Blocks; everything raises StoreFailed. Times are Unix microseconds, money nano-dollars.
"""

from __future__ import annotations

from array import array
from pathlib import Path

import msgspec

from ..ports.money import Counted
from .budgets import COUNTED, conditions_of
from .folding import adopt
from .reading import latency
from .schema import connect, database, failing, journal_folder
from .shared import SharedDatabase

#: No call takes longer, as far as these sums know.
LONGEST_US = 3_600_000_000
#: Sums are made of pieces so long, on the clock.
PIECE_US = 600_000_000

_PIECES_MAX = 10_000
#: A refusal says that the caller was wrong or a limit held, unless something of ours did not work. Nobody waits for
#: copies, and a model that is only tried out wakes nobody.
_JUDGED = "NOT (ending = 'refused' AND coalesce(status, 0) < 500) AND NOT coalesce(arm, '') LIKE 'shadow:%'"
_FAILED = "ending IN ('failed', 'truncated', 'killed', 'refused')"
_ENDED = "began_at_us >= ?1 - ?3 AND began_at_us < ?2 AND began_at_us + total_us BETWEEN ?1 AND ?2"


class Ended(msgspec.Struct, frozen=True):
    """The calls that ended in a span: how many, how many of them failed; and of the messages, what one of twenty took
    longer than, in microseconds."""

    calls: int = 0
    failed: int = 0
    timed: int = 0
    p95_us: int = 0


class Spent(msgspec.Struct, frozen=True):
    """What the calls that began in a span cost, and the input they had: all of it, and what was read from cache."""

    nano: int = 0
    input_tokens: int = 0
    read_tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.nano + other.nano, self.input_tokens + other.input_tokens, self.read_tokens + other.read_tokens
        )


class Recent:
    """The ledger of a data folder, for one reader at a time. `adopts` folds what dead processes left in it first."""

    def __init__(self, data: Path, *, adopts: bool = False) -> None:
        self._place = database(data)
        self._connection = connect(data)
        self._pieces: dict[int, Spent] = {}
        if adopts:
            with failing(self._place):
                adopt(self._connection, journal_folder(data))

    def close(self) -> None:
        self._connection.close()

    def first_us(self) -> int | None:
        """When the oldest call that is known began; None where there is none."""
        with failing(self._place):
            row = self._connection.execute("SELECT min(began_at_us) FROM calls").fetchone()
        return None if row[0] is None else int(row[0])

    def ended(self, from_us: int, until_us: int) -> Ended:
        """The calls that ended in a span."""
        timed = "CASE WHEN endpoint = 'messages' AND ending NOT IN ('refused', 'killed') THEN total_us END"
        sums = f"count(*), coalesce(sum({_FAILED}), 0), group_concat({timed})"
        query = f"SELECT {sums} FROM calls WHERE {_ENDED} AND {_JUDGED}"
        with failing(self._place):
            calls, failed, durations = self._connection.execute(query, (from_us, until_us, LONGEST_US)).fetchone()
        ranked = latency(array("q", map(int, durations.split(",")))) if durations else None
        return Ended(calls, failed, ranked.count if ranked else 0, ranked.p95_us if ranked else 0)

    def spent(self, from_us: int, until_us: int, now_us: int) -> Spent:
        """What the calls that began in a span spent."""
        total, at_us = Spent(), from_us
        while at_us < until_us:
            next_us = min((at_us // PIECE_US + 1) * PIECE_US, until_us)
            total += self._piece(at_us, next_us, now_us)
            at_us = next_us
        return total

    def _piece(self, from_us: int, until_us: int, now_us: int) -> Spent:
        is_whole = until_us - from_us == PIECE_US
        if is_whole and from_us in self._pieces:
            return self._pieces[from_us]
        with failing(self._place):
            row = self._connection.execute(
                f"SELECT coalesce(sum({COUNTED}), 0), coalesce(sum(input_tokens + cache_read_tokens "
                "+ cache_write_5m_tokens + cache_write_1h_tokens), 0), coalesce(sum(cache_read_tokens), 0), "
                "coalesce(sum(cost_basis = 'deferred'), 0) "
                "FROM calls WHERE began_at_us >= ? AND began_at_us < ?",
                (from_us, until_us),
            ).fetchone()
        piece = Spent(row[0], row[1], row[2])
        if is_whole and until_us < now_us - LONGEST_US and not row[3]:
            if len(self._pieces) >= _PIECES_MAX:
                self._pieces.clear()
            self._pieces[from_us] = piece
        return piece

    def spent_by(self, budget: Counted, from_us: int, until_us: int) -> dict[str, int]:
        """What each account of a budget spent in a span, by the account's name."""
        columns = "".join(f", coalesce({column}, '')" for column in budget.per)
        conditions, wanted = conditions_of(budget)
        groups = ", ".join(str(place) for place in range(2, 2 + len(budget.per)))
        query = f"SELECT sum({COUNTED}){columns} FROM calls WHERE began_at_us >= ? AND began_at_us < ?{conditions}"
        values = (from_us, until_us, *wanted)
        with failing(self._place):
            rows = self._connection.execute(query + (f" GROUP BY {groups}" if groups else ""), values).fetchall()
        return {budget.name(tuple(row[1:])): row[0] for row in rows if row[0]}


def accounts(shared: SharedDatabase, prefix: str, least_nano: int) -> list[tuple[str, int]]:
    """The accounts of a budget's period that have spent so much, and what: those named so, or so and a separator."""
    with shared.reading() as connection:
        return connection.execute(
            "SELECT name, spent_nano FROM accounts WHERE name >= ? AND name < ? AND spent_nano >= ?",
            (prefix, prefix + "\x20", least_nano),
        ).fetchall()
