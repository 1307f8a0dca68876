"""Layer tests as scripts: send this call; expect onward this; answer that; expect this reply and these facts.

Every script runs under both drivers: `play` is called once per driver by the `drive` fixture's parameters.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from penstock import drive as blocking_driver
from penstock.call import Call, Candidate, Fact, Plan, Target, Trail
from penstock.errors import StoreFailed
from penstock.layer import Layer
from penstock.layers.per_call.routing import Routes
from penstock.ports import Clock, Key, Ports
from penstock.ports.simulated import Scripted, SimulatedTasks, SimulatedUpstream, World
from penstock.record import Bill, Intent, Record
from penstock.reply import Reply, Whole
from penstock.stores.memory import (
    MemoryAnswers,
    MemoryBudgets,
    MemoryCircuits,
    MemoryQuotas,
    MemoryRetryBudget,
    MemoryStatus,
)
from penstock.stores.paces import Paces
from penstock.wire.messages import Malformed, endpoint, read_request
from penstock.wire.reading import reading

Drive = Callable[[Coroutine[Any, Any, Any]], Any]

DRIVERS: dict[str, Drive] = {"blocking": blocking_driver.run, "loop": asyncio.run}

HELLO = {"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}]}
UPSTREAM = Target("anthropic", "https://api.anthropic.example", None)

ANSWER = (
    b'{"model":"claude-haiku-4-5-20251001","id":"msg_01","type":"message","role":"assistant","content":'
    b'[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":8,'
    b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,'
    b'"ephemeral_1h_input_tokens":0},"output_tokens":5,"service_tier":"standard","inference_geo":"not_available"}}'
)

STREAM = (
    b'event: message_start\ndata: {"type":"message_start","message":{"model":"claude-haiku-4-5-20251001","id":"msg_02",'
    b'"type":"message","role":"assistant","content":[],"stop_reason":null,"stop_sequence":null,"usage":'
    b'{"input_tokens":8,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":'
    b'{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1}}   }\n\n',
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":'
    b'{"type":"text","text":""}  }\n\n',
    b'event: ping\ndata: {"type": "ping"}\n\n',
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":'
    b'{"type":"text_delta","text":"Hi there"}     }\n\n',
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0 }\n\n',
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"input_tokens":8,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":5} }\n\n',
    b'event: message_stop\ndata: {"type":"message_stop"    }\n\n',
)
SSE = ((b"content-type", b"text/event-stream; charset=utf-8"),)
JSON = ((b"content-type", b"application/json"), (b"request-id", b"req_011"))

STREAM_ANSWER = Scripted(headers=SSE, chunks=STREAM)
JSON_ANSWER = Scripted(headers=JSON, chunks=(ANSWER,))


def a_call(
    body: object = None, *, method: str = "POST", path: str = "/v1/messages", face: str = "gateway", **more: Any
) -> Call:
    """A call like the faces make them; `body` is JSON to be, or bytes as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(HELLO if body is None else body).encode()
    where = endpoint(method, path)
    try:
        request = read_request(raw) if where.name in ("messages", "count_tokens") else None
    except Malformed:
        request = None
    headers = more.pop("headers", ())
    more.setdefault("plan", Plan((Candidate(UPSTREAM),)))
    return Call(
        id="call_1",
        face=face,
        method=method,
        path=path,
        query=more.pop("query", ""),
        headers=headers,
        fields=dict(headers),
        body=raw,
        endpoint=where,
        request=request,
        began=0.0,
        began_at_us=1_795_132_800_000_000,
        trail=Trail(),
        **more,
    )


def a_reply(call: Call, status: int = 200, body: bytes = ANSWER, headers: Any = JSON) -> Reply:
    return Reply(status, headers, Whole([body]), reading=reading(call.endpoint, status, headers), request_id="req_011")


@dataclass
class Played:
    """What a script saw: the calls that went onward, the reply or error that came back, the facts left."""

    onward: list[Call]
    reply: Reply | None
    error: BaseException | None
    body: bytes | None
    trail: Trail

    def fact(self, kind: type[Fact]) -> Any:
        found = self.trail.last(kind)
        assert found is not None, f"no {kind.__name__} among {self.trail}"
        return found


def play(drive: Drive, layer: Layer, call: Call, answer: Callable[[Call], Reply] | BaseException = a_reply) -> Played:
    """Send one call through one layer and read its reply to the end."""
    onward: list[Call] = []

    async def below(passed: Call) -> Reply:
        onward.append(passed)
        if isinstance(answer, BaseException):
            raise answer
        return answer(passed)

    async def scene() -> Played:
        try:
            reply = await layer(call, below)
            body = await reply.read()
        except Exception as error:
            return Played(onward, None, error, None, call.trail)
        return Played(onward, reply, None, body, call.trail)

    played: Played = drive(scene())
    return played


@dataclass
class LedgerBook:
    """A ledger port that keeps what it is told; the n-th write of each kind can be made to fail."""

    intents: list[Intent] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bills: list[Bill] = field(default_factory=list)
    open_fails: bool = False
    close_fails: bool = False

    async def open(self, intent: Intent) -> None:
        if self.open_fails:
            raise StoreFailed("The disk is full.")
        self.intents.append(intent)

    async def close(self, record: Record) -> None:
        if self.close_fails:
            raise StoreFailed("The disk is full.")
        self.records.append(record)

    async def bill(self, bill: Bill) -> None:
        self.bills.append(bill)


@dataclass
class KeyRing:
    """A keys port over a plain dictionary."""

    keys: dict[bytes, Key] = field(default_factory=dict)
    fails: bool = False

    async def find(self, digest: bytes) -> Key | None:
        if self.fails:
            raise StoreFailed("The database is locked.")
        return self.keys.get(digest)


def ports(
    *, world: World | None = None, upstream: Any = None, ledger: Any = None, keys: Any = None, retries: Any = None
) -> Ports:
    """Ports that answer at once, unless given others."""
    world = world or World(0)
    clock = _AtOnce(world)
    return Ports(
        clock=clock,
        chance=world,
        upstream=upstream or SimulatedUpstream(_AtOnce(world), lambda request: JSON_ANSWER),
        ledger=ledger or LedgerBook(),
        keys=keys or KeyRing(),
        retries=retries or MemoryRetryBudget(35, 0.5),
        **shared(clock),
    )


def routes(*targets: Target) -> Routes:
    """Upstreams without a config: the first is where calls go."""
    return Routes({target.name: (target,) for target in targets}, {})


def shared(clock: Clock) -> dict[str, Any]:
    """The ports that remember something between calls, each of them empty."""
    return {
        "quotas": MemoryQuotas(clock),
        "budgets": MemoryBudgets(),
        "circuits": MemoryCircuits(),
        "answers": MemoryAnswers(),
        "paces": Paces(clock),
        "status": MemoryStatus(),
        "tasks": SimulatedTasks(clock),
    }


class _AtOnce(World):
    """A world whose sleeps move time on without parking, for drivers that may not suspend."""

    def __init__(self, world: World) -> None:
        super().__init__(world.seed)

    async def sleep(self, seconds: float) -> None:
        self._now_s += seconds
