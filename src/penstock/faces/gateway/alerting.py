"""Looks for alerts every few seconds and delivers them, in threads beside the calls."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial

from ...config.schema import Config
from ...config.secrets import Secrets
from ...layers.per_call.routing import Routes
from ...observe.alerts.measures import shown
from ...observe.alerts.reading import Accounts, Reading, Sources
from ...observe.alerts.sinks import Sinks
from ...observe.alerts.watching import Alerts, head
from ...ports import Clock, Ports
from ...stores.alerts import AlertStore
from ...stores.memory import MemoryBudgets
from ...stores.recent import Recent, accounts
from ...stores.shared import SharedDatabase
from ...stores.sqlite import SqliteLedger

log = logging.getLogger("penstock.gateway.alerts")


def opened(config: Callable[[], Config], routes: Callable[[], Routes], secrets: Secrets, ports: Ports) -> Alerts | None:
    """The alerts of a gateway; None where it is to look for none, or keeps no ledger.

    Raises ConfigError for a sink, StoreFailed.
    """
    own, data = config().alerts, config().data
    if not own.every_s:
        return None
    if not isinstance(ports.ledger, SqliteLedger):
        if own.sinks:
            log.warning("no alerts: they are computed from the ledger, and this one is kept in memory")
        return None
    sinks = Sinks({reference: secrets.resolve(reference) for reference in own.sinks})
    store = AlertStore(data)
    known = Sources(
        Recent(data), store, ports.circuits, _accounts(ports, config()), lambda: digests(config(), routes())
    )
    return Alerts(config, ports.clock, Reading(config, ports.clock, known), store, sinks)


def digests(config: Config, routes: Routes) -> Mapping[str, tuple[str, bytes]]:
    """Each reference to a key of an upstream: of which one, and the SHA-256 of the key."""
    found = {}
    for name, upstream in config.upstreams.items():
        held = [(*pair,) for pair in zip(upstream.keys, routes.targets.get(name, ()), strict=False)]
        if upstream.admin_key is not None and name in routes.admins:
            held.append((upstream.admin_key, routes.admins[name]))
        for reference, target in held:
            if target.key is not None:
                found[reference] = (f"upstream {name}", hashlib.sha256(target.key.reveal().encode()).digest())
    return found


def _accounts(ports: Ports, config: Config) -> Accounts:
    budgets = ports.budgets
    if not isinstance(budgets, MemoryBudgets):
        return partial(accounts, SharedDatabase(config.data))

    def found(prefix: str, least_nano: int) -> list[tuple[str, int]]:
        return [
            (name, balance.spent_nano)
            for name, balance in dict(budgets.balances).items()
            if (name + "\x1f").startswith(prefix + "\x1f") and balance.spent_nano >= least_nano
        ]

    return found


async def keep_watch(alerts: Alerts, every_s: float, clock: Clock) -> None:
    """Until cancelled. Nothing that goes wrong here is the calls' business; what was not delivered is due again."""
    is_over = threading.Event()
    delivering: asyncio.Future[None] | None = None
    try:
        while True:
            await clock.sleep(every_s)
            await asyncio.to_thread(_look, alerts)
            if delivering is None or delivering.done():  # a sink that is slow to answer holds up no round
                delivering = asyncio.ensure_future(asyncio.to_thread(_deliver, alerts, is_over))
    finally:
        is_over.set()


def _look(alerts: Alerts) -> None:
    try:
        for change in alerts.evaluate():
            if change.event is not None:
                log.warning("%s, %s: %s", shown(change.identity), head(change.event, change.severity), change.said)
    except Exception as error:
        log.warning("a round of alerts failed: %s", error)


def _deliver(alerts: Alerts, is_over: threading.Event) -> None:
    try:
        for one, error in alerts.deliver(is_over.is_set):
            if error is not None:
                log.warning("%s could not be told of alert %d, try %d: %s", one.sink, one.alert_id, one.tries, error)
    except Exception as error:
        log.warning("alerts could not be delivered: %s", error)
