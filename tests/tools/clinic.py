"""A clinic for the cache doctor: calls through the core to the simulator's cache, in virtual time, and a diagnosis.

The rows are the ledger's own, as the core wrote them; nothing in them is made by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from penstock.call import Tags, Target
from penstock.config.caching import CacheConfig
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config
from penstock.pipeline import build
from penstock.ports import Ports
from penstock.ports.simulated import Task, World
from penstock.record import Record
from penstock.secret import Secret
from penstock.simulator import ApiKey, Pace, Simulator
from penstock.simulator.upstream import SimulatorUpstream
from penstock.stores.folding import insert
from penstock.stores.memory import MemoryKeys, MemoryLedger, MemoryRetryBudget
from penstock.stores.schema import connect, writing
from penstock.tools.cache import Diagnosis, Span, diagnose
from penstock.wire.prices import PriceBook
from script import a_call, routes, shared

PRICES = PriceBook()
SALT = b"0123456789abcdef0123456789abcdef"
MODEL = "claude-sonnet-4-6"
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}
ALL = Span(0, 4_000_000_000_000_000)
#: Two workspaces, which share no cache.
KEYS = (ApiKey("sk-ant-one", workspace="one"), ApiKey("sk-ant-two", workspace="two"))
ONE = Target("anthropic", "http://sim", Secret(KEYS[0].secret))
TWO = Target("anthropic#2", "http://sim", Secret(KEYS[1].secret))
ELSEWHERE = Target("spare", "http://sim", Secret(KEYS[1].secret))


def text(words: int, word: str = "word", **more: Any) -> dict[str, Any]:
    """A text block; a word is a token to the models up to 4.6."""
    return {"type": "text", "text": f"{word} " * words, **more}


def body(*turns: Any, **more: Any) -> dict[str, Any]:
    """User and assistant turns in alternation, each a text or a list of blocks."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": turn} for at, turn in enumerate(turns)]
    return {"model": MODEL, "max_tokens": 20, "messages": messages, **more}


class Clinic:
    """One simulated world. Marks are the callers' own, unless it `is_marking`."""

    def __init__(self, place: Path, *, is_marking: bool = False, salt: bytes = SALT) -> None:
        self._place, self._world = place, World(1)
        self._simulator = Simulator(
            seed=1, clock=lambda: self._world.wall_us() / 1e6, keys=KEYS, pace=Pace(first_token_ms=500)
        )
        self._ledger = MemoryLedger()
        upstream = SimulatorUpstream(self._simulator, self._world)
        kept = {**shared(self._world), "salt": salt}
        ports = Ports(
            self._world, self._world, upstream, self._ledger, MemoryKeys(), MemoryRetryBudget(35, 0.5), **kept
        )
        feature = FeatureConfig(cache=CacheConfig(marks="auto" if is_marking else "off"))
        self._core = build(Config(features={"default": feature, "chat": feature}), ports, routes(ONE), PRICES)
        self._visits: list[Task] = []
        self.answers: dict[str, dict[str, Any]] = {}

    def ask(self, at_s: float, asked: dict[str, Any], *, target: Target = ONE, **tags: str | None) -> str:
        """Send a body so many seconds after the beginning; the call's id."""
        name = f"call_{len(self._visits) + 1:03}"
        visit = self._visit(name, asked, target, Tags(**{"feature": "chat", **tags}))
        self._visits.append(self._world.spawn(visit, after_s=at_s))
        return name

    def at(self, at_s: float, done: Callable[[], None]) -> None:
        """Do something to the upstream, so many seconds after the beginning."""

        async def later() -> None:
            done()

        self._visits.append(self._world.spawn(later(), after_s=at_s))

    async def _visit(self, name: str, asked: dict[str, Any], target: Target, tags: Tags) -> None:
        headers, world = ((b"anthropic-version", b"2026-10-21"),), self._world
        call = a_call(asked, face="client", headers=headers, target=target, tags=tags, plan=None)
        reply = await self._core(replace(call, id=name, began=world.now(), began_at_us=world.wall_us()))
        raw = await reply.read()
        assert reply.status == 200, raw
        self.answers[name] = json.loads(raw)

    def run(self) -> None:
        """Until all calls are over."""
        self._world.run()
        for visit in self._visits:
            if visit.error is not None:
                raise visit.error

    @property
    def records(self) -> list[Record]:
        """The ledger's rows, after all calls are over, in the order of the calls."""
        self.run()
        return sorted(self._ledger.records.values(), key=lambda record: record.call_id)

    def diagnosis(self, span: Span = ALL) -> Diagnosis:
        connection = connect(self._place)
        with writing(connection):
            insert(connection, self.records)
        connection.close()
        return self.diagnosis_again(span)

    def diagnosis_again(self, span: Span = ALL) -> Diagnosis:
        """The same rows looked at once more."""
        return diagnose(self._place, span, PRICES)
