"""The stores in memory: the specification the others are held to, and the stores of simulated worlds."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ..ports import Circuit, Claim, Clock, Key, StoredAnswer
from ..ports.money import Account, Balance, Held
from ..record import Bill, Intent, Record
from .folding import killed
from .window import Window


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

    async def bill(self, bill: Bill) -> None:
        for call_id, record in self.records.items():
            if record.batch_id == bill.batch_id and record.cost_basis == "deferred":
                counts = {name: getattr(bill, name) for name in Bill.__struct_fields__}
                self.records[call_id] = replace(record, **counts, cost_basis="exact")

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


class Places:
    """How many are under way, by name, in this process."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._turn = threading.Lock()

    def enter(self, name: str, most: int) -> bool:
        with self._turn:
            taken = self._taken.get(name, 0)
            if taken >= most:
                return False
            self._taken[name] = taken + 1
            return True

    def leave(self, name: str) -> None:
        with self._turn:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]


class MemoryBudgets:
    """What one process has spent and holds."""

    def __init__(self) -> None:
        self.balances: dict[str, Balance] = {}
        self.holds: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.batches: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._lock = threading.Lock()

    async def hold(self, call_id: str, accounts: Sequence[Account], nano: int, until_us: int) -> Held:
        with self._lock:
            known = [self.balances.get(account.name, Balance()) for account in accounts]
            if not nano:
                return Held(tuple(known))
            for place, (account, now) in enumerate(zip(accounts, known, strict=True)):
                if account.limit_nano is not None and now.spent_nano + now.held_nano + nano > account.limit_nano:
                    return Held(tuple(known), place)
            held = tuple([Balance(now.spent_nano, now.held_nano + nano) for now in known])
            self.balances.update(zip([account.name for account in accounts], held, strict=True))
            before, names = self.holds.get(call_id, (0, tuple([account.name for account in accounts])))
            self.holds[call_id] = before + nano, names
            return Held(held)

    async def settle(self, call_id: str, nano: int, batch_id: str | None = None) -> None:
        with self._lock:
            held, names = self.holds.pop(call_id, (0, ()))
            self._spend(names, nano, held)
            if batch_id is not None and names:
                self.batches[batch_id] = nano, names

    async def bill(self, batch_id: str, nano: int) -> None:
        with self._lock:
            counted, names = self.batches.pop(batch_id, (nano, ()))
            self._spend(names, nano - counted, 0)

    def _spend(self, names: Iterable[str], nano: int, held: int) -> None:
        for name in names:
            now = self.balances[name]
            self.balances[name] = Balance(now.spent_nano + nano, now.held_nano - held)


class MemoryQuotas(Places):
    """The counts of one process."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[str, Window] = {}
        self._lock = threading.Lock()

    async def take(self, name: str, per_minute: int, amount: int = 1) -> float:
        with self._lock:
            window = self._windows.setdefault(name, Window())
            return window.take(self._clock.wall_us(), per_minute, amount)


class MemoryStatus:
    """What is known of the provider, for whoever watches it to set."""

    def __init__(self, incident: str | None = None) -> None:
        self.known = incident

    def incident(self) -> str | None:
        return self.known


class MemoryCircuits:
    """The circuits of one process."""

    def __init__(self) -> None:
        self._open: dict[str, Circuit] = {}
        self._lock = threading.Lock()

    async def find(self, name: str) -> Circuit | None:
        return self._open.get(name)

    async def all(self) -> Mapping[str, Circuit]:
        return dict(self._open)

    async def open(self, name: str, circuit: Circuit) -> None:
        self._open[name] = circuit

    async def probe(self, name: str, now_us: int, until_us: int) -> bool:
        with self._lock:
            known = self._open.get(name)
            if known is None or known.until_us > now_us or known.probed_until_us > now_us:
                return False
            self._open[name] = replace(known, probed_until_us=until_us)
            return True

    async def close(self, name: str) -> None:
        self._open.pop(name, None)


class MemoryAnswers:
    """The answers of one process, the oldest forgotten where there are too many bytes of them."""

    def __init__(self, bytes_max: int = 64 << 20) -> None:
        self._bytes_max, self._bytes = bytes_max, 0
        self._places: dict[str, _Place] = {}
        self._lock = threading.Lock()

    async def claim(self, name: str, digest: bytes, owner: str, now_us: int, lease_until_us: int) -> Claim:
        with self._lock:
            place = self._places.get(name)
            if place is not None and place.until_us > now_us:
                return Claim(place.digest, answer=place.answer)
            self._forget(name)
            self._places[name] = _Place(digest, owner, lease_until_us)
            return Claim(digest, is_mine=True)

    async def put(self, name: str, owner: str, answer: StoredAnswer, until_us: int) -> None:
        with self._lock:
            place = self._places.get(name)
            if place is not None and place.owner == owner and place.answer is None:
                self._fill(name, _Place(place.digest, owner, until_us, answer))

    async def keep(self, name: str, answer: StoredAnswer, until_us: int) -> None:
        with self._lock:
            self._fill(name, _Place(b"", answer.call_id, until_us, answer))

    def _fill(self, name: str, place: _Place) -> None:
        assert place.answer is not None
        self._forget(name)
        self._places[name] = place
        self._bytes += len(place.answer.body)
        while self._bytes > self._bytes_max:
            self._forget(next(name for name, kept in self._places.items() if kept.answer is not None))

    async def release(self, name: str, owner: str) -> None:
        with self._lock:
            place = self._places.get(name)
            if place is not None and place.owner == owner and place.answer is None:
                del self._places[name]

    async def find(self, name: str, now_us: int) -> StoredAnswer | None:
        place = self._places.get(name)
        return place.answer if place is not None and place.until_us > now_us else None

    def _forget(self, name: str) -> None:
        place = self._places.pop(name, None)
        if place is not None and place.answer is not None:
            self._bytes -= len(place.answer.body)


class _Place(Struct):
    digest: bytes
    owner: str
    until_us: int
    answer: StoredAnswer | None = None
