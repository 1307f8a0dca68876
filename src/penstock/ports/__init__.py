"""Everything that is not pure: time, chance, the network, what is remembered.

Protocols only. `blocking` and `loop` hold the real ones, `simulated` the seeded ones. These are the
only awaitables a layer may touch besides `onward` and the reply.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec

from ..call import Headers, Timeouts
from ..record import Intent, Record
from ..reply import Source


class Clock(Protocol):
    def now(self) -> float:
        """Monotonic seconds, for durations and deadlines."""
        ...

    def wall_us(self) -> int:
        """Unix time in microseconds, for records and prices."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Chance(Protocol):
    def uniform(self, low: float, high: float) -> float: ...

    def id(self, prefix: str) -> str:
        """A new identifier, `prefix_` and 26 characters, sorted by time of making."""
        ...


class Outgoing(msgspec.Struct, frozen=True):
    """One HTTP request for an upstream.

    `url` is scheme, host and optional port; `path` everything after, query included. `headers` are
    complete but for Host, Content-Length and Connection, which the port writes.
    """

    method: str
    url: str
    path: str
    headers: Headers
    body: bytes
    timeouts: Timeouts

    def __repr__(self) -> str:
        """Without path, header fields and body, for the same reason as a Call's."""
        return f"Outgoing({self.method} {self.url}, {len(self.body)} bytes)"


class Incoming(msgspec.Struct, frozen=True):
    """The head of an upstream's answer, and its body still to come.

    `headers` have lower-case names and are as received, hop-by-hop fields included; the body is
    de-chunked but otherwise untouched.
    """

    status: int
    headers: Headers
    source: Source


class Upstream(Protocol):
    async def send(self, request: Outgoing) -> Incoming:
        """Send a request and await the answer's head.

        Raises UpstreamFailed. Reading the source may raise it too: `cut` where the body ends before its
        framing says so, `reset`, `idle_timeout`, `total_timeout`.
        """
        ...

    async def aclose(self) -> None: ...


class Ledger(Protocol):
    """Both appends are with the operating system when they return."""

    async def open(self, intent: Intent) -> None:
        """Note that an upstream is about to be called. Raises StoreFailed: then it must not be."""
        ...

    async def close(self, record: Record) -> None:
        """Note how a call ended, once per call. Raises StoreFailed only if the record is lost."""
        ...


class Key(msgspec.Struct, frozen=True):
    """A virtual key as stored: never the key itself. Times are Unix microseconds."""

    id: str
    name: str
    digest: bytes
    shown: str
    environment: str
    scopes: frozenset[str]
    created_at_us: int
    tier: str | None = None
    models: frozenset[str] | None = None
    features: frozenset[str] | None = None
    expires_at_us: int | None = None
    revoked_at_us: int | None = None


class Keys(Protocol):
    async def find(self, digest: bytes) -> Key | None:
        """The key whose SHA-256 this is, revoked ones included, at most one second stale. Raises StoreFailed."""
        ...


class RetryBudget(Protocol):
    """How many retries all calls together have left, so that an outage is not met with a storm of them."""

    async def take(self) -> bool:
        """Take one; False where none is left."""
        ...

    async def succeeded(self) -> None:
        """An attempt was answered well: some of a retry comes back."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Built once, by a face."""

    clock: Clock
    chance: Chance
    upstream: Upstream
    ledger: Ledger
    keys: Keys
    retries: RetryBudget
