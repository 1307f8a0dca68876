"""Where a gateway is put together from its config, runs, reloads and ends."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable
from dataclasses import replace

from ...config.schema import Config
from ...config.secrets import Secrets
from ...drive import run
from ...errors import ConfigError, StoreFailed
from ...layers.per_call.routing import Routes
from ...pipeline import build
from ...ports import Keys, Ports, Upstream
from ...ports.blocking import SystemChance
from ...ports.loop import LoopClock, LoopTasks
from ...ports.origin import PoolLimits
from ...ports.pool import LoopPool
from ...stores import audit
from ...stores.keys import LoopKeyCache
from ...stores.memory import MemoryKeys, MemoryStatus
from ...stores.sqlite import SqliteLedger
from .. import compose
from . import alerting
from .allowances import keep_told
from .api import Api
from .app import Gateway
from .exchange import App
from .limits import ServerLimits
from .server import Server
from .watch import has_page, watch

log = logging.getLogger("penstock.gateway")

#: What a reload cannot change, because it is held open: it takes a restart.
_FIXED = ("data", "gateway", "stores", "records", "alerts", "metrics", "traces", "log")


class House:
    """One gateway process. Made blocking, before the loop runs, so that faults show at once.

    `reread` loads config and upstream again for a reload; `secrets` follows the references of those who are told of
    alerts. `pages` makes the web pages. Raises ConfigError and StoreFailed.
    """

    def __init__(
        self,
        config: Config,
        routes: Routes,
        reread: Callable[[], tuple[Config, Routes]],
        secrets: Secrets,
        pages: Callable[[Callable[[], Config], Ports], App] | None = None,
    ) -> None:
        self.config, self._routes, self._reread = config, routes, reread
        self._reloads, self._counting = 0, set[asyncio.Future[None]]()
        clock, self._chance = LoopClock(), SystemChance()
        self._ledger = compose.ledger(config, clock)
        self._end_telemetry = compose.telemetry(config, secrets, self._ledger)
        if isinstance(self._ledger, SqliteLedger):
            self._ledger.start()
        self._keys = LoopKeyCache(config.data, clock) if config.identity.keys_required else None
        keys: Keys = self._keys or MemoryKeys()
        self._upstream = _upstream(config)
        shared = compose.shared(config, clock)
        run(shared["circuits"].find(""))  # opens the store, so that faults show at once
        compose.begin_budgets(config, self._ledger, shared["budgets"], clock)
        self._bodies = shared["bodies"]
        if self._bodies is not None:
            self._bodies.start()
        self._status, self._tasks = MemoryStatus(), LoopTasks()
        self._ports = Ports(
            clock,
            self._chance,
            self._upstream,
            self._ledger,
            keys,
            compose.retry_budget(config),
            **shared,
            status=self._status,
            tasks=self._tasks,
        )
        self._in_flight: Callable[[], int] = int
        self._alerts = alerting.opened(lambda: self.config, lambda: self._routes, secrets, self._ports)
        self.gateway = Gateway(
            build(config, self._ports, routes, compose.price_book(config)),
            self._ports,
            compose.timeouts(config),
            Api(config, self._ports, self._metrics()),
            pages=None if pages is None else pages(lambda: self.config, self._ports),
            drains_on_hangup=config.transport.on_hangup == "drain",
        )

    async def run(self, ready: Callable[[str, int], None]) -> None:
        """Serve until told to stop, then let every call under way end. Raises CannotListen."""
        own = self.config.gateway
        server = Server(
            self.gateway,
            own.host,
            own.port,
            clock=self._ports.clock,
            new_id=lambda: self._chance.id("call"),
            limits=ServerLimits(
                header_bytes_max=own.header_bytes_max,
                header_read_s=own.header_read_s,
                body_idle_s=own.body_idle_s,
                keep_alive_s=own.keep_alive_s,
                connections_max=own.connections_max,
            ),
            body_bytes_max=self._body_bytes_max,
            ready=ready,
            reload=self._reload,
            grace_s=own.grace_s,
        )
        self.gateway.is_draining = lambda: server.is_draining
        self._in_flight = lambda: len(server.state.tasks) - 1  # but for the scrape that asks
        gc.collect()
        gc.freeze()  # what the start made stays; the collector need not walk it again and again
        gc.set_threshold(10_000, 20, 20)
        beside = [keep_told(lambda: self._routes, self._ports.paces, self._upstream, self._ports.clock)]
        if has_page(self.config):
            beside.append(watch(self.config, self._status, self._upstream, self._ports.clock))
        if self._alerts is not None:
            beside.append(alerting.keep_watch(self._alerts, self.config.alerts.every_s, self._ports.clock))
        tasks = [asyncio.ensure_future(one) for one in beside]
        try:
            await server.run()
        finally:
            late = await self._tasks.drained(server.grace_left_s)
            if late:
                log.warning("%d copies were still under way at the end of the grace period and are cancelled", late)
            for task in tasks:
                task.cancel()
            await self._upstream.aclose()
            await asyncio.to_thread(self._close)

    def _metrics(self) -> Callable[[], bytes] | None:
        if not self.config.metrics.enabled:
            return None
        try:
            from .scraping import metrics
        except ImportError as error:
            raise ConfigError(
                "[metrics] is enabled, and prometheus-client is not installed.",
                code="extra_missing",
                fix="Run `pip install 'penstock[metrics]'`, or leave it out.",
            ) from error
        return metrics(lambda: self.config, self._ports, lambda: self._in_flight()).text

    def _close(self) -> None:
        if self._keys is not None:
            self._keys.close()
        if self._bodies is not None:
            self._bodies.flush()
        if isinstance(self._ledger, SqliteLedger):
            try:
                self._ledger.close_store()
            except StoreFailed as error:
                log.error("%s The journal keeps what is missing; the next start folds it.", error)
        self._end_telemetry()

    def _body_bytes_max(self, path: str) -> int:
        own = self.config.gateway
        if path.startswith("/v1/messages/batches"):
            return own.batch_body_bytes_max
        return own.file_body_bytes_max if path.startswith("/v1/files") else own.body_bytes_max

    def _reload(self) -> None:
        """On SIGHUP: a new pipeline for calls to come; those under way keep theirs. A bad config changes nothing."""
        try:
            config, routes = self._reread()
        except ConfigError as error:
            log.error("reload refused, the old config stays: %s", error)
            return
        kept = {name: getattr(self.config, name) for name in _FIXED}
        fixed = [name for name in _FIXED if getattr(config, name) != kept[name]]
        if fixed:
            log.warning("reload: %s cannot change while running and stays as it was; restart for it", ", ".join(fixed))
        config = replace(config, **kept, transport=replace(config.transport, backend=self.config.transport.backend))
        self._reloads += 1
        if config.budgets == self.config.budgets:
            self._take(config, routes)
        else:
            counting = asyncio.ensure_future(self._take_counted(config, routes, self._reloads))
            self._counting.add(counting)
            counting.add_done_callback(self._counting.discard)

    async def _take_counted(self, config: Config, routes: Routes, number: int) -> None:
        """Take a config whose budgets are others, once they have been counted, unless a later one came meanwhile."""
        try:
            await asyncio.to_thread(compose.begin_budgets, config, self._ledger, self._ports.budgets, self._ports.clock)
        except StoreFailed as error:
            log.error("reload refused, the old config stays: %s", error)
            return
        if number == self._reloads:
            self._take(config, routes)

    def _take(self, config: Config, routes: Routes) -> None:
        try:
            core = build(config, self._ports, routes, compose.price_book(config))
        except ConfigError as error:
            log.error("reload refused, the old config stays: %s", error)
            return
        self.gateway.swap(core, compose.timeouts(config), drains_on_hangup=config.transport.on_hangup == "drain")
        before, self.config, self._routes = self.config, config, routes
        self._note_reload(before)
        log.info("reloaded")

    def _note_reload(self, before: Config) -> None:
        """So that others see what this process runs with now: a rotation of keys waits for it."""
        keys = [{name: list(one.keys) for name, one in config.upstreams.items()} for config in (before, self.config)]
        who, after = f"gateway {os.getpid()}", {"pid": os.getpid(), "keys": keys[1]}
        try:
            audit.record(
                self.config.data,
                self._ports.clock,
                action="config.reload",
                subject=who,
                before={"keys": keys[0]},
                after=after,
            )
        except StoreFailed as error:
            log.warning("reload: it could not be noted in the audit log: %s", error)


def _upstream(config: Config) -> Upstream:
    own = config.transport
    limits = PoolLimits(connections_max=own.connections_max, idle_max=own.idle_connections_max)
    if own.backend == "pool":
        return LoopPool(limits)
    try:
        from ...ports.aio import AioPool
    except ImportError as error:
        raise ConfigError(
            '[transport] backend is "aiohttp", which is not installed.',
            code="missing_extra",
            fix="pip install 'penstock[aiohttp]', or leave the backend out.",
        ) from error
    return AioPool(limits)
