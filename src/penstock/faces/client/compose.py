"""The concrete parts behind wrapped clients: one ledger, one pool of connections and one price book for each config."""

from __future__ import annotations

import atexit
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path

from ...call import Target
from ...config.load import load
from ...config.schema import Config, ModelPriceConfig
from ...drive import run
from ...layer import Next
from ...pipeline import build
from ...ports import Clock, Ledger, Ports, Upstream
from ...ports.blocking import BlockingClock, SystemChance
from ...ports.loop import LoopClock
from ...ports.origin import PoolLimits
from ...ports.pool import LoopPool
from ...ports.sockets import SocketPool
from ...stores.memory import MemoryKeys, MemoryLedger
from ...stores.sqlite import SqliteLedger
from ...wire.prices import PriceBook

#: Never used: in process every call names its own target.
_NOWHERE = Target("anthropic", "https://api.anthropic.com")


class Composition:
    """The parts of one config. Ledger and pools look after forks, threads and event loops themselves."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.chance = SystemChance()
        self._blocking, self._loop = BlockingClock(), LoopClock()
        self._prices = PriceBook(overrides={name: _by_kind(own) for name, own in config.prices.models.items()})
        self.ledger = _ledger(config, self._blocking)
        self._limits = PoolLimits(
            connections_max=config.transport.connections_max, idle_max=config.transport.idle_connections_max
        )

    def clock(self, *, is_async: bool) -> Clock:
        return self._loop if is_async else self._blocking

    def core(self, upstream: Upstream | None, *, is_async: bool) -> Next:
        """The core in one colour, over `upstream` or else over the connections all clients share."""
        if upstream is None:
            upstream = self._pool if is_async else self._sockets
        ports = Ports(self.clock(is_async=is_async), self.chance, upstream, self.ledger, MemoryKeys())
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


def _by_kind(own: ModelPriceConfig) -> dict[str, str]:
    """A model's own prices as the price book takes them: names without the unit, and what is not said left out."""
    said = {field.name.removesuffix("_usd"): getattr(own, field.name) for field in fields(own)}
    return {kind: price for kind, price in said.items() if price is not None}


def _ledger(config: Config, clock: Clock) -> Ledger:
    if config.stores.ledger == "memory":
        return MemoryLedger()
    return SqliteLedger(Path(config.data), clock, sync=config.records.sync, keep_days=config.records.keep_days)
