"""The concrete parts behind wrapped clients: one ledger, one pool of connections and one price book for each config."""

from __future__ import annotations

import atexit
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ...call import Target
from ...config.load import load
from ...config.schema import Config
from ...drive import run
from ...layer import Next
from ...pipeline import build
from ...ports import Clock, Ports, Upstream
from ...ports.blocking import BlockingClock, SystemChance
from ...ports.loop import LoopClock
from ...ports.origin import PoolLimits
from ...ports.pool import LoopPool
from ...ports.sockets import SocketPool
from ...stores.memory import MemoryKeys
from ..compose import ledger, price_book, retry_budget

#: Never used: in process every call names its own target.
_NOWHERE = Target("anthropic", "https://api.anthropic.com")


class Composition:
    """The parts of one config. Ledger and pools look after forks, threads and event loops themselves."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.chance = SystemChance()
        self._blocking, self._loop = BlockingClock(), LoopClock()
        self._prices = price_book(config)
        self.ledger = ledger(config, self._blocking)
        self._retries = retry_budget(config)
        self._limits = PoolLimits(
            connections_max=config.transport.connections_max, idle_max=config.transport.idle_connections_max
        )

    def clock(self, *, is_async: bool) -> Clock:
        return self._loop if is_async else self._blocking

    def core(self, upstream: Upstream | None, *, is_async: bool) -> Next:
        """The core in one colour, over `upstream` or else over the connections all clients share."""
        if upstream is None:
            upstream = self._pool if is_async else self._sockets
        clock = self.clock(is_async=is_async)
        ports = Ports(clock, self.chance, upstream, self.ledger, MemoryKeys(), self._retries)
        return build(self.config, ports, _NOWHERE, self._prices)

    @cached_property
    def _sockets(self) -> SocketPool:
        made = SocketPool(self._limits)
        atexit.register(lambda: run(made.aclose()))
        return made

    @cached_property
    def _pool(self) -> LoopPool:
        return LoopPool(self._limits)


#: Those in use, few by nature. Kept for good: a ledger is closed when the process ends.
_compositions: list[Composition] = []


def composition(config: Config | Path | str | None, data: Path | str | None) -> Composition:
    """The parts for a config, made once for equal ones. Raises ConfigError."""
    if not isinstance(config, Config):
        overrides = {} if data is None else {"data": str(data)}
        config = load(None if config is None else Path(config), overrides=overrides)
    elif data is not None:
        config = replace(config, data=Path(data))
    for known in _compositions:
        if known.config == config:
            return known
    made = Composition(config)
    _compositions.append(made)
    return made
