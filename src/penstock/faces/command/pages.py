"""The web pages, put together over a data folder: for the gateway, and for `penstock dashboard`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ...config.schema import Config
from ...errors import ConfigError, StoreFailed
from ...ports import Key, Ports
from ...ports.blocking import SystemChance
from ...stores.keys import KeyStore

if TYPE_CHECKING:
    from ...dashboard.app import Dashboard


def opened(config: Callable[[], Config], ports: Ports, *, folder: Path) -> Dashboard:
    """The pages of a config and its data folder. Raises ConfigError where their libraries are not installed."""
    try:
        from ...dashboard.access import Access
        from ...dashboard.app import Dashboard
        from ...dashboard.desk import Desk
    except ImportError as error:
        raise ConfigError(
            "The web pages need libraries that are not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[dashboard]'`, or set `enabled = false` under [dashboard].",
        ) from error
    data, clock = config().data, ports.clock
    store = KeyStore(data, clock)

    async def desk() -> Desk:
        try:
            circuits = await ports.circuits.all()
        except StoreFailed:
            circuits = {}
        return Desk(config(), clock, circuits, ports.status.incident(), ports.paces.standing(), folder)

    def found(is_it: Callable[[Key], bool]) -> Key | None:
        return next((key for key in store.list() if is_it(key)), None)

    access = Access(
        config,
        clock,
        ports.salt,
        SystemChance().token,
        lambda digest: found(lambda key: key.digest == digest),
        lambda key_id: found(lambda key: key.id == key_id),
    )
    return Dashboard(access, desk, clock.wall_us)
