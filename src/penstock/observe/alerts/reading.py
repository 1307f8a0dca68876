"""Takes the readings: sums of the ledger, and what budgets, circuits and keys say. Blocks, so it has a thread.

What moves slowly (money, cache, keys) is read once a minute; what an outage shows first, each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

import msgspec

from ...config.schema import Config
from ...drive import run
from ...ports import Circuits, Clock
from ...spending.budget import Budget, of_keys, parts
from ...spending.periods import span
from ...stores.alerts import AlertStore
from ...stores.keys import KeyStore
from ...stores.recent import PIECE_US, Ended, Recent, Spent
from .measures import FORECAST_PERCENT
from .readings import Held, Open, Readings, Standing

SLOW_EVERY_US = 60_000_000

#: The accounts whose name begins so that have spent at least so much, and what they have, in nano-dollars.
Accounts = Callable[[str, int], Iterable[tuple[str, int]]]

_HOUR_US = 3_600_000_000
_DAY_US = 86_400_000_000


class Sources(msgspec.Struct, frozen=True):
    """Where readings are taken. `upstream_keys`: references with what they are of, and the digest of the key there."""

    recent: Recent
    store: AlertStore
    circuits: Circuits
    accounts: Accounts
    upstream_keys: Callable[[], Mapping[str, tuple[str, bytes]]]


class Reading:
    """Takes readings of one data folder, one after the other. Every method raises StoreFailed."""

    def __init__(self, config: Callable[[], Config], clock: Clock, sources: Sources) -> None:
        self._config, self._clock, self._from = config, clock, sources
        self._slow = Readings(at_us=0)
        self._hours: dict[str, int] = {}
        self._budgets: list[Budget] = []

    def take(self) -> Readings:
        """What everything says now."""
        config, now_us = self._config(), self._clock.wall_us()
        if now_us - self._slow.at_us >= SLOW_EVERY_US:
            self._slow = self._money(config, now_us)
        window_us = round(config.alerts.window_s * 1e6)
        is_timed = float(config.alerts.error_percent) > 0 or config.alerts.slow_s > 0
        ended = self._from.recent.ended(now_us - window_us, now_us) if is_timed else Ended()
        circuits = run(self._from.circuits.all())
        return msgspec.structs.replace(
            self._slow,
            at_us=now_us,
            ended=ended,
            standings=tuple(self._standings(now_us)),
            circuits=tuple([Open(name, one.until_us, one.opens) for name, one in sorted(circuits.items())]),
        )

    def _money(self, config: Config, now_us: int) -> Readings:
        own, recent, today = config.alerts, self._from.recent, Spent()
        if own.day_nano:
            today = recent.spent(span("day", ZoneInfo(own.timezone), now_us).from_us, now_us, now_us)
        hour, earlier = Spent(), []
        if own.spike_percent or own.cache_drop_percent:
            until_us = now_us // PIECE_US * PIECE_US
            from_us, first_us = until_us - _HOUR_US, recent.first_us()
            hour = recent.spent(from_us, now_us, now_us)
            for back_us in range(_DAY_US, (own.compare_days + 1) * _DAY_US, _DAY_US):
                if first_us is not None and first_us <= from_us - back_us:
                    earlier.append(recent.spent(from_us - back_us, until_us + PIECE_US - back_us, now_us))
        keys = KeyStore(config.data, self._clock).list()
        self._budgets = [*map(Budget, config.budgets), *of_keys(keys)]
        held = [
            Held(key.id, key.name, key.created_at_us)
            for key in keys
            if key.revoked_at_us is None and (key.expires_at_us is None or key.expires_at_us > now_us)
        ]
        held += self._upstream_keys(now_us)
        self._hours = self._spent_in_the_last_hour(config, now_us)
        drifts = tuple(self._from.store.drifts())
        return Readings(at_us=now_us, today=today, hour=hour, earlier=tuple(earlier), keys=tuple(held), drifts=drifts)

    def _upstream_keys(self, now_us: int) -> list[Held]:
        known = self._from.upstream_keys()
        since = self._from.store.seen([(name, digest) for name, (_, digest) in known.items()], now_us)
        return [Held(name, f"{name} of {known[name][0]}", since_us, True) for name, since_us in since.items()]

    def _standings(self, now_us: int) -> Iterable[Standing]:
        for budget in self._budgets:
            for name, spent_nano in self._spenders(budget, now_us):
                of = budget.span(now_us)
                hour_nano = self._hours.get(name)
                yield Standing(budget.config, parts(name)[2], of.label, of.until_us, spent_nano, hour_nano)

    def _spenders(self, budget: Budget, now_us: int) -> Iterable[tuple[str, int]]:
        """The accounts of a budget that have spent enough for any alert."""
        alerts, limit_nano = budget.config.alert_percent, budget.limit_nano
        usual_nano = budget.plan_nano if limit_nano is None else limit_nano
        least_nano = min(budget.plan_nano * min(alerts, default=100), usual_nano * FORECAST_PERCENT) // 100
        return self._from.accounts(budget.account((), budget.span(now_us)), max(1, least_nano))

    def _spent_in_the_last_hour(self, config: Config, now_us: int) -> dict[str, int]:
        """By account, of the budgets that have an account of which something may be foretold."""
        found: dict[str, int] = {}
        for budget in self._budgets if config.alerts.forecast_s else ():
            if any(True for _ in self._spenders(budget, now_us)):
                found |= self._from.recent.spent_by(budget.counted(now_us), now_us - _HOUR_US, now_us)
        return found
