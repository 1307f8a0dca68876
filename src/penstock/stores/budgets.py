"""What budgets have spent and hold, in the counters of a data folder.

The ledger is the truth, and what is here follows from it: a hold whose owner died, or that outlived its lease, is
settled by the call's row, and every account can be counted anew. Money in nano-dollars.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Sequence

import msgspec

from ..errors import StoreFailed
from ..ports import Clock
from ..ports.money import Account, Balance, Counted, Held
from .shared import SharedDatabase

#: What a row of the ledger counts for: its cost, or all that was held where that is not known.
COUNTED = "coalesce(cost_nano, held_nano, 0)"

#: How long a process may take to bring a row into the ledger's database.
PAUSE_S = 1.0

_COUNT_BUSY_MS = 5000
_LEASE_US = 60_000_000
_ADOPTION_US = 15_000_000
_PRUNE_US = 3_600_000_000
_PRUNED_ROWS = 1000
_NAMES = msgspec.json.Decoder(list[str])
_NOTHING = Balance()


class Difference(msgspec.Struct, frozen=True):
    """An account that was not what the ledger says: what it had, and what it has now."""

    title: str
    account: str
    before_nano: int
    after_nano: int


class SqliteBudgets:
    """Holds and settles in one short transaction each, for all processes of a host."""

    def __init__(self, shared: SharedDatabase, clock: Clock) -> None:
        self._shared, self._clock = shared, clock
        self._late: dict[str, tuple[int, str | None]] = {}
        self._pruned_us = 0

    async def hold(self, call_id: str, accounts: Sequence[Account], nano: int, until_us: int) -> Held:
        with self._shared.changing() as connection:
            late = self._settle_late(connection)
            held = _hold(connection, call_id, accounts, nano, (self._shared.owner.name(), until_us))
            self._prune(connection)
        self._forget(late)
        return held

    async def settle(self, call_id: str, nano: int, batch_id: str | None = None) -> None:
        self._late[call_id] = nano, batch_id
        try:
            with self._shared.changing() as connection:
                late = self._settle_late(connection)
        except StoreFailed:
            return  # with the next hold or settlement, or else by the sweeper
        self._forget(late)

    async def bill(self, batch_id: str, nano: int) -> None:
        with self._shared.changing() as connection:
            row = connection.execute("SELECT nano, accounts FROM batches WHERE batch_id = ?", (batch_id,)).fetchone()
            if row is not None:
                connection.execute("DELETE FROM batches WHERE batch_id = ?", (batch_id,))
                _spend(connection, _NAMES.decode(row[1]), nano - row[0], 0)

    def balances(self) -> dict[str, Balance]:
        """Of every account, by name. Blocks. Raises StoreFailed."""
        with self._shared.reading() as connection:
            return {
                row[0]: Balance(row[1], row[2])
                for row in connection.execute("SELECT name, spent_nano, held_nano FROM accounts")
            }

    def largest(self, prefix: str, most: int) -> tuple[list[tuple[str, Balance]], int]:
        """The accounts of a budget's period that have spent most, and how many there are in all.

        `prefix` is the name that they have, or that theirs begin with. Blocks. Raises StoreFailed.
        """
        within = "FROM accounts WHERE name >= ?1 AND name < ?1 || ' '"
        with self._shared.reading() as connection:
            rows = connection.execute(
                f"SELECT name, spent_nano, held_nano {within} ORDER BY spent_nano + held_nano DESC, name LIMIT ?2",
                (prefix, most),
            ).fetchall()
            (count,) = connection.execute(f"SELECT count(*) {within}", (prefix,)).fetchone()
        return [(name, Balance(spent, held)) for name, spent, held in rows], int(count)

    def _settle_late(self, connection: sqlite3.Connection) -> list[str]:
        late = list(self._late.items())
        for call_id, (nano, batch_id) in late:
            settle(connection, call_id, nano, batch_id)
        return [call_id for call_id, _ in late]

    def _forget(self, late: Iterable[str]) -> None:
        for call_id in late:
            self._late.pop(call_id, None)

    def _prune(self, connection: sqlite3.Connection) -> None:
        now_us = self._clock.wall_us()
        if now_us - self._pruned_us > _PRUNE_US:
            self._pruned_us = now_us
            old = "SELECT name FROM accounts WHERE until_us < ? AND held_nano = 0 LIMIT ?"
            connection.execute(f"DELETE FROM accounts WHERE name IN ({old})", (now_us, _PRUNED_ROWS))

    def sweep(self, ledger: sqlite3.Connection) -> int:
        """Settle the holds of dead processes, and those past their lease, by the ledger's rows; how many it were.

        To be called once the journals of the dead are in the ledger. A call that has no row there is still under way
        where its process lives, and never left where it does not. Blocks. Raises StoreFailed.
        """
        now_us, owner = self._clock.wall_us(), self._shared.owner
        with self._shared.reading() as connection:
            rows = connection.execute("SELECT call_id, owner, until_us FROM holds").fetchall()
        dead, is_alone = owner.dead({row[1] for row in rows}), owner.others() == 0
        swept = 0
        for call_id, holder, until_us in rows:
            if holder not in dead and until_us > now_us:
                continue
            row = ledger.execute(f"SELECT {COUNTED} FROM calls WHERE call_id = ?", (call_id,)).fetchone()
            with self._shared.changing() as connection:
                if row is not None:
                    swept += settle(connection, call_id, row[0])
                elif holder in dead and (is_alone or until_us <= now_us):
                    swept += settle(connection, call_id, 0)
                elif holder not in dead or until_us > now_us + _ADOPTION_US:
                    # Another process may have the dead one's journal in hand and its row not yet in the ledger.
                    lease_us = now_us + (_ADOPTION_US if holder in dead else _LEASE_US)
                    connection.execute("UPDATE holds SET until_us = ? WHERE call_id = ?", (lease_us, call_id))
        return swept

    def begin(self, ledger: sqlite3.Connection, budgets: Sequence[Counted], *, whole_from_us: int) -> list[Difference]:
        """At the start, and when a config is read again: count what was not counted before.

        Where no other process is at work the rest is checked too; what differs from the ledger is put right, and
        returned. Periods that began before `whole_from_us` are not checked, for rows of theirs may be gone. Blocks,
        also for the time others take to bring rows into the ledger. Raises StoreFailed.
        """
        with self._shared.reading() as connection:
            known = {row[0] for row in connection.execute("SELECT identity FROM budgets")}
        new = [one for one in budgets if one.identity not in known]
        if self._shared.owner.others():
            if new:
                threading.Event().wait(PAUSE_S)
                self._introduce(ledger, new)
            return []
        checked = [one for one in budgets if one.identity in known and one.from_us >= whole_from_us]
        found = self.count(ledger, [*new, *checked], pause_s=0.0)
        titles = {one.title for one in checked}
        return [one for one in found if one.title in titles]

    def _introduce(self, ledger: sqlite3.Connection, budgets: Sequence[Counted]) -> None:
        """Add what the ledger has to accounts that calls may be using already: of several processes one does.

        Calls that are under way now may not be counted to a budget that is new; the next check finds them.
        """
        for one in budgets:
            spent = _by_ledger(ledger, one, set())
            with self._shared.changing(_COUNT_BUSY_MS) as connection:
                mark = "INSERT OR IGNORE INTO budgets VALUES (?, ?)"
                if connection.execute(mark, (one.identity, self._clock.wall_us())).rowcount:
                    connection.executemany(
                        "INSERT INTO accounts VALUES (?1, ?2, 0, ?3) "
                        "ON CONFLICT (name) DO UPDATE SET spent_nano = spent_nano + ?2",
                        [(name, nano, one.kept_until_us) for name, nano in spent.items()],
                    )

    def count(self, ledger: sqlite3.Connection, budgets: Sequence[Counted], *, pause_s: float) -> list[Difference]:
        """Count the accounts of budgets anew from the ledger; what was otherwise before.

        No call of any process is held or settled meanwhile. `pause_s` gives others the time to bring the rows of those
        that were settled into the ledger; calls that still hold something are left to their settlement. Raises
        StoreFailed.
        """
        differences: list[Difference] = []
        with self._shared.changing(_COUNT_BUSY_MS) as connection:
            if pause_s:
                threading.Event().wait(pause_s)
            held = {row[0] for row in connection.execute("SELECT call_id FROM holds")}
            for one in budgets:
                spent = _by_ledger(ledger, one, held)
                before = {
                    row[0]: row[1]
                    for row in connection.execute(
                        "SELECT name, spent_nano FROM accounts WHERE until_us = ?", (one.kept_until_us,)
                    )
                    if row[0].startswith(one.name(())) and row[1] != spent.get(row[0], 0)
                }
                differences += [Difference(one.title, name, was, spent.get(name, 0)) for name, was in before.items()]
                connection.executemany(
                    "INSERT INTO accounts VALUES (?1, ?2, 0, ?3) ON CONFLICT (name) DO UPDATE SET spent_nano = ?2",
                    [(name, nano, one.kept_until_us) for name, nano in {**dict.fromkeys(before, 0), **spent}.items()],
                )
                connection.execute("INSERT OR IGNORE INTO budgets VALUES (?, ?)", (one.identity, self._clock.wall_us()))
        return differences


def conditions_of(budget: Counted) -> tuple[str, list[str]]:
    """What rows a budget is about, as SQL that follows a condition, and the values in it."""
    conditions = "".join(f" AND {column} IN ({', '.join('?' * len(values))})" for column, values in budget.where)
    return conditions, [value for _, values in budget.where for value in values]


def _by_ledger(ledger: sqlite3.Connection, budget: Counted, held: set[str]) -> dict[str, int]:
    """What each account of a budget has spent by the ledger, without calls that still hold something."""
    columns = "".join(f", coalesce({column}, '')" for column in budget.per)
    conditions, wanted = conditions_of(budget)
    values = (budget.from_us, budget.until_us, *wanted)
    within = f"FROM calls WHERE began_at_us >= ? AND began_at_us < ?{conditions}"
    groups = ", ".join(str(place) for place in range(2, 2 + len(budget.per)))
    query = f"SELECT sum({COUNTED}){columns} {within}" + (f" GROUP BY {groups}" if groups else "")
    spent = {budget.name(tuple(row[1:])): row[0] for row in ledger.execute(query, values) if row[0]}
    for call_id in held:
        row = ledger.execute(f"SELECT {COUNTED}{columns} {within} AND call_id = ?", (*values, call_id)).fetchone()
        if row is not None:
            spent[budget.name(tuple(row[1:]))] -= row[0]
    return spent


def _hold(
    connection: sqlite3.Connection, call_id: str, accounts: Sequence[Account], nano: int, lease: tuple[str, int]
) -> Held:
    names = [account.name for account in accounts]
    marks = ", ".join("?" * len(names))
    found = connection.execute(f"SELECT name, spent_nano, held_nano FROM accounts WHERE name IN ({marks})", names)
    known = {name: Balance(spent, held) for name, spent, held in found}
    balances = [known.get(name, _NOTHING) for name in names]
    if not nano:
        return Held(tuple(balances))
    for place, (account, balance) in enumerate(zip(accounts, balances, strict=True)):
        if account.limit_nano is not None and balance.spent_nano + balance.held_nano + nano > account.limit_nano:
            return Held(tuple(balances), place)
    if len(known) < len(names):
        connection.executemany(
            "INSERT OR IGNORE INTO accounts VALUES (?, 0, 0, ?)", [(one.name, one.until_us) for one in accounts]
        )
    connection.execute(f"UPDATE accounts SET held_nano = held_nano + ? WHERE name IN ({marks})", (nano, *names))
    connection.execute(
        "INSERT INTO holds VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (call_id) DO UPDATE SET nano = nano + ?4",
        (call_id, *lease, nano, msgspec.json.encode(names)),
    )
    return Held(tuple([Balance(balance.spent_nano, balance.held_nano + nano) for balance in balances]))


def settle(connection: sqlite3.Connection, call_id: str, nano: int, batch_id: str | None = None) -> bool:
    """Inside the caller's transaction: end a hold, so much of which was spent; False where there is none."""
    row = connection.execute("SELECT nano, accounts FROM holds WHERE call_id = ?", (call_id,)).fetchone()
    if row is None:
        return False
    connection.execute("DELETE FROM holds WHERE call_id = ?", (call_id,))
    _spend(connection, _NAMES.decode(row[1]), nano, row[0])
    if batch_id is not None:
        connection.execute("INSERT OR REPLACE INTO batches VALUES (?, ?, ?)", (batch_id, nano, row[1]))
    return True


def _spend(connection: sqlite3.Connection, names: list[str], nano: int, held: int) -> None:
    connection.execute(
        "UPDATE accounts SET held_nano = held_nano - ?, spent_nano = spent_nano + ? "
        f"WHERE name IN ({', '.join('?' * len(names))})",
        (held, nano, *names),
    )
