"""Simulated worlds: seeded callers, upstreams and stores around the real pipeline, in virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from msgspec.structs import replace

from penstock.call import Call, Target
from penstock.config.features import FeatureConfig
from penstock.config.money import BudgetConfig
from penstock.config.schema import Config
from penstock.errors import PenstockError, StoreFailed
from penstock.layer import Next
from penstock.pipeline import build
from penstock.ports import Key, Outgoing, Ports
from penstock.ports.money import Account, Held
from penstock.ports.simulated import Scripted, SimulatedUpstream, Task, World
from penstock.record import Intent, Record
from penstock.secret import Secret
from penstock.stores.memory import MemoryBudgets, MemoryRetryBudget
from penstock.wire.prices import PriceBook
from script import ANSWER, HELLO, JSON, SSE, STREAM, KeyRing, LedgerBook, a_call, routes, shared

SECRET = b"pk_" + b"w" * 32
KEY = Key(
    id="key_1",
    name="world",
    digest=hashlib.sha256(SECRET).digest(),
    shown="pk_…wwww",
    environment="dev",
    scopes=frozenset({"messages", "count_tokens", "models", "batches"}),
    created_at_us=0,
)
OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
ERROR_EVENT = (
    b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error","message":"O"} }\n\n'
)
PRICES = PriceBook()


class Ledger(LedgerBook):
    """The book, with seeded failures and the time a write takes."""

    def __init__(self, world: World, fail_share: float) -> None:
        super().__init__()
        self._world, self._fail_share = world, fail_share
        self.lost: list[Record] = []

    async def open(self, intent: Intent) -> None:
        await self._world.sleep(0.0)
        if self._world.random.random() < self._fail_share:
            raise StoreFailed("The disk is full.")
        await super().open(intent)

    async def close(self, record: Record) -> None:
        if self._world.random.random() < self._fail_share:
            self.lost.append(record)
            raise StoreFailed("The disk is full.")
        await super().close(record)


class Money(MemoryBudgets):
    """What is spent and held, with seeded failures; notes the most there ever was of each account."""

    def __init__(self, world: World, fail_share: float) -> None:
        super().__init__()
        self._world, self._fail_share = world, fail_share
        self.peaks: dict[str, int] = {}

    async def hold(self, call_id: str, accounts: Sequence[Account], nano: int, until_us: int) -> Held:
        await self._world.sleep(0.0)
        if self._world.random.random() < self._fail_share:
            raise StoreFailed("Locked.")
        held = await super().hold(call_id, accounts, nano, until_us)
        for account, balance in zip(accounts, held.balances, strict=True):
            peak = max(self.peaks.get(account.name, 0), balance.spent_nano + balance.held_nano)
            self.peaks[account.name] = peak
        return held


def some_budgets(random: Random) -> tuple[BudgetConfig, ...]:
    """None, or one that is tight for a dozen calls, and one for each user."""
    if random.random() < 0.4:
        return ()
    return (
        BudgetConfig(name="all", limit_usd=random.choice(["0.0005", "0.0015", "0.01"])),
        BudgetConfig(name="users", per=("user",), period="day", limit_usd=random.choice(["0.0005", "0.01"])),
    )


@dataclass
class Visit:
    """One caller's call, and what the caller saw of it."""

    call: Call
    hangs_up: bool
    got: list[bytes] = field(default_factory=list)
    status: int | None = None
    error: PenstockError | None = None
    is_whole: bool = False
    task: Task | None = None


def chopped(random: Random, body: bytes) -> tuple[bytes, ...]:
    """The same bytes in other pieces: most often by event, sometimes anywhere."""
    cuts = sorted(random.sample(range(1, len(body)), k=min(random.randrange(6), len(body) - 1)))
    return tuple(body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True))


def script_for(random: Random) -> Any:
    def script(request: Outgoing) -> Scripted:
        timing = {"head_s": random.uniform(0, 2), "gap_s": random.choice([0.0, 0.02, 0.5])}
        is_stream = b'"stream": true' in request.body
        chunks = STREAM if random.random() < 0.7 else chopped(random, b"".join(STREAM))
        if not is_stream:
            chunks = chopped(random, ANSWER) if random.random() < 0.3 else (ANSWER,)
        headers = SSE if is_stream else JSON
        fate = random.random()
        if fate < 0.50:
            return Scripted(headers=headers, chunks=chunks, **timing)
        if fate < 0.60:
            return Scripted(status=529, headers=JSON, chunks=(OVERLOADED,), **timing)
        if fate < 0.70:
            code = random.choice(["connect_failed", "connect_timeout", "first_byte_timeout", "reset", "bad_answer"])
            return Scripted(status=0, breaks=code, **timing)
        kept = chunks[: random.randrange(len(chunks))]
        if fate < 0.85:
            code = random.choice(["cut", "reset", "idle_timeout", "total_timeout"])
            return Scripted(headers=headers, chunks=kept, breaks=code, **timing)
        if fate < 0.95 or not is_stream:
            return Scripted(headers=headers, chunks=kept, **timing)  # ends cleanly, too early
        return Scripted(headers=headers, chunks=(*STREAM[: random.randrange(4)], ERROR_EVENT), **timing)

    return script


def a_visit(world: World, number: int) -> Visit:
    random = world.random
    body: dict[str, Any] = dict(HELLO)
    path, method = "/v1/messages", "POST"
    kind = random.random()
    if kind < 0.5:
        body["stream"] = True
    elif kind < 0.6:
        path = "/v1/messages/count_tokens"
    elif kind < 0.65:
        body.pop("model")
    elif kind < 0.7:
        path, method = "/v1/models", "GET"
    secret = SECRET if random.random() < 0.93 else b"pk_wrong"
    user = random.choice([b"ada", b"bob"])
    headers = ((b"x-api-key", secret), (b"x-world-call", b"call_%d" % number), (b"x-penstock-user", user))
    call = a_call(body, path=path, method=method, headers=headers)
    return Visit(replace(call, id=f"call_{number}", began=world.now()), random.random() < 0.25)


async def visit(core: Next, world: World, made: Visit) -> None:
    """What a face does with a call, and a caller with the answer."""
    try:
        reply = await core(made.call)
        made.status = reply.status
        try:
            stop_after = world.random.randrange(8) if made.hangs_up else None
            async for chunk in reply:
                made.got.append(chunk)
                if stop_after is not None and len(made.got) > stop_after:
                    break
                if world.random.random() < 0.2:
                    await world.sleep(world.uniform(0, 0.3))
            else:
                made.is_whole = True
        finally:
            await reply.aclose()
    except PenstockError as error:
        made.error = error


@dataclass
class Outcome:
    """A finished world, with all the books."""

    world: World
    visits: list[Visit]
    upstream: SimulatedUpstream
    ledger: Ledger
    retries: int  #: the burst of the retry budget, which gets half a retry back for each success
    money: Money
    budgets: tuple[BudgetConfig, ...]


def run_world(seed: int, *, calls: int = 12, feature: FeatureConfig | None = None) -> Outcome:
    """One world: `calls` callers at once, drawn from the seed, all of them of that feature."""
    world = World(seed)
    upstream = SimulatedUpstream(world, script_for(world.random))
    ledger = Ledger(world, world.random.choice([0.0, 0.0, 0.05, 0.3]))
    retries = world.random.choice([0, 2, 35])
    budgets, money = some_budgets(world.random), Money(world, world.random.choice([0.0, 0.0, 0.3]))
    kept = {**shared(world), "budgets": money}
    ports = Ports(world, world, upstream, ledger, KeyRing({KEY.digest: KEY}), MemoryRetryBudget(retries, 0.5), **kept)
    target = Target("anthropic", "https://api.example", Secret("sk-world-1234567890"))
    features = {} if feature is None else {"default": feature}
    core = build(Config(budgets=budgets, features=features), ports, routes(target), PRICES)
    visits = []
    for number in range(calls):
        made = a_visit(world, number)
        visits.append(made)
        made.task = world.spawn(visit(core, world, made), after_s=world.uniform(0, 1))
        if made.hangs_up and world.random.random() < 0.5:
            world.hang_up(made.task, after_s=world.uniform(0, 3))
    world.run()
    return Outcome(world, visits, upstream, ledger, retries, money, budgets)
