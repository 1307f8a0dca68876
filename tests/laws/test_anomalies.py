"""The anomaly loop: fail the 1st port call, then the 2nd, until the scenario outruns the counter.

Each time the laws must hold: the caller gets an answer or an error, one row is kept or lost with its
intent written, and the upstream's answer is let go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from laws.worlds import KEY, PRICES, SECRET, Visit, visit
from penstock.call import Target
from penstock.config.schema import Config
from penstock.errors import PenstockError, StoreFailed, UpstreamFailed
from penstock.pipeline import build
from penstock.ports import Incoming, Key, Outgoing, Ports
from penstock.ports.simulated import Scripted, SimulatedUpstream, World
from penstock.record import Intent, Record
from penstock.secret import Secret
from penstock.stores.memory import MemoryRetryBudget
from script import ANSWER, HELLO, JSON, SSE, STREAM, KeyRing, LedgerBook, a_call, routes, shared


class Failing:
    """Counts port calls and fails the n-th."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def check(self, error: PenstockError) -> None:
        self.count += 1
        if self.count == self.at:
            raise error


class FailingLedger(LedgerBook):
    def __init__(self, failing: Failing) -> None:
        super().__init__()
        self._failing = failing
        self.lost: list[Record] = []

    async def open(self, intent: Intent) -> None:
        self._failing.check(StoreFailed("n-th write"))
        await super().open(intent)

    async def close(self, record: Record) -> None:
        try:
            self._failing.check(StoreFailed("n-th write"))
        except StoreFailed:
            self.lost.append(record)
            raise
        await super().close(record)


class FailingKeys(KeyRing):
    def __init__(self, failing: Failing) -> None:
        super().__init__({KEY.digest: KEY})
        self._failing = failing

    async def find(self, digest: bytes) -> Key | None:
        self._failing.check(StoreFailed("n-th read"))
        return await super().find(digest)


class FailingBody:
    def __init__(self, source: Any, failing: Failing) -> None:
        self._source, self._failing = source, failing

    async def __anext__(self) -> bytes:
        try:
            self._failing.check(UpstreamFailed("n-th chunk", code="reset"))
        except UpstreamFailed:
            await self._source.aclose()
            raise
        chunk: bytes = await self._source.__anext__()
        return chunk

    async def aclose(self) -> None:
        await self._source.aclose()


class FailingUpstream:
    def __init__(self, inner: SimulatedUpstream, failing: Failing) -> None:
        self._inner, self._failing = inner, failing

    async def send(self, request: Outgoing) -> Incoming:
        self._failing.check(UpstreamFailed("n-th send", code="reset"))
        incoming = await self._inner.send(request)
        return Incoming(incoming.status, incoming.headers, FailingBody(incoming.source, self._failing))

    async def aclose(self) -> None:
        await self._inner.aclose()


KEYED = {"headers": ((b"x-api-key", SECRET),)}
STREAMED = {**HELLO, "stream": True}
SCENARIOS: dict[str, tuple[Callable[[], Any], Scripted, bool]] = {
    "a whole answer": (lambda: a_call(**KEYED), Scripted(headers=JSON, chunks=(ANSWER,)), False),
    "a stream": (lambda: a_call(STREAMED, **KEYED), Scripted(headers=SSE, chunks=STREAM), False),
    "a stream left by its caller": (lambda: a_call(STREAMED, **KEYED), Scripted(headers=SSE, chunks=STREAM), True),
    "a stream cut by the upstream": (
        lambda: a_call(STREAMED, **KEYED),
        Scripted(headers=SSE, chunks=STREAM[:3], breaks="cut"),
        False,
    ),
    "an overloaded upstream": (lambda: a_call(**KEYED), Scripted(status=529, chunks=(b"{}",)), False),
    "a wrong key": (lambda: a_call(headers=((b"x-api-key", b"pk_no"),)), Scripted(), False),
    "a count of tokens": (
        lambda: a_call(path="/v1/messages/count_tokens", **KEYED),
        Scripted(headers=JSON, chunks=(b'{"input_tokens":8}',)),
        False,
    ),
}


def _play(name: str, at: int) -> Failing:
    make, script, hangs_up = SCENARIOS[name]
    failing, world = Failing(at), World(at)
    inner = SimulatedUpstream(world, lambda request: script)
    ledger = FailingLedger(failing)
    ports = Ports(
        world,
        world,
        FailingUpstream(inner, failing),
        ledger,
        FailingKeys(failing),
        MemoryRetryBudget(35, 0.5),
        **shared(world),
    )
    target = Target("anthropic", "https://api.example", Secret("sk-x-1234567890abc"))
    core = build(Config(), ports, routes(target), PRICES)
    made = Visit(make(), hangs_up)
    task = world.spawn(visit(core, world, made))
    world.run()
    assert task.is_done
    assert task.error is None, repr(task.error)
    rows = [*ledger.records, *ledger.lost]
    assert len(rows) == 1
    if ledger.lost:
        assert ledger.intents or rows[0].cost_nano == 0
    assert all(served.is_released for served in inner.served)
    assert len(inner.served) <= len(ledger.intents)
    assert made.error is not None or made.status is not None
    if made.is_whole and rows[0].is_stream and rows[0].ending != "complete" and rows[0].status == 200:
        assert b"event: error" in b"".join(made.got)
    return failing


@pytest.mark.parametrize("name", SCENARIOS)
def test_any_one_port_call_may_fail(name: str) -> None:
    at = 1
    while True:
        failing = _play(name, at)
        if failing.count < at:
            break
        at += 1
    assert at > 2, "the scenario makes port calls to fail"
