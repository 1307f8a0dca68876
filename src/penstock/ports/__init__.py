"""Everything that is not pure: time, chance, the network, what is remembered.

Protocols only. `blocking` and `loop` hold the real ones, `simulated` the seeded ones. These are the
only awaitables a layer may touch besides `onward` and the reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from ..call import Headers, Timeouts
from ..record import Bill, Intent, Record
from ..reply import Source
from ..wire.limits import Shown
from .money import Budgets

T = TypeVar("T")


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

    async def bill(self, bill: Bill) -> None:
        """Note what a batch came to. Of several bills the first counts. Raises StoreFailed: then it is not noted."""
        ...


class Key(msgspec.Struct, frozen=True):
    """A virtual key as stored: never the key itself. Times are Unix microseconds.

    `limit_nano` is what it may spend in a `period` (day | week | month | total), in nano-dollars; None for no limit.
    `lineage` is the id of the key it came from by rotation, the first of them: together they have one limit.
    """

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
    limit_nano: int | None = None
    period: str = "month"
    lineage: str | None = None


class Keys(Protocol):
    async def find(self, digest: bytes) -> Key | None:
        """The key whose SHA-256 this is, revoked ones included, at most one second stale. Raises StoreFailed."""
        ...


class Status(Protocol):
    """What the provider says of itself."""

    def incident(self) -> str | None:
        """The incident that is open and touches the API, in the provider's words; None where there is none known."""
        ...


class Race(msgspec.Struct, Generic[T], frozen=True):
    """`after_s`: how long `one` has for itself. `lost` gives up what came and is not wanted."""

    after_s: float
    is_good: Callable[[T], bool]
    lost: Callable[[T], Awaitable[None]]


class Tasks(Protocol):
    """Two things at once: for hedging, and for what nobody waits for."""

    async def first(self, one: Callable[[], Awaitable[T]], other: Callable[[], Awaitable[T]], race: Race[T]) -> T:
        """What `one` comes to, or where that is not good, or not there in time, the first good one of both.

        `other` is begun only where `one` is not there in time. Where neither is good, it is that of `one`. The one that
        loses is cancelled where it has not come yet, or else lost. Cancelling this gives both up.
        """
        ...

    def beside(self, work: Callable[[], Awaitable[None]]) -> None:
        """Begin this beside the call, which does not wait for it and does not hear how it ended."""
        ...


class RetryBudget(Protocol):
    """How many retries all calls together have left, so that an outage is not met with a storm of them."""

    async def take(self) -> bool:
        """Take one; False where none is left."""
        ...

    async def succeeded(self) -> None:
        """An attempt was answered well: some of a retry comes back."""
        ...


class Quotas(Protocol):
    """Counts per minute that every process of a host keeps together."""

    async def take(self, name: str, per_minute: int, amount: int = 1) -> float:
        """Take `amount` of what `name` may have in any 60 seconds.

        0.0 where it was taken; else nothing was, and this many seconds from now it would be. Raises StoreFailed.
        """
        ...

    def enter(self, name: str, most: int) -> bool:
        """Take one of the `most` places that `name` has in this process; False where all are taken."""
        ...

    def leave(self, name: str) -> None:
        """Give a place back."""
        ...


class Demand(msgspec.Struct, frozen=True):
    """What a call will take of an upstream's limits, as far as it shows, and in whose name and lane."""

    input_tokens: float
    output_tokens_max: float
    lane: str
    tenant: str


class Turn(msgspec.Struct):
    """A place in the queue for an upstream: what it is expected to take, by kind, and what its demand said.

    `expected_s`: how long the wait will be, by what was known when it was taken; without end where the queue was full.
    `tells`: whether what its answer shows of the limits is of use.
    """

    scope: str
    estimate: dict[str, float]
    input_tokens: float
    lane: str
    expected_s: float = 0.0
    has_come: bool = False
    has_left: bool = False
    is_corrected: bool = False
    tells: bool = True


class Pace(msgspec.Struct, frozen=True):
    """How one group of models stands at an upstream and key, `target`: for people to see.

    `limits` per minute and what is left of them now, by kind. `under_way` are the calls to the target as a whole, of at
    most `concurrency_max` (0: no limit), `waiting` those of the group. For `closed_s` seconds nothing is sent.
    """

    target: str
    group: str
    limits: Mapping[str, tuple[float, float]]
    waiting: int
    under_way: int
    concurrency_max: int
    closed_s: float


class Paces(Protocol):
    """The upstreams' own limits as this process knows them. No method waits; all times are seconds."""

    def enter(self, target: str, group: str, demand: Demand, known: Mapping[str, float]) -> Turn:
        """Ask for a turn. `known`: limits per minute that hold before any answer has shown them."""
        ...

    def ask(self, turn: Turn) -> float:
        """0.0 where it has come; else in how many seconds to ask again."""
        ...

    def leave(self, turn: Turn, *, took_nothing: bool = False) -> None:
        """Give up a turn that has not come, or end one that has, which may have taken nothing. Twice is safe."""
        ...

    def learn(self, turn: Turn, limits: Mapping[str, Shown]) -> None:
        """What an answer's head shows: the limits, and what is left of them."""
        ...

    def close(self, turn: Turn, seconds: float, *, is_ramp: bool) -> None:
        """The upstream refused for so long. `is_ramp`: because traffic grew too fast."""
        ...

    def correct(self, turn: Turn, input_tokens: float, output_tokens: float, *, is_final: bool) -> None:
        """What an answer says it used, uncached input and output, instead of the estimate."""
        ...

    def tell(self, target: str, limits: Mapping[str, Mapping[str, float]]) -> None:
        """The limits per minute of a target, by group of models and kind, as the upstream lists them."""
        ...

    def limit(self, target: str, *, concurrency_max: int) -> None:
        """Let no more calls be under way at a target; 0 for no limit."""
        ...

    def standing(self) -> list[Pace]:
        """How every target and group that was called stands now."""
        ...


class Circuit(msgspec.Struct, frozen=True):
    """An upstream and model that is not to be called. Times are Unix microseconds.

    Open until `until_us`; after it one probe at a time may go, which has it until `probed_until_us`. `opens` counts how
    often it has opened since it was last closed, by which the time grows.
    """

    until_us: int
    opens: int
    probed_until_us: int = 0


class Circuits(Protocol):
    """What every process of a host knows of upstreams that fail. The evidence is each process's own."""

    async def find(self, name: str) -> Circuit | None:
        """None where it is closed; at most a second stale. Raises StoreFailed."""
        ...

    async def all(self) -> Mapping[str, Circuit]:
        """Every circuit that is not closed, by name. Raises StoreFailed."""
        ...

    async def open(self, name: str, circuit: Circuit) -> None:
        """Open it, or open it anew. Raises StoreFailed."""
        ...

    async def probe(self, name: str, now_us: int, until_us: int) -> bool:
        """Take the one probe of a circuit whose time is over; False where another has it. Raises StoreFailed."""
        ...

    async def close(self, name: str) -> None:
        """Close it. Raises StoreFailed."""
        ...


class StoredAnswer(msgspec.Struct, frozen=True):
    """A good answer kept for later: every byte of it. `made_at_us` is Unix time in microseconds."""

    call_id: str
    status: int
    headers: Headers
    body: bytes
    made_at_us: int
    cost_nano: int | None = None


class Claim(msgspec.Struct, frozen=True):
    """What became of asking for an answer's place.

    `is_mine`: nobody has it, and the asker is to fill it before its lease ends. `answer`: there it is. Neither: another
    call is at work on it. `digest` is of the request it belongs to.
    """

    digest: bytes
    is_mine: bool = False
    answer: StoredAnswer | None = None


class Answers(Protocol):
    """Answers kept by name, for whoever asks the same again. Every method raises StoreFailed."""

    async def claim(self, name: str, digest: bytes, owner: str, now_us: int, lease_until_us: int) -> Claim:
        """See what is at `name`, and take the place where it is free, or its lease or its answer has run out."""
        ...

    async def put(self, name: str, owner: str, answer: StoredAnswer, until_us: int) -> None:
        """Fill a place, until then. Nothing happens where `owner` does not have it any more."""
        ...

    async def release(self, name: str, owner: str) -> None:
        """Leave a place unfilled. Nothing happens where `owner` does not have it."""
        ...

    async def keep(self, name: str, answer: StoredAnswer, until_us: int) -> None:
        """Put an answer where no one claims, in the place of what is there."""
        ...

    async def find(self, name: str, now_us: int) -> StoredAnswer | None:
        """The answer at `name` that has not run out."""
        ...


class Exchange(msgspec.Struct, frozen=True):
    """A request and its answer as the caller sent and got them, to be kept; neither is scrubbed yet."""

    call_id: str
    began_at_us: int
    request: bytes
    answer: bytes
    is_stream: bool = False


class Bodies(Protocol):
    def keep(self, exchange: Exchange) -> None:
        """Keep it, in a while. Never waits, never raises: what cannot be kept is not."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """Built once, by a face. `salt` goes into every hash of a prompt that is written down, so that none can be guessed;
    nothing that lasts is written where it is empty."""

    clock: Clock
    chance: Chance
    upstream: Upstream
    ledger: Ledger
    keys: Keys
    retries: RetryBudget
    quotas: Quotas
    budgets: Budgets
    circuits: Circuits
    answers: Answers
    paces: Paces
    status: Status
    tasks: Tasks
    salt: bytes = b""
    bodies: Bodies | None = None
