"""One call through the core, to one upstream and nowhere else: to see whether a key or a name is good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from ..call import Call, Timeouts, Trail
from ..config.load import Loaded
from ..config.schema import ResilienceConfig, RoutingConfig, StoresConfig, UpstreamConfig
from ..drive import run
from ..errors import PenstockError
from ..faces import compose
from ..pipeline import build
from ..ports import Ports
from ..ports.blocking import BlockingClock, SystemChance, ThreadTasks
from ..ports.origin import PoolLimits
from ..ports.sockets import SocketPool
from ..stores.memory import MemoryKeys, MemoryLedger, MemoryStatus
from ..wire.messages import endpoint, read_request

_TIMEOUTS = Timeouts(5.0, 30.0, 30.0, 30.0)
_HEADERS = ((b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01"))


def asked(loaded: Loaded, name: str, upstream: UpstreamConfig, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """The status and text of a POST of `body` to that upstream, tried once, of which nothing is remembered.

    Raises ConfigError for a key that cannot be had or used, PenstockError where there is no answer.
    """
    config = replace(
        loaded.config,
        upstreams={name: upstream},
        features={},
        budgets=(),
        routing=RoutingConfig(default=name),
        resilience=ResilienceConfig(tries_max=1, breaker_failures=0),
        stores=StoresConfig(ledger="memory", counters="memory"),
    )
    clock, chance, pool = BlockingClock(), SystemChance(), SocketPool(PoolLimits())
    ports = Ports(
        clock,
        chance,
        pool,
        MemoryLedger(),
        MemoryKeys(),
        compose.retry_budget(config),
        **compose.shared(config, clock),
        status=MemoryStatus(),
        tasks=ThreadTasks(),
    )
    core = build(config, ports, compose.routes(replace(loaded, config=config), no_key=None), compose.price_book(config))
    raw = msgspec.json.encode(body)
    call = Call(
        id=chance.id("call"),
        face="check",
        method="POST",
        path=path,
        query="",
        headers=_HEADERS,
        fields=dict(_HEADERS),
        body=raw,
        endpoint=endpoint("POST", path),
        request=read_request(raw),
        began=clock.now(),
        began_at_us=clock.wall_us(),
        trail=Trail(),
        timeouts=_TIMEOUTS,
    )

    async def asking() -> tuple[int, str]:
        try:
            reply = await core(call)
            text = await reply.read()
            return reply.status, reply.answer.error_message or text[:200].decode("utf-8", "replace")
        finally:
            await pool.aclose()

    return run(asking())


def proven(loaded: Loaded, name: str, upstream: UpstreamConfig, model: str) -> str | None:
    """Why an upstream's key is not known to be good; None where it is, by one real call.

    Counting tokens costs nothing; where the cloud has no such thing, it is an answer of one token. Raises ConfigError.
    """
    body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    try:
        try:
            status, text = asked(loaded, name, upstream, "/v1/messages/count_tokens", body)
        except PenstockError as error:
            if error.code != "not_at_upstream":
                raise
            status, text = asked(loaded, name, upstream, "/v1/messages", {**body, "max_tokens": 1})
    except PenstockError as error:
        if error.layer == "config":
            raise
        return str(error)
    return None if status == 200 else f"{status}: {text}"
