"""What choosing a model costs each call, and whether anybody waits for copies: the core alone, in one process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.call import Call, Tags, Target
from penstock.config.features import FeatureConfig
from penstock.config.money import BudgetConfig
from penstock.config.routes import ArmConfig, RouteConfig, ShadowConfig, SplitConfig, WhenConfig
from penstock.config.schema import Config, StoresConfig
from penstock.drive import run
from penstock.faces import compose
from penstock.layers.per_call.routing import Routes, Routing
from penstock.pipeline import build
from penstock.ports import Incoming, Outgoing, Ports
from penstock.ports.blocking import BlockingClock, SystemChance, ThreadTasks
from penstock.ports.loop import LoopClock, LoopTasks
from penstock.reply import Reply, Whole
from penstock.secret import Secret
from penstock.stores.memory import MemoryKeys, MemoryLedger, MemoryStatus
from penstock.wire.prices import PriceBook
from penstock.wire.reading import reading

from .calls import a_call
from .report import Plan, Row, Section, Spread
from .report import Target as Goal
from .traffic import UPSTREAM_KEY, answer, request_body

_ABOUT = (
    "Routing alone: a 2 KB call that names its feature, for which the feature has a model and nothing else, and then "
    "rules, of which none fits, a split, and copies of none. Then the whole core on an event loop, without sockets, "
    "before an upstream that takes 5 ms: how long callers wait, one after the other and eight at once, where every "
    "call is copied and where none is. A call that is copied is two calls' work for the core they share."
)
_UPSTREAM_S = 0.005
_MODEL = "claude-sonnet-5-5"
_BUDGET = BudgetConfig(name="all", limit_usd=1_000_000)


def _rule(**when: Any) -> tuple[RouteConfig, ...]:
    return (RouteConfig(when=WhenConfig(**when), model="claude-opus-5"),)


_FEATURES: Mapping[str, FeatureConfig] = {
    "a rule by tier": FeatureConfig(model=_MODEL, routes=_rule(tiers=("free",))),
    "a rule by weekday and hour": FeatureConfig(
        model=_MODEL, routes=_rule(hours="03:00-03:01", weekdays=("mon",), timezone="Europe/Berlin")
    ),
    "a rule by length": FeatureConfig(model=_MODEL, routes=_rule(tokens_over=100_000)),
    "a rule by what is left of a budget, in memory": FeatureConfig(
        model=_MODEL, routes=_rule(budget="all", left_below_percent=20)
    ),
    "a split, in the control": FeatureConfig(
        model=_MODEL, split=SplitConfig(arms=(ArmConfig(name="b", share_percent=0, model="claude-opus-5"),))
    ),
    "a split, in an arm": FeatureConfig(
        model=_MODEL, split=SplitConfig(arms=(ArmConfig(name="b", share_percent=100, model="claude-opus-5"),))
    ),
    "copies of none": FeatureConfig(model=_MODEL, shadow=ShadowConfig(model="claude-opus-5", share_percent=1e-9)),
}


class _Upstream:
    """Answers after a while, the same each time."""

    def __init__(self) -> None:
        head, _, self._body = answer().partition(b"\r\n\r\n")
        fields = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
        self._headers = tuple((name, value) for name, _, value in fields)

    async def send(self, request: Outgoing) -> Incoming:
        await asyncio.sleep(_UPSTREAM_S)
        return Incoming(200, self._headers, Whole([self._body]))

    async def aclose(self) -> None:
        pass


def measure(plan: Plan) -> Section:
    section = Section(
        "choosing", "Choosing a model: what it adds, and who waits for copies", _ABOUT, ("with it", "without")
    )
    count = 200 if plan.is_quick else 5_000
    plain = [_routing_us(FeatureConfig(model=_MODEL), count) for _ in range(plan.rounds)]
    for name, feature in _FEATURES.items():
        values = [_routing_us(feature, count) for _ in range(plan.rounds)]
        section.rows.append(Row(f"{name}, CPU", "µs/call", (Spread.of(values), Spread.of(plain))))
    calls = 40 if plan.is_quick else 800
    for callers in (1, 8):
        found: dict[float, list[list[float]]] = {0.0: [], 100.0: []}
        for _ in range(plan.rounds):
            for share, rounds in found.items():
                rounds.append(sorted(asyncio.run(_waits_ms(share, callers, calls))))
        for what, place in (("p50", 0.5), ("p99", 0.99)):
            figures = [Spread.of([one[int(place * (len(one) - 1))] for one in rounds]) for rounds in found.values()]
            section.rows.append(Row(f"all copied, {callers} at once, wait {what}", "ms", (figures[1], figures[0])))
    alone = section.rows[-4].figures
    assert alone[0] is not None and alone[1] is not None
    added = Spread.of([alone[0].median - alone[1].median])
    section.rows.append(Row("all copied, 1 at once, what p50 grows by", "ms", (added, None), Goal(1.0)))
    return section


def _config(feature: FeatureConfig) -> Config:
    return Config(data=Path("unused"), features={"bench": feature}, budgets=(_BUDGET,))


def _ports(config: Config, *, is_async: bool) -> Ports:
    clock = LoopClock() if is_async else BlockingClock()
    memory = compose.shared(Config(stores=StoresConfig(ledger="memory", counters="memory")), clock)
    tasks = LoopTasks() if is_async else ThreadTasks()
    retries, status = compose.retry_budget(config), MemoryStatus()
    return Ports(
        clock, SystemChance(), _Upstream(), MemoryLedger(), MemoryKeys(), retries, **memory, status=status, tasks=tasks
    )


def _routes() -> Routes:
    return Routes({"bench": (Target("bench", "http://127.0.0.1:1", Secret(UPSTREAM_KEY)),)}, {})


def _routing_us(feature: FeatureConfig, count: int) -> float:
    """CPU for each call through routing."""
    config = _config(feature)
    layer = Routing(config, _routes(), _ports(config, is_async=False))
    head = ((b"content-type", b"application/json"),)

    async def below(call: Call) -> Reply:
        return Reply(200, head, Whole([]), reading=reading(call.endpoint, 200, head), request_id="")

    calls = [_call(number) for number in range(count)]
    began = time.process_time()
    for call in calls:
        run(_through(layer, call, below))
    return (time.process_time() - began) * 1e6 / count


async def _through(layer: Routing, call: Call, below: Any) -> None:
    await layer(call, below)


async def _waits_ms(share: float, callers: int, count: int) -> list[float]:
    """How long callers waited for the whole answer, in milliseconds."""
    config = _config(FeatureConfig(model=_MODEL, shadow=ShadowConfig(model="claude-opus-5", share_percent=share)))
    ports = _ports(config, is_async=True)
    core, found = build(config, ports, _routes(), PriceBook()), []

    async def caller(first: int) -> None:
        for number in range(first, count, callers):
            call = _call(number)
            began = time.perf_counter()
            async for _ in await core(call):
                pass
            found.append((time.perf_counter() - began) * 1e3)

    await asyncio.gather(*(caller(first) for first in range(callers)))
    assert isinstance(ports.tasks, LoopTasks)
    await ports.tasks.drained()
    return found


_BODY = json.dumps({**json.loads(request_body()), "model": "feature:bench"}).encode()


def _call(number: int) -> Call:
    clock = BlockingClock()
    own = {"id": f"call_{number:026}", "began": clock.now(), "began_at_us": clock.wall_us(), "plan": None}
    return a_call(_BODY, **own, tags=Tags(feature="bench", user=f"u{number}"))
