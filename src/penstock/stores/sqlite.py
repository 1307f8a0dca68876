"""The ledger on one machine: a journal the caller's thread appends to, and SQLite behind it.

An entry is with the operating system when `open` and `close` return, and survives the death of the process. One
thread folds the journal into SQLite in group commits, checkpoints there, drops rows past their days and adopts the
journals of dead processes. The caller's thread never touches SQLite.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import StoreFailed
from ..ports import Clock
from ..record import Bill, Intent, Record
from .folding import Told, adopt, fold_segment, note_opened, tell, trim
from .journal import Batch, Extend, Segment, allocate, bill_line, intent_line, read_lines, record_line
from .schema import Sync, connect, database, journal_folder, prepare, store_failed, unwritable
from .sums import prune, roll

#: How long the writer waits for company before it commits. Longer is cheaper, and later in reports.
WINDOW_S = 0.05
#: A segment larger than this is replaced once everything in it is in SQLite.
SEGMENT_BYTES = 16 << 20
#: With this much not yet in SQLite, calls are refused: the database has been failing for long.
BACKLOG_BYTES = 256 << 20
#: With this much noted in memory and not yet folded, it is forgotten there, to be read back from the journal.
FRESH_BYTES = 4 << 20
#: Records kept in memory while the journal cannot be written.
SPOOL_LINES = 10_000
#: How often the writer looks for dead journals and rows past their days.
TIDY_S = 10.0

_log = logging.getLogger("penstock.ledger")

_RETRY_S = 0.5
_TRIM_ROWS = 500
_DAY_US = 86_400_000_000


class SqliteLedger:
    """The ledger of a data folder, for both colours: `open` and `close` never suspend.

    `sync="disk"` waits for the disk at every append and commit, so that entries survive a power cut too. `keep_days`
    bounds how long rows are kept, `sums_keep_days` their sums; None keeps them. `extend` gives the journal its room.
    """

    def __init__(
        self,
        data: Path,
        clock: Clock,
        *,
        sync: Sync = "os",
        keep_days: int | None = 30,
        sums_keep_days: int | None = None,
        window_s: float = WINDOW_S,
        segment_bytes: int = SEGMENT_BYTES,
        spool_lines: int = SPOOL_LINES,
        extend: Extend = allocate,
    ) -> None:
        #: Called now and then with the database, once what dead processes left is in it. Its StoreFailed is no trouble.
        self.tidied: Callable[[sqlite3.Connection], object] | None = None
        #: Each is told of records that have become rows, once, in the writer's thread.
        self.watchers: list[Told] = []
        self._data, self._clock, self._sync, self._keep_days = data, clock, sync, keep_days
        self._window_s, self._extend, self._sums_keep_days = window_s, extend, sums_keep_days
        self._segment_bytes, self._spool_lines = segment_bytes, spool_lines
        self._inherited: list[object] = []
        self._make_locks()
        self._begin()
        self_ref = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forked(self_ref))
        atexit.register(_leave, self_ref)

    def _make_locks(self) -> None:
        self._appending = threading.RLock()  # re-entrant: a finaliser may settle a call while one is appended
        self._folding = threading.RLock()  # taken before the other, where both are

    def _begin(self) -> None:
        """The state of a process that has written nothing yet."""
        self._wake = threading.Event()
        self._is_asleep = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._segment: Segment | None = None
        self._full: Segment | None = None  # replaced, and not yet all in SQLite
        self._spool: deque[bytes] = deque()
        self._opened: dict[str, bytes] = {}
        self._tidied_at: float | None = None
        self._trouble: StoreFailed | None = None

    # -- the port ------------------------------------------------------------------------------------------

    async def open(self, intent: Intent) -> None:
        """Note that an upstream is about to be called. Raises StoreFailed: then it must not be."""
        line = intent_line(intent)
        with self._appending:
            segment = self._segment
            if segment is not None and segment.size - segment.folded > BACKLOG_BYTES:
                raise self._trouble or StoreFailed(
                    f"More than {BACKLOG_BYTES >> 20} MiB of the journal wait for the database.",
                    code="ledger_behind",
                    fix="Look at the load and the free space of the disk that holds the data folder.",
                )
            try:
                fresh = self._append(line)
            except OSError as error:
                raise unwritable(journal_folder(self._data), error) from error
            fresh.opened[intent.call_id] = line
            fresh.size += len(line)

    async def close(self, record: Record) -> None:
        """Note how a call ended. While the journal cannot be written the record waits in memory.

        The record may not be changed any more: the row is made of it. Raises StoreFailed only if the record is
        lost: because too many wait, or it cannot be encoded.
        """
        line = record_line(record)
        with self._appending:
            try:
                fresh = self._append(line)
            except OSError as error:
                if len(self._spool) >= self._spool_lines:
                    failure = unwritable(journal_folder(self._data), error)
                    _log.error("The record of call %s is lost: %s", record.call_id, failure)
                    raise failure from error
                self._spool.append(line)
                self._rouse()
                return
            fresh.records.append(record)
            fresh.size += len(line)  # last: what is counted is noted

    async def bill(self, bill: Bill) -> None:
        """Note what a batch came to, for the row of the call that made it. Raises StoreFailed: then it is not noted."""
        line = bill_line(bill)
        with self._appending:
            try:
                fresh = self._append(line)
            except OSError as error:
                raise unwritable(journal_folder(self._data), error) from error
            fresh.bills.append(bill)
            fresh.size += len(line)

    def _append(self, line: bytes) -> Batch:
        """Write a line after those still in the spool, and return where to note its entry. Raises OSError."""
        segment = self._segment
        if segment is None:
            segment = self._segment = self._first_segment()
        if self._spool:
            self._unspool(segment)
        self._put(segment, line)
        if self._thread is None or self._is_asleep:
            self._rouse()
        if segment.fresh.size > FRESH_BYTES:
            segment.fresh = Batch()
        return segment.fresh

    def _put(self, segment: Segment, line: bytes) -> None:
        segment.append(line)
        if self._sync == "disk":
            os.fdatasync(segment.fd)

    def _unspool(self, segment: Segment) -> None:
        while self._spool:
            self._put(segment, self._spool[0])
            self._spool.popleft()

    def _unspool_quietly(self) -> None:
        """Write what the spool holds, if the journal can be written again."""
        with self._appending, contextlib.suppress(OSError):
            if self._spool:
                self._segment = self._segment or self._first_segment()
                self._unspool(self._segment)

    def _first_segment(self) -> Segment:
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Segment.create(journal_folder(self._data), self._extend)

    # -- for whoever runs the ledger: these block ---------------------------------------------------------------

    def start(self) -> None:
        """Open the journal and the database now, and adopt what dead processes left, so that faults show at once.

        Blocks. Not needed: the first append does the same in the background. Raises StoreFailed.
        """
        prepare(self._data, database(self._data))
        with self._appending:
            if self._segment is None:
                try:
                    self._segment = self._first_segment()
                except OSError as error:
                    raise unwritable(journal_folder(self._data), error) from error
        with self._folding:
            self._trouble = self._try_fold()  # not `flush`: nothing is kept for later by what does not start
            if self._trouble is not None:
                raise self._trouble
        with self._appending:
            self._rouse()

    def flush(self) -> None:
        """Put everything appended so far into SQLite. Blocks: on a loop, call it in an executor. Raises StoreFailed."""
        with self._folding:
            self._unspool_quietly()
            self._fold()
            if self._trouble is not None:
                raise self._trouble

    def close_store(self) -> None:
        """Flush and let everything go. Calls still open stay in the journal, to be found as killed. Blocks.

        An append after this opens the journal again. Raises StoreFailed if the database fails; nothing is lost
        then, the next process folds the journal.
        """
        if self._segment is None and self._connection is None and not self._spool:
            return
        thread = self._thread
        self._stop.set()
        self._wake.set()
        try:
            self.flush()
        finally:
            with self._folding, self._appending:
                self._let_go()
            if thread is not None:
                thread.join(1.0)

    def _let_go(self) -> None:
        segment, connection = self._segment, self._connection
        if self._full is not None:
            self._full.close()
        if segment is not None:
            if segment.folded == segment.size and not self._opened:
                segment.delete()
            else:
                segment.close()
        if connection is not None:
            connection.close()
        spool = self._spool
        self._begin()
        self._spool = spool

    @property
    def trouble(self) -> StoreFailed | None:
        """Why the last fold failed, if it did: rows are late, not lost. For health checks."""
        return self._trouble

    @property
    def lag_bytes(self) -> int:
        """How much of the journal is not in SQLite yet."""
        segment = self._segment
        return 0 if segment is None else segment.size - segment.folded

    # -- the writer ------------------------------------------------------------------------------------------

    def _rouse(self) -> None:
        if self._thread is None:
            thread = threading.Thread(
                target=self._write_behind, args=(self._wake, self._stop), name="penstock-ledger", daemon=True
            )
            with contextlib.suppress(RuntimeError):  # the interpreter is going down; the journal keeps the entry
                thread.start()
                self._thread = thread
        self._wake.set()

    def _is_idle(self) -> bool:
        return not self.lag_bytes and not self._spool

    def _write_behind(self, wake: threading.Event, stop: threading.Event) -> None:
        """The writer thread: fold when there is something, tidy when there is not."""
        while not stop.is_set():
            if self._trouble is not None or self._spool:
                stop.wait(_RETRY_S)
            elif self._is_idle():
                wake.clear()
                self._is_asleep = True
                # asked again: an append that came before the flag did not wake us
                is_woken = not self._is_idle() or wake.wait(TIDY_S)
                self._is_asleep = False
                if is_woken:
                    continue
            else:
                stop.wait(self._window_s)
            self._turn(stop)

    def _turn(self, stop: threading.Event) -> None:
        with self._folding:
            if not stop.is_set():
                self._unspool_quietly()
                self._fold()

    def _fold(self) -> None:
        """Fold and tidy; what fails becomes `trouble`, which is logged when it begins."""
        before, self._trouble = self._trouble, self._try_fold()
        if self._trouble is not None and before is None:
            _log.warning("Calls are kept in the journal for now: %s", self._trouble)

    def _try_fold(self) -> StoreFailed | None:
        try:
            connection = self._connected()
            self._fold_segments(connection)
            if self._segment is not None and self._segment.size - self._segment.carried > self._segment_bytes:
                self._rotate(self._segment)
                self._fold_segments(connection)
            if self._is_tidying_due():
                self._tidy(connection)
        except sqlite3.Error as error:
            return store_failed(database(self._data), error)
        except OSError as error:
            return unwritable(journal_folder(self._data), error)
        except StoreFailed as error:
            return error
        return None

    def _fold_segments(self, connection: sqlite3.Connection) -> None:
        if self._full is not None:
            self._fold_segment(connection, self._full)
            self._full.delete()
            self._full = None
        if self._segment is not None:
            self._fold_segment(connection, self._segment)

    def _fold_segment(self, connection: sqlite3.Connection, segment: Segment) -> None:
        with self._appending:
            taken = segment.take()
        fold_segment(connection, segment, taken, self._opened, self._tell)

    def _tell(self, records: Sequence[Record]) -> None:
        tell(self.watchers, records)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._data, sync=self._sync)
        return self._connection

    def _rotate(self, full: Segment) -> None:
        """Go on in a new segment, which starts with the calls still open. The full one is deleted once it is folded."""
        new = Segment.create(full.path.parent, self._extend)
        try:
            with self._appending:  # appends wait here: no SQLite while they do
                opened = dict(self._opened)
                note_opened(read_lines(full.rest()), opened)
                if opened:
                    self._put(new, b"".join(opened.values()))
                new.folded = new.carried = new.size
                self._segment, self._full = new, full
        except BaseException:
            new.delete()
            raise

    def _is_tidying_due(self) -> bool:
        now = self._clock.now()
        if self._tidied_at is not None and now < self._tidied_at + TIDY_S:
            return False
        self._tidied_at = now
        return True

    def _tidy(self, connection: sqlite3.Connection) -> None:
        adopt(connection, journal_folder(self._data), self._tell)
        roll(connection)
        if self.tidied is not None:
            with contextlib.suppress(StoreFailed):
                self.tidied(connection)
        if self._keep_days is not None:
            before_us = self._clock.wall_us() - self._keep_days * _DAY_US
            while trim(connection, before_us, _TRIM_ROWS) == _TRIM_ROWS:
                self._fold_segments(connection)
        if self._sums_keep_days is not None:
            prune(connection, self._clock.wall_us() - self._sums_keep_days * _DAY_US)

    def _start_over_after_fork(self) -> None:
        """In a forked child: the journal, the connection and the thread are the parent's.

        The connection is kept where nothing closes it: a process may neither use nor close what it inherited.
        """
        self._inherited.append(self._connection)
        self._make_locks()
        self._begin()


def _forked(ledger_ref: weakref.ref[SqliteLedger]) -> None:
    ledger = ledger_ref()
    if ledger is not None:
        ledger._start_over_after_fork()


def _leave(ledger_ref: weakref.ref[SqliteLedger]) -> None:
    ledger = ledger_ref()
    if ledger is not None:
        with contextlib.suppress(StoreFailed):  # nothing is lost: the next process folds the journal
            ledger.close_store()
