"""The concrete parts behind the faces, made from a config. Only faces and tools name them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from ..call import Target, Timeouts
from ..config.faults import is_candidate
from ..config.load import Loaded
from ..config.schema import Config, UpstreamConfig
from ..config.secrets import Secrets
from ..errors import ConfigError
from ..layers.per_call.routing import Routes
from ..observe.scrubbing import scrubbed
from ..ports import Answers, Circuits, Clock, Ledger, Quotas, RetryBudget
from ..ports.blocking import SystemChance
from ..ports.money import Budgets
from ..prompts import open_prompts
from ..secret import Secret
from ..spending.budget import Budget
from ..stores.bodies import BodyStore
from ..stores.budgets import SqliteBudgets
from ..stores.memory import (
    MemoryAnswers,
    MemoryBudgets,
    MemoryCircuits,
    MemoryLedger,
    MemoryQuotas,
    MemoryRetryBudget,
)
from ..stores.paces import Paces
from ..stores.salt import salt
from ..stores.schema import connect
from ..stores.shared import SharedDatabase, SqliteAnswers, SqliteCircuits, SqliteQuotas
from ..stores.sqlite import SqliteLedger
from ..wire.envelopes import KINDS, Envelope, Unusable, envelope
from ..wire.prices import PriceBook, usd

if TYPE_CHECKING:
    from ..observe.log import CallLog

_DAY_US = 86_400_000_000
_SALT_BYTES = 32

_log = logging.getLogger("penstock.budgets")


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
    own = config.records
    made = SqliteLedger(
        config.data,
        clock,
        sync=own.sync,
        keep_days=own.keep_days,
        sums_keep_days=max(own.sums_keep_days, own.keep_days),
    )
    if config.log.calls is not None:
        made.watchers.append(call_log(config, config.log.calls).write)
    return made


def call_log(config: Config, place: str) -> CallLog:
    """The log of calls. Raises ConfigError."""
    try:
        from ..observe.log import CallLog
    except ImportError:
        raise ConfigError(
            "[log] has `calls`, and structlog is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[logs]'`, or leave `calls` out.",
        ) from None
    where = place if place == "stderr" else config.data / place.removeprefix("file:")
    return CallLog(where, config.log.calls_mb_max << 20)


def telemetry(config: Config, secrets: Secrets, ledger: Ledger) -> Callable[[], None]:
    """Let a collector have traces and metrics, where the config names one; what ends that. Raises ConfigError."""
    own = config.traces
    if own.endpoint is None or not isinstance(ledger, SqliteLedger):
        return _nothing
    try:
        from ..observe.otlp import telemetry
    except ImportError:
        raise ConfigError(
            "[traces] has an `endpoint`, and the OpenTelemetry SDK is not installed.",
            code="extra_missing",
            fix="Run `pip install 'penstock[otel]'`, or leave it out.",
        ) from None
    said = secrets.resolve(own.headers).reveal() if own.headers is not None else ""
    fields = [entry.partition("=") for entry in said.split(",") if entry.strip()]
    made = telemetry(own, config.environment, {name.strip(): value.strip() for name, _, value in fields})
    ledger.watchers.extend(made.watchers)
    return made.close


def _nothing() -> None:
    """What ends where nothing has begun."""


def retry_budget(config: Config) -> RetryBudget:
    """What all calls of this process share of retries."""
    return MemoryRetryBudget(config.resilience.budget, config.resilience.refill_percent / 100)


class Shared(TypedDict):
    """What calls remember together, of the fields of Ports."""

    quotas: Quotas
    budgets: Budgets
    circuits: Circuits
    answers: Answers
    paces: Paces
    salt: bytes
    bodies: BodyStore | None


def shared(config: Config, clock: Clock) -> Shared:
    """What all calls remember together."""
    own = config.pacing
    paces = Paces(
        clock,
        share=own.share_percent / 100,
        ramp_percent=own.ramp_per_minute_percent,
        queue_max=own.queue_max,
    )
    made = SystemChance().token(_SALT_BYTES).encode()
    if "memory" in (config.stores.counters, config.stores.ledger):
        return {
            "quotas": MemoryQuotas(clock),
            "budgets": MemoryBudgets(),
            "circuits": MemoryCircuits(),
            "answers": MemoryAnswers(),
            "paces": paces,
            "salt": made if config.stores.ledger == "memory" else salt(config.data, made),
            "bodies": None,
        }
    held = SharedDatabase(config.data)
    return {
        "quotas": SqliteQuotas(held, clock),
        "budgets": SqliteBudgets(held, clock),
        "circuits": SqliteCircuits(held, clock),
        "answers": SqliteAnswers(held),
        "paces": paces,
        "salt": salt(config.data, made),
        "bodies": _bodies(config, clock),
    }


def _bodies(config: Config, clock: Clock) -> BodyStore | None:
    own = config.records.bodies
    is_wanted = own.errors or own.percent or any(one.bodies_percent for one in config.features.values())
    if not is_wanted:
        return None
    return BodyStore(config.data, clock, scrubbed, keep_days=own.keep_days, bytes_max=own.mb_max << 20)


def begin_budgets(config: Config, ledger: Ledger, budgets: Budgets, clock: Clock) -> None:
    """Bring what budgets have spent in line with the ledger, and keep it so. Blocks. Raises StoreFailed."""
    if not isinstance(ledger, SqliteLedger) or not isinstance(budgets, SqliteBudgets):
        return
    ledger.tidied = budgets.sweep
    if not config.budgets:
        return
    ledger.flush()
    now_us = clock.wall_us()
    connection, shared = connect(config.data), SharedDatabase(config.data)
    try:
        counter = SqliteBudgets(shared, clock)  # with a connection of its own: it may take a second, calls must not
        counter.sweep(connection)
        counted = [Budget(own).counted(now_us) for own in config.budgets]
        for one in counter.begin(connection, counted, whole_from_us=now_us - config.records.keep_days * _DAY_US):
            _log.warning(
                "Budget %r (%s) had counted %s dollars, and the ledger says %s; it has been put right.",
                *(one.title, one.account, usd(one.before_nano), usd(one.after_nano)),
            )
    finally:
        connection.close()
        shared.close()


def timeouts(config: Config) -> Timeouts:
    """How long an attempt may take, where the caller does not say."""
    own = config.transport
    return Timeouts(own.connect_s, own.first_byte_s, own.idle_s, own.total_s)


def routes(loaded: Loaded, *, no_key: Secret | None, is_client: bool = False) -> Routes:
    """The upstreams with their keys resolved, and the texts that features name. `no_key` is for those without one.

    A client in process brings its own upstream: `is_client` takes only those that a fallback names. Raises
    ConfigError for a secret or a file that is not there.
    """
    config = loaded.config
    entries = [entry for feature in config.features.values() for entry in feature.fallback]
    named = {entry.partition("@")[2] for entry in entries if is_candidate(entry)}
    targets = {}
    for name, upstream in config.upstreams.items():
        if is_client and name not in named:
            continue
        keys: list[Secret | None] = [loaded.secrets.resolve(reference) for reference in upstream.keys]
        keys = keys or [no_key]
        targets[name] = tuple(
            Target(
                name if place == 0 else f"{name}#{place + 1}",
                upstream.address,
                key,
                upstream.weight,
                _envelope(name, upstream, key),
            )
            for place, key in enumerate(keys)
        )
    files = {entry.removeprefix("static:") for entry in entries if entry.startswith("static:")}
    admins = {
        name: Target(name, upstream.address, loaded.secrets.resolve(upstream.admin_key))
        for name, upstream in config.upstreams.items()
        if upstream.admin_key is not None and not is_client
    }
    has_prompts = any(feature.prompt is not None for feature in config.features.values())
    prompts = open_prompts(loaded) if has_prompts else None
    schemas = {feature.form.schema for feature in config.features.values() if feature.form.schema is not None}
    return Routes(
        targets,
        {file: _text(loaded, file, "text", "a fallback") for file in files},
        admins,
        prompts,
        {file: _text(loaded, file, "schema", "a form").encode() for file in schemas},
    )


def _envelope(name: str, upstream: UpstreamConfig, key: Secret | None) -> Envelope | None:
    if upstream.kind not in KINDS:
        return None
    made = envelope(
        upstream.kind, upstream.address, region=upstream.region, project=upstream.project, models=upstream.models
    )
    if key is not None:
        try:
            made.check(key.reveal())
        except Unusable as fault:
            raise ConfigError(
                f"The key of upstream {name} cannot be used: {fault}",
                code="bad_secret",
                fix="See docs/layers/transport.md for the form each cloud takes.",
            ) from None
    return made


def _text(loaded: Loaded, file: str, kind: str, namer: str) -> str:
    """A file that the config names: a `text` or a `schema`. Raises ConfigError."""
    folder = loaded.file.parent if loaded.file is not None else Path.cwd()
    try:
        return (folder / file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The {kind} {folder / file}, which {namer} names, cannot be read: {error}.",
            code="text_unreadable",
            fix="Write it there in UTF-8, or correct the path, which begins at the config file's folder.",
        ) from None
