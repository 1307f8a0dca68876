"""The concrete parts behind wrapped clients: one ledger, one pool of connections and one price book for each config."""

from __future__ import annotations

import atexit
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ...config.load import Loaded, adopted, open_config
from ...config.routes import ShadowConfig
from ...config.schema import Config
from ...drive import run
from ...errors import StoreFailed
from ...layer import Next
from ...pipeline import build
from ...ports import Clock, Ports, Upstream
from ...ports.blocking import BlockingClock, SystemChance, ThreadTasks
from ...ports.loop import LoopClock, LoopTasks
from ...ports.origin import PoolLimits
from ...ports.pool import LoopPool
from ...ports.sockets import SocketPool
from ...stores.memory import MemoryKeys, MemoryStatus
from ...stores.sqlite import SqliteLedger
from .. import compose


class Composition:
    """The parts of one config. Ledger and pools look after forks, threads and event loops themselves."""

    def __init__(self, loaded: Loaded) -> None:
        self.config = config = loaded.config
        self._routes = compose.routes(loaded, no_key=None, is_client=True)
        self.chance = SystemChance()
        self._blocking, self._loop = BlockingClock(), LoopClock()
        self._prices = compose.price_book(config)
        self.ledger = compose.ledger(config, self._blocking)
        self._end_telemetry = compose.telemetry(config, loaded.secrets, self.ledger)
        atexit.register(self._end)
        self._retries = compose.retry_budget(config)
        self._threads, self._loop_tasks = ThreadTasks(), LoopTasks()
        self._shared = compose.shared(config, self._blocking)
        compose.begin_budgets(config, self.ledger, self._shared["budgets"], self._blocking)
        self._limits = PoolLimits(
            connections_max=config.transport.connections_max, idle_max=config.transport.idle_connections_max
        )

    def _end(self) -> None:
        """At exit, before the ledger is let go of: what has ended by then is told to whoever watches."""
        if isinstance(self.ledger, SqliteLedger):
            with suppress(StoreFailed):
                self.ledger.flush()
        self._end_telemetry()

    def clock(self, *, is_async: bool) -> Clock:
        return self._loop if is_async else self._blocking

    def tasks(self, *, is_async: bool) -> ThreadTasks | LoopTasks:
        """What is under way beside calls, of all clients."""
        return self._loop_tasks if is_async else self._threads

    def core(self, upstream: Upstream | None, *, is_async: bool, may_copy: bool = True) -> Next:
        """The core in one colour, over `upstream` or else over the connections all clients share.

        Without `may_copy` it makes no copies of calls: `upstream` is bound to the call that is under way.
        """
        if upstream is None:
            upstream = self._pool if is_async else self._sockets
        clock = self.clock(is_async=is_async)
        ports = Ports(
            clock,
            self.chance,
            upstream,
            self.ledger,
            MemoryKeys(),
            self._retries,
            **self._shared,
            status=MemoryStatus(),
            tasks=self.tasks(is_async=is_async),
        )
        return build(self.config if may_copy else _uncopied(self.config), ports, self._routes, self._prices)

    @cached_property
    def _sockets(self) -> SocketPool:
        made = SocketPool(self._limits)
        atexit.register(lambda: run(made.aclose()))
        return made

    @cached_property
    def _pool(self) -> LoopPool:
        return LoopPool(self._limits)


def _uncopied(config: Config) -> Config:
    features = {name: replace(own, shadow=ShadowConfig()) for name, own in config.features.items()}
    return replace(config, features=features)


#: Those in use, few by nature. Kept for good: a ledger is closed when the process ends.
_compositions: list[Composition] = []


def composition(config: Config | Path | str | None, data: Path | str | None) -> Composition:
    """The parts for a config, made once for equal ones. Raises ConfigError."""
    if not isinstance(config, Config):
        overrides = {} if data is None else {"data": str(data)}
        loaded = open_config(None if config is None else Path(config), overrides=overrides)
    else:
        loaded = adopted(config if data is None else replace(config, data=Path(data)))
    for known in _compositions:
        if known.config == loaded.config:
            return known
    made = Composition(loaded)
    _compositions.append(made)
    return made
