"""Every key of the config: its name, type, default and meaning.

One frozen dataclass per section of the file; in process the same classes are the arguments. Each checks itself when it
is made and raises ConfigError naming the key and the fix. Times are in seconds and sizes in bytes, as the names say.
Secrets are here by reference only (see `secrets`), so a Config may be printed, compared and logged.
"""
# ruff: noqa: RUF009  (`key` and `table` make dataclass fields)

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..wire.models import pico
from .keys import BadValue, Fault, Section, check, is_secret_like, key, shown, table
from .references import fault_of_reference

API_URL = "https://api.anthropic.com"
DATABASE = "sqlite:penstock.db"
DAY_S = 86_400.0

_UPSTREAM_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_LATER_KINDS = {"bedrock": "Amazon Bedrock", "google": "Google Cloud", "foundry": "Microsoft Foundry"}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "0.0.0.0", "::", ""})


def _fault_of_url(url: str) -> Fault | None:
    fix = 'Give scheme, host, optional port and optional path prefix, such as "https://api.anthropic.com".'
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL", fix
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        return "is not an http or https URL", fix
    if parts.username is not None or parts.password is not None:
        return (
            "holds a credential",
            'Name the key under `keys`, such as keys = ["env:ANTHROPIC_API_KEY"], not in the URL.',
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "has a query or a fragment", fix
    if parts.path.rstrip("/").endswith("/v1"):
        return "ends in /v1, which every call's own path begins with", "Leave the /v1 out."
    return None


def _fault_of_kind(kind: str) -> Fault | None:
    if kind in _LATER_KINDS:
        return (
            f'is "{kind}", and {_LATER_KINDS[kind]} as an upstream of the gateway comes with a later version',
            "Until then wrap the SDK's own client for that cloud in process, or use another upstream.",
        )
    if kind not in ("anthropic", "compatible"):
        return f"is {shown(kind)}", 'Give "anthropic" or "compatible".'
    return None


def _fault_of_keys(references: tuple[str, ...]) -> Fault | None:
    if len(references) > 1:
        return (
            f"lists {len(references)} keys, and sharing calls among keys comes with a later version",
            "List one.",
        )
    for reference in references:
        fault = fault_of_reference(reference)
        if fault is not None:
            return fault
    return None


def _fault_of_ledger(place: str) -> Fault | None:
    fix = f'Give "{DATABASE}", kept in the data folder, or "memory".'
    if place in (DATABASE, "memory"):
        return None
    if place.startswith(("postgresql:", "postgres:")):
        return "names PostgreSQL, which comes with a later version", fix
    if place.startswith(("redis:", "rediss:")):
        return "names Redis, which comes with a later version and never holds the ledger", fix
    if place.startswith("sqlite:"):
        return "names another file than penstock.db", 'Give "sqlite:penstock.db"; to move it, set `data`.'
    return f"is {shown(place)}", fix


def _fault_of_price(usd: str) -> Fault | None:
    try:
        is_price = _DECIMAL.fullmatch(usd) is not None and pico(usd, "") >= 0
    except ValueError:
        is_price = False
    if is_price:
        return None
    return f"is {shown(usd)}", 'Give dollars per million tokens in steps of 0.00002, as a string such as "3.75".'


@dataclass(frozen=True, slots=True)
class UpstreamConfig(Section):
    """One place that calls go to: `[upstreams.NAME]`."""

    kind: str = key(
        "anthropic", '"anthropic", or "compatible" for other services with the same API', fault=_fault_of_kind
    )
    url: str = key(API_URL, "where it is; `compatible` must say", fault=_fault_of_url)
    keys: tuple[str, ...] = key(
        (),
        "the key it is paid with, by reference; without one, callers' own where `keys_required` is false",
        fault=_fault_of_keys,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.kind == "compatible" and self.url == API_URL:
            raise BadValue("UpstreamConfig", "url", 'is missing, and kind "compatible" has no default', "Give its URL.")


@dataclass(frozen=True, slots=True)
class GatewayConfig(Section):
    """The HTTP server: `[gateway]`."""

    host: str = key("127.0.0.1", 'the address to listen on; "0.0.0.0" serves other machines')
    port: int = key(8787, "the port to listen on; 0 takes any free one", least=0, most=65_535)
    body_bytes_max: int = key(33_554_432, "the largest request body; the API takes 32 MB", least=1)
    batch_body_bytes_max: int = key(268_435_456, "the largest body that creates a batch; the API takes 256 MB", least=1)
    file_body_bytes_max: int = key(524_288_000, "the largest body that uploads a file; the API takes 500 MB", least=1)
    header_bytes_max: int = key(65_536, "the largest request head: request line and header fields", least=1024)
    header_read_s: float = key(10.0, "how long a caller may take to send a request's head", least=0.01, most=DAY_S)
    body_idle_s: float = key(15.0, "how long a caller may pause while sending a body", least=0.01, most=DAY_S)
    keep_alive_s: float = key(75.0, "how long an idle connection is kept", least=0, most=DAY_S)
    connections_max: int = key(4096, "how many callers' connections are held at once", least=1)
    grace_s: float = key(30.0, "how long calls under way may take to finish after SIGTERM", least=0, most=DAY_S)


@dataclass(frozen=True, slots=True)
class TransportConfig(Section):
    """The way to the upstreams: `[transport]`."""

    backend: Literal["pool", "aiohttp"] = key(
        "pool", '"pool" is the fast one; "aiohttp" goes through proxies', one_of=("pool", "aiohttp")
    )
    connect_s: float = key(5.0, "how long connecting may take", least=0.01, most=DAY_S)
    first_byte_s: float = key(600.0, "how long an answer may take to begin", least=0.01, most=DAY_S)
    idle_s: float = key(300.0, "how long an answer may pause; the API pings its streams", least=0.01, most=DAY_S)
    total_s: float = key(3600.0, "how long an attempt may take from first to last", least=0.01, most=DAY_S)
    connections_max: int = key(1000, "how many connections one upstream gets at once", least=1)
    idle_connections_max: int = key(512, "how many of them are kept open while idle", least=0)
    on_hangup: Literal["cancel", "drain"] = key(
        "cancel",
        'when a caller hangs up: "cancel" stops paying, "drain" reads on for the exact cost',
        one_of=("cancel", "drain"),
    )


@dataclass(frozen=True, slots=True)
class IdentityConfig(Section):
    """Who is asking: `[identity]`."""

    keys_required: bool = key(True, "whether callers of the gateway must hold a Penstock key")
    user_from_metadata: bool = key(True, "whether `metadata.user_id` names the user where no header does")


@dataclass(frozen=True, slots=True)
class AdmissionConfig(Section):
    """What may be a call, in every face: `[admission]`."""

    body_bytes_max: int = key(33_554_432, "the largest body of a message or a token count", least=1)


@dataclass(frozen=True, slots=True)
class RoutingConfig(Section):
    """Where calls go: `[routing]`."""

    default: str | None = key(None, "the upstream of calls that name none; needed where there are several")


@dataclass(frozen=True, slots=True)
class ResilienceConfig(Section):
    """What is tried again, and how often: `[resilience]`."""

    tries_max: int = key(6, "how often one call is tried at most, the first included; 1 never tries again", least=1)
    wait_first_s: float = key(1.0, "the wait before the first retry, doubled for each that follows", least=0)
    wait_max_s: float = key(60.0, "the longest such wait; an upstream's own `retry-after` may be longer", least=0)
    budget: int = key(35, "how many retries all calls together have, before successes give some back", least=0)
    refill_percent: int = key(50, "how much of a retry each success gives back", least=0, most=100)


@dataclass(frozen=True, slots=True)
class RecordsConfig(Section):
    """How long and how safely calls are recorded: `[records]`."""

    keep_days: int = key(30, "how long records are kept; at least 1", least=1, most=36_500)
    sync: Literal["os", "disk"] = key(
        "os", '"os" survives a killed process; "disk" a power cut too, and is slower', one_of=("os", "disk")
    )


@dataclass(frozen=True, slots=True)
class StoresConfig(Section):
    """What is remembered between calls, and where: `[stores]`."""

    ledger: str = key(DATABASE, '"memory" forgets everything at exit', fault=_fault_of_ledger)


@dataclass(frozen=True, slots=True)
class ModelPriceConfig(Section):
    """A price of your own for one model, in dollars per million tokens: `[prices.models.NAME]`.

    Decimal strings, so that they stay exact.
    """

    input_usd: str = key(meaning="a million uncached input tokens", fault=_fault_of_price)
    output_usd: str = key(meaning="a million output tokens", fault=_fault_of_price)
    cache_read_usd: str | None = key(
        None, "a million tokens read from cache; without it calls that do are unpriced", fault=_fault_of_price
    )
    cache_write_5m_usd: str | None = key(
        None, "a million tokens written to cache for 5 minutes; likewise", fault=_fault_of_price
    )
    cache_write_1h_usd: str | None = key(
        None, "a million tokens written to cache for an hour; likewise", fault=_fault_of_price
    )


@dataclass(frozen=True, slots=True)
class PricesConfig(Section):
    """What models cost where the built-in table does not say, or you pay something else: `[prices]`."""

    unknown_model: Literal["flag", "refuse"] = key(
        "flag",
        'a call for a model with no known price is recorded as unpriced ("flag") or refused ("refuse")',
        one_of=("flag", "refuse"),
    )
    models: Mapping[str, ModelPriceConfig] = table(dict, "your own prices, by model")


@dataclass(frozen=True, slots=True)
class LogConfig(Section):
    """What Penstock says on standard error: `[log]`."""

    level: Literal["debug", "info", "warning", "error"] = key(
        "info", "the least grave line that is written", one_of=("debug", "info", "warning", "error")
    )


@dataclass(frozen=True, slots=True)
class Config(Section):
    """The whole config. `upstreams` may be empty: in process the client brings its own."""

    environment: Literal["dev", "staging", "prod"] = key(
        "dev", "which one this is; keys and records carry it", one_of=("dev", "staging", "prod")
    )
    data: Path = key(Path("penstock-data"), "the folder for ledger and keys, beside this file unless absolute")
    upstreams: Mapping[str, UpstreamConfig] = table(dict, "where calls go, by name")
    gateway: GatewayConfig = table(GatewayConfig, "the HTTP server")
    transport: TransportConfig = table(TransportConfig, "the way to the upstreams")
    identity: IdentityConfig = table(IdentityConfig, "who is asking")
    admission: AdmissionConfig = table(AdmissionConfig, "what may be a call")
    routing: RoutingConfig = table(RoutingConfig, "where calls go")
    resilience: ResilienceConfig = table(ResilienceConfig, "what is tried again")
    records: RecordsConfig = table(RecordsConfig, "how calls are recorded")
    stores: StoresConfig = table(StoresConfig, "what is remembered, and where")
    prices: PricesConfig = table(PricesConfig, "what models cost")
    log: LogConfig = table(LogConfig, "what is written to standard error")

    def __post_init__(self) -> None:
        check(self)
        for name in self.upstreams:
            if not _UPSTREAM_NAME.fullmatch(name) or is_secret_like(name):
                raise BadValue(
                    "Config",
                    "upstreams",
                    f"has the name {shown(name)}",
                    "Name upstreams in lower-case letters, digits and inner dashes, at most 64.",
                )
        chosen = self.routing.default
        if chosen is not None and chosen not in self.upstreams:
            names = ", ".join(self.upstreams) or "none"
            raise BadValue(
                "Config", "routing.default", f"is {shown(chosen)}, which is no upstream", f"There are: {names}."
            )
        if chosen is None and len(self.upstreams) > 1:
            raise BadValue(
                "Config",
                "routing.default",
                f"is missing, and there are {len(self.upstreams)} upstreams",
                f"Name one of {', '.join(self.upstreams)}.",
            )

    @property
    def default_upstream(self) -> str | None:
        """The name of the upstream that calls go to; None where there is none."""
        return self.routing.default or next(iter(self.upstreams), None)


def check_for_gateway(config: Config) -> None:
    """What only the gateway needs of a config. Raises ConfigError.

    Its upstreams must not be itself, and the API wants a key of its own where callers hold Penstock's.
    """
    for name, upstream in config.upstreams.items():
        parts = urlsplit(upstream.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        is_here = parts.hostname == config.gateway.host or {parts.hostname or "", config.gateway.host} <= _LOOPBACK
        if is_here and port == config.gateway.port:
            raise ConfigError(
                f"Upstream {name} is this gateway itself: {upstream.url}.",
                code="upstream_is_self",
                fix=f"Set `upstreams.{name}.url` to the API's own address, or unset ANTHROPIC_BASE_URL.",
            )
        if upstream.kind == "anthropic" and not upstream.keys and config.identity.keys_required:
            raise ConfigError(
                f"Upstream {name} has no key, and callers hold Penstock keys, which the API does not know.",
                code="upstream_without_key",
                fix=f'Set `upstreams.{name}.keys` to ["env:ANTHROPIC_API_KEY"], or `identity.keys_required` to false '
                "to send callers' own keys on.",
            )
