"""The concrete parts behind the faces, made from a config. Only faces and tools name them."""

from __future__ import annotations

from ..call import Timeouts
from ..config.schema import Config
from ..ports import Clock, Ledger, RetryBudget
from ..stores.memory import MemoryLedger, MemoryRetryBudget
from ..stores.sqlite import SqliteLedger
from ..wire.prices import PriceBook


def price_book(config: Config) -> PriceBook:
    """The shipped prices, with the config's own laid over them."""
    kinds = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
    return PriceBook(
        overrides={
            model: {kind: usd for kind in kinds if (usd := getattr(own, f"{kind}_usd")) is not None}
            for model, own in config.prices.models.items()
        }
    )


def ledger(config: Config, clock: Clock) -> Ledger:
    """Where calls are recorded."""
    if config.stores.ledger == "memory":
        return MemoryLedger()
    return SqliteLedger(config.data, clock, sync=config.records.sync, keep_days=config.records.keep_days)


def retry_budget(config: Config) -> RetryBudget:
    """What all calls of this process share of retries."""
    return MemoryRetryBudget(config.resilience.budget, config.resilience.refill_percent / 100)


def timeouts(config: Config) -> Timeouts:
    """How long an attempt may take, where the caller does not say."""
    own = config.transport
    return Timeouts(own.connect_s, own.first_byte_s, own.idle_s, own.total_s)
