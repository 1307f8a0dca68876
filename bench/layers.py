"""What the layers around a call cost where they have nothing to do, and budgets where they have: the core alone."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from penstock.call import Call, Target, Trail
from penstock.config.money import BudgetConfig
from penstock.config.schema import Config
from penstock.drive import run
from penstock.faces import compose
from penstock.layer import Layer, Next, stack
from penstock.layers.per_attempt.pacing import Pacing
from penstock.layers.per_attempt.transport import Transport
from penstock.layers.per_call.admission import Admission
from penstock.layers.per_call.budgets import Budgets
from penstock.layers.per_call.identity import Identity
from penstock.layers.per_call.ledger import Ledger
from penstock.layers.per_call.limits import Limits
from penstock.layers.per_call.replay import Replay
from penstock.layers.per_call.resilience import Resilience
from penstock.layers.per_call.routing import Routes, Routing
from penstock.pipeline import build
from penstock.ports import Incoming, Outgoing, Ports
from penstock.ports.blocking import BlockingClock, SystemChance, ThreadTasks
from penstock.record import Bill, Intent, Record
from penstock.reply import Whole
from penstock.secret import Secret
from penstock.stores.memory import MemoryBudgets, MemoryKeys, MemoryStatus
from penstock.wire.messages import endpoint, read_request
from penstock.wire.prices import PriceBook

from .machine import cores
from .report import Plan, Row, Section, Spread
from .traffic import UPSTREAM_KEY, answer, request_body, request_headers

_ABOUT = (
    "The core in one process: 2 KB calls through the layers to an upstream that answers at once, without sockets, "
    "without a ledger's writing. Each of these layers alone beside the core without any of them, then all of them "
    "as they are built. Nothing fails, nothing waits, no feature asks for more than the defaults. Budgets: none in the "
    "config, then three that are about each call, held and settled in SQLite, and the same kept in memory."
)
_ALL = "all of them, as built"
_BUDGETS = (
    BudgetConfig(name="all", limit_usd=1_000_000),
    BudgetConfig(name="feature", where={"feature": "bench"}, limit_usd=1_000_000),
    BudgetConfig(name="user", per=("user",), period="day", limit_usd=1_000_000),
)


class _Upstream:
    """Answers at once, the same each time."""

    def __init__(self) -> None:
        head, _, self._body = answer().partition(b"\r\n\r\n")
        fields = [line.partition(b": ") for line in head.split(b"\r\n")[1:]]
        self._headers = tuple((name, value) for name, _, value in fields)

    async def send(self, request: Outgoing) -> Incoming:
        return Incoming(200, self._headers, Whole([self._body]))

    async def aclose(self) -> None:
        pass


class _Nowhere:
    """A ledger that writes nothing."""

    async def open(self, intent: Intent) -> None:
        pass

    async def close(self, record: Record) -> None:
        pass

    async def bill(self, bill: Bill) -> None:
        pass


def measure(plan: Plan) -> Section:
    section = Section("layers", "The layers: what they add", _ABOUT, ("with it", "without any"))
    count = 200 if plan.is_quick else 10_000
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            bare, variants = _variants(Config(data=Path(folder)))
            found: dict[str, list[float]] = {name: [] for name in ("", *variants)}
            for _ in range(plan.rounds):
                for name, core in {"": bare, **variants}.items():
                    found[name].append(_call_us(core, count))
    finally:
        os.sched_setaffinity(0, before)
    base = Spread.of(found.pop(""))
    section.rows += [Row(f"{name}, CPU", "µs/call", (Spread.of(values), base)) for name, values in found.items()]
    return section


def _variants(config: Config) -> tuple[Next, dict[str, Next]]:
    """The core without any of them, with each, and with all."""
    clock, prices = BlockingClock(), PriceBook()
    ports = Ports(
        clock,
        SystemChance(),
        _Upstream(),
        _Nowhere(),
        MemoryKeys(),
        compose.retry_budget(config),
        **compose.shared(config, clock),
        status=MemoryStatus(),
        tasks=ThreadTasks(),
    )
    budgeted, in_memory = replace(config, budgets=_BUDGETS), replace(ports, budgets=MemoryBudgets())
    routes = Routes({"bench": (Target("bench", "http://127.0.0.1:1", Secret(UPSTREAM_KEY)),)}, {})
    around: list[Layer] = [
        Ledger(prices, ports),
        Identity(config.identity, config.environment, ports),
        Routing(config, routes, ports),
        Admission(config, prices, ports),
    ]

    def core(*layers: Layer) -> Next:
        return stack([*around, *layers], end=Transport(ports))

    return core(), {
        "replay": core(Replay(config.replay, ports)),
        "limits": core(Limits(config.tiers, ports)),
        "resilience": core(Resilience(config.resilience, ports)),
        "pacing": core(Pacing(config, ports)),
        "budgets, none": core(Budgets(config, prices, ports)),
        "budgets, three, in SQLite": core(Budgets(budgeted, prices, ports)),
        "budgets, three, in memory": stack(
            [Ledger(prices, in_memory), *around[1:], Budgets(budgeted, prices, in_memory)], end=Transport(in_memory)
        ),
        _ALL: build(config, ports, routes, prices),
    }


def _call_us(core: Next, count: int) -> float:
    """CPU for each call, read to its end; making the call is not counted."""
    make, used = _maker(), 0.0

    async def through(call: Call) -> None:
        async for _ in await core(call):
            pass

    for first in range(0, count, 100):
        calls = [make(number) for number in range(first, first + 100)]
        began = time.process_time()
        for call in calls:
            run(through(call))
        used += time.process_time() - began
    return used * 1e6 / count


def _maker() -> Callable[[int], Call]:
    body, clock = request_body(), BlockingClock()
    fields = {name.encode(): value.encode() for name, value in request_headers("none").items()}
    fields.pop(b"x-api-key")

    def make(number: int) -> Call:
        return Call(
            id=f"call_{number:026}",
            face="client",
            method="POST",
            path="/v1/messages",
            query="",
            headers=tuple(fields.items()),
            fields=fields,
            body=body,
            endpoint=endpoint("POST", "/v1/messages"),
            request=read_request(body),
            began=clock.now(),
            began_at_us=clock.wall_us(),
            trail=Trail(),
        )

    return make
