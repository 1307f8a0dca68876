"""A world with more calls than an upstream's limits allow, for Penstock and for the bare SDK."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from penstock.call import Tags, Target
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config, PacingConfig, ResilienceConfig
from penstock.errors import PenstockError, UpstreamFailed
from penstock.pipeline import build
from penstock.ports import Outgoing, Ports
from penstock.ports.simulated import World
from penstock.secret import Secret
from penstock.simulator import Limits, Pace, Simulator
from penstock.simulator.upstream import SimulatorUpstream
from penstock.stores.memory import MemoryKeys, MemoryLedger, MemoryRetryBudget
from penstock.wire.prices import PriceBook
from script import a_call, routes, shared

MODEL = "claude-haiku-4-5"
TENANTS = ("acme", "bolt", "corn", "dune")


@dataclass
class Done:
    """One call: who asked, when, and when it was answered; None where it was not."""

    tenant: str
    lane: str
    asked: float
    answered: float | None = None
    code: str = ""


@dataclass
class Outcome:
    """What came of it. `sent` and `limited` are requests and 429s as the upstream saw them."""

    calls: list[Done] = field(default_factory=list)
    sent: int = 0
    limited: int = 0
    capacity: float = 0.0
    used: float = 0.0

    @property
    def goodput(self) -> float:
        """What was served, over what the limit allowed in the time it was offered more."""
        return self.used / self.capacity

    def fairness(self) -> float:
        """Jain's index over the tenants' answered calls of the interactive lane."""
        served = [
            sum(one.answered is not None and one.lane == "interactive" for one in self.calls if one.tenant == tenant)
            for tenant in TENANTS
        ]
        return sum(served) ** 2 / (len(served) * sum(count * count for count in served))

    def waits(self, lane: str) -> list[float]:
        return sorted(one.answered - one.asked for one in self.calls if one.answered is not None and one.lane == lane)


def overload(
    seed: int, limits: Limits, *, per_minute: float, minutes: float, is_bare: bool = False, background: float = 0.2
) -> Outcome:
    """`per_minute` calls for some virtual minutes. Capacity is of the tightest limit, its first burst included."""
    world = World(seed)
    simulator = Simulator(
        seed=seed,
        clock=lambda: world.wall_us() / 1e6,
        limits=limits,
        pace=Pace(first_token_ms=400, tokens_per_s=400),
        keep_requests=100_000,
    )
    upstream = SimulatorUpstream(simulator, world)
    outcome = Outcome()
    features = {
        "chat": FeatureConfig(),
        "report": FeatureConfig(lane="background"),
    }
    config = Config(
        features=features,
        pacing=PacingConfig(wait_max_s=90, background_wait_max_s=600, queue_max=10_000),
        resilience=ResilienceConfig(hold_s=1.0),
    )
    ports = Ports(world, world, upstream, MemoryLedger(), MemoryKeys(), MemoryRetryBudget(35, 0.5), **shared(world))
    core = build(config, ports, routes(Target("sim", "http://sim", Secret(simulator.key))), PriceBook())

    async def ask(number: int, random: Random) -> None:
        tenant = random.choice(TENANTS)
        lane = "background" if random.random() < background else "interactive"
        done = Done(tenant, lane, world.now())
        outcome.calls.append(done)
        words = "water " * random.choice([20, 200, 1200])
        body = {
            "model": MODEL,
            "max_tokens": 400,
            "messages": [{"role": "user", "content": f"{words}. Tell me more, in {random.randrange(20, 120)} words."}],
        }
        call = a_call(body, plan=None, headers=((b"anthropic-version", b"2023-06-01"), (b"x-api-key", b"k")))
        call = replace(call, id=f"call_{number}", began=world.now(), began_at_us=world.wall_us(), face="client")
        call = replace(call, tags=Tags(feature="report" if lane == "background" else "chat", segment=tenant))
        if is_bare:
            done.code = await bare(world, upstream, call.body, simulator.key)
        else:
            try:
                reply = await core(call)
                await reply.read()
                done.code = "" if reply.status == 200 else str(reply.status)
            except PenstockError as error:
                done.code = error.code
        if not done.code:
            done.answered = world.now()

    count = round(per_minute * minutes)
    for number in range(count):
        world.spawn(ask(number, Random(seed * 100_000 + number)), after_s=world.uniform(0, minutes * 60))
    world.run()
    served = [entry for entry in simulator.books if entry.status == 200]
    outcome.sent = len(list(simulator.books))
    outcome.limited = sum(entry.status == 429 for entry in simulator.books)
    ends = minutes * 60
    kinds = {
        "requests": (limits.requests, [1.0 for _ in served]),
        "input": (limits.input_tokens, [float(entry.input_tokens) for entry in served]),
        "output": (limits.output_tokens, [float(entry.output_tokens) for entry in served]),
    }
    limit, used = max(
        ((limit, sum(amounts)) for limit, amounts in kinds.values() if limit), key=lambda pair: pair[1] / pair[0]
    )
    finished = max(ends, max((one.answered or 0.0) for one in outcome.calls))
    outcome.capacity, outcome.used = limit * (1 + finished / 60), used
    return outcome


async def bare(world: World, upstream: SimulatorUpstream, body: bytes, key: str) -> str:
    """The official SDK's own policy: two retries, `retry-after` obeyed, else half a second doubling (§5.4)."""
    from penstock.call import Timeouts

    headers = ((b"x-api-key", key.encode()), (b"anthropic-version", b"2023-06-01"))
    for attempt in range(3):
        try:
            request = Outgoing("POST", "http://sim", "/v1/messages", headers, body, Timeouts())
            incoming = await upstream.send(request)
            fields = dict(incoming.headers)
            try:
                while True:
                    await incoming.source.__anext__()
            except StopAsyncIteration:
                pass
            if incoming.status == 200:
                return ""
            code, asked = str(incoming.status), float(fields.get(b"retry-after", b"0"))
        except UpstreamFailed as error:
            code, asked = error.code, 0.0
        if attempt < 2:
            await world.sleep(asked or min(0.5 * 2**attempt, 8) * (1 - 0.25 * world.uniform(0, 1)))
    return code
