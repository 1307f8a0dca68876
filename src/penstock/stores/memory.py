"""The stores in memory: the specification the others are held to, and the stores of simulated worlds."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from ..ports import Key
from ..record import Intent, Record
from .folding import killed


class MemoryLedger:
    """A ledger that forgets with the process. `records` and `opened` are by call id, in the order they came."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.opened: dict[str, Intent] = {}

    async def open(self, intent: Intent) -> None:
        self.opened[intent.call_id] = intent

    async def close(self, record: Record) -> None:
        self.opened.pop(record.call_id, None)
        known = self.records.get(record.call_id)
        if known is None or known.ending == "killed":
            self.records[record.call_id] = record

    def recover(self) -> int:
        """What a restart finds: every call still open becomes a killed one. Returns how many."""
        unfinished, self.opened = self.opened, {}
        for intent in unfinished.values():
            self.records.setdefault(intent.call_id, killed(intent))
        return len(unfinished)


class MemoryRetryBudget:
    """The retries of one process: `burst` at most, of which each success gives `refill` back."""

    def __init__(self, burst: float, refill: float) -> None:
        self._burst, self._refill = burst, refill
        self._left = burst
        self._lock = threading.Lock()

    @property
    def left(self) -> float:
        return self._left

    async def take(self) -> bool:
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True

    async def succeeded(self) -> None:
        if self._left < self._burst:  # full most of the time, and then there is nothing to lock
            with self._lock:
                self._left = min(self._burst, self._left + self._refill)


class MemoryKeys:
    """Virtual keys that forget with the process. Put and revoked keys count at once."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self.keys: dict[bytes, Key] = {key.digest: key for key in keys}

    async def find(self, digest: bytes) -> Key | None:
        return self.keys.get(digest)

    def put(self, key: Key) -> None:
        """Add a key, or replace the one with its digest."""
        self.keys[key.digest] = key
