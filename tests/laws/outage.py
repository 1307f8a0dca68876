"""A world whose upstream fails at random, or dies and comes back, for Penstock and for the bare SDK."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from laws.overload import bare
from penstock.call import Tags, Target, Timeouts
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config, PacingConfig, ResilienceConfig, RoutingConfig, UpstreamConfig
from penstock.errors import PenstockError
from penstock.pipeline import build
from penstock.ports import Incoming, Outgoing, Ports
from penstock.ports.simulated import World
from penstock.secret import Secret
from penstock.simulator import Faults, Pace, Simulator
from penstock.simulator.upstream import SimulatorUpstream
from penstock.stores.memory import MemoryKeys, MemoryLedger, MemoryRetryBudget
from penstock.wire.prices import PriceBook
from script import a_call, routes, shared

BODY = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": [{"role": "user", "content": "Say hello."}]}
BUDGET, REFILL = 35, 0.5


@dataclass
class Done:
    """One call, in virtual seconds since the world began. `code` is empty where it was answered."""

    asked: float
    ended: float = 0.0
    code: str = ""


@dataclass
class Outcome:
    """What came of the calls, and when the upstream got each attempt."""

    calls: list[Done] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)

    @property
    def goodput(self) -> float:
        return sum(not one.code for one in self.calls) / len(self.calls)

    @property
    def attempts_per_call(self) -> float:
        return len(self.attempts) / len(self.calls)

    @property
    def budgeted(self) -> float:
        """The attempts that the retry budget allows: one a call, the burst, and what successes gave back."""
        return len(self.calls) + BUDGET + REFILL * sum(not one.code for one in self.calls)

    def since(self, at: float, until: float = 1e9) -> list[Done]:
        return [one for one in self.calls if at <= one.asked < until]


class Counted:
    """An upstream that notes when it is asked, and can be dead for a while."""

    def __init__(self, inner: SimulatorUpstream, world: World, attempts: list[float]) -> None:
        self._inner, self._world, self._attempts = inner, world, attempts

    async def send(self, request: Outgoing) -> Incoming:
        self._attempts.append(self._world.now())
        return await self._inner.send(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def outage(
    seed: int,
    *,
    faults: Faults | None = None,
    schedule: Sequence[str] = (),
    count: int = 1000,
    over_s: float = 10.0,
    deadline_s: float = 60.0,
    is_bare: bool = False,
    has_spare: bool = False,
    resilience: ResilienceConfig | None = None,
) -> Outcome:
    """`count` calls within `over_s` virtual seconds. `has_spare`: a second, healthy upstream is the fallback."""
    world, outcome = World(seed), Outcome()
    began = world.now()

    def simulator(faults: Faults | None, schedule: Sequence[str]) -> Simulator:
        return Simulator(
            seed=seed,
            clock=lambda: world.wall_us() / 1e6,
            faults=faults,
            schedule=schedule,
            pace=Pace(first_token_ms=300, tokens_per_s=200),
            keep_requests=0,
        )

    failing = simulator(faults, schedule)
    upstreams = {"http://sim": Counted(SimulatorUpstream(failing, world), world, outcome.attempts)}
    targets = [Target("sim", "http://sim", Secret(failing.key))]
    if has_spare:
        spare = simulator(None, ())
        upstreams["http://spare"] = Counted(SimulatorUpstream(spare, world), world, [])
        targets.append(Target("spare", "http://spare", Secret(spare.key)))
    chain = FeatureConfig(timeout_s=deadline_s, fallback=("@spare",) if has_spare else ())
    config = Config(
        features={"chat": chain},
        upstreams={target.name: UpstreamConfig(url=target.url) for target in targets},
        routing=RoutingConfig(default="sim"),
        pacing=PacingConfig(learns=False),
        resilience=resilience or ResilienceConfig(),
    )
    ports = Ports(
        world,
        world,
        _Both(upstreams),
        MemoryLedger(),
        MemoryKeys(),
        MemoryRetryBudget(BUDGET, REFILL),
        **shared(world),
    )
    core = build(config, ports, routes(*targets), PriceBook())

    async def ask(number: int) -> None:
        done = Done(world.now() - began)
        outcome.calls.append(done)
        call = a_call(BODY, plan=None, headers=((b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"k")))
        call = replace(call, id=f"call_{number}", began=world.now(), began_at_us=world.wall_us(), face="client")
        call = replace(call, tags=Tags(feature="chat"), timeouts=Timeouts(first_byte_s=10.0, idle_s=10.0))
        if is_bare:
            done.code = await bare(world, upstreams["http://sim"], call.body, failing.key)
        else:
            try:
                reply = await core(call)
                await reply.read()
                done.code = "" if reply.status == 200 else str(reply.status)
            except PenstockError as error:
                done.code = error.code
        done.ended = world.now() - began

    for number in range(count):
        world.spawn(ask(number), after_s=over_s * number / count)
    world.run()
    outcome.attempts[:] = [at - began for at in outcome.attempts]
    return outcome


class _Both:
    """Upstreams by URL."""

    def __init__(self, upstreams: dict[str, Counted]) -> None:
        self._upstreams = upstreams

    async def send(self, request: Outgoing) -> Incoming:
        return await self._upstreams[request.url].send(request)

    async def aclose(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.aclose()
