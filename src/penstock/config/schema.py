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

from ..wire.envelopes import KINDS, default_url, envelope
from . import faults
from .alerts import AlertsConfig
from .bodies import BodiesConfig
from .dashboard import DashboardConfig
from .environments import ENVIRONMENTS, check_environment
from .faults import COUNTERS, DATABASE
from .features import DAY_S, FeatureConfig, TierConfig
from .keys import BadValue, Section, check, is_secret_like, key, shown, table
from .metrics import MetricsConfig
from .money import BudgetConfig
from .prompts import PromptsConfig
from .routes import QualityConfig, RouteConfig, check_budgets
from .traces import TracesConfig

API_URL = "https://api.anthropic.com"
STATUS_URL = "https://status.claude.com/api/v2/summary.json"

_UPSTREAM_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class UpstreamConfig(Section):
    """One place that calls go to: `[upstreams.NAME]`."""

    kind: Literal["anthropic", "compatible", "bedrock", "mantle", "google", "foundry"] = key(
        "anthropic",
        '"anthropic", or "compatible" for other services with the same API; or a cloud',
        one_of=("anthropic", "compatible", "bedrock", "mantle", "google", "foundry"),
    )
    url: str = key(API_URL, "where it is; `compatible` and `foundry` must say", fault=faults.of_url)
    keys: tuple[str, ...] = key(
        (),
        "the keys it is paid with, by reference, conversations shared among them; without one, callers' own where "
        "`keys_required` is false",
        fault=faults.of_keys,
    )
    admin_key: str | None = key(
        None,
        "an Admin API key, by reference: the gateway then asks hourly what the limits of its `keys` are",
        fault=faults.of_key,
    )
    api_key_ids: tuple[str, ...] = key((), "the API's ids of its `keys`, in their order, for `penstock reconcile`")
    environment: Literal["dev", "staging", "prod"] | None = key(
        None, "which one it is for, if one alone: a config for another is refused", one_of=ENVIRONMENTS
    )
    weight: int = key(1, "its share of the conversations, where `routing.among` names it", least=1, most=1000)
    concurrency_max: int = key(0, "how many calls each key may have under way at once; 0 for no limit", least=0)
    requests_per_minute: int = key(0, "its limit for each key and group of models; 0 to learn it from answers", least=0)
    input_tokens_per_minute: int = key(0, "likewise, without what is read from cache", least=0)
    output_tokens_per_minute: int = key(0, "likewise", least=0)
    region: str | None = key(None, "of `bedrock` and `mantle`: the AWS region; of `google`: the location")
    project: str | None = key(None, "of `google`: the project")
    models: Mapping[str, str] = table(dict, "what it calls models, by the name the API has for them")

    @property
    def address(self) -> str:
        """Its URL without a slash at the end, the cloud's own where none is given."""
        is_cloud = self.kind in KINDS and self.kind != "foundry"
        return (default_url(self.kind, self.region) if is_cloud and self.url == API_URL else self.url).rstrip("/")

    def __post_init__(self) -> None:
        check(self)
        if self.kind in KINDS:
            self._check_cloud()
        if self.kind == "compatible" and self.url == API_URL:
            raise BadValue(
                "UpstreamConfig", "url", f'is missing, and kind "{self.kind}" has no default', "Give its URL."
            )

    def _check_cloud(self) -> None:
        if self.kind == "google":
            for name in ("project", "region"):
                if getattr(self, name) is None:
                    raise BadValue("UpstreamConfig", name, 'is missing, and kind "google" needs it', "Give it.")
        try:
            envelope(self.kind, self.address, region=self.region, project=self.project, models=self.models)
        except ValueError as fault:
            said = str(fault).rstrip(".")
            raise BadValue(
                "UpstreamConfig", "url", f'or `region` of kind "{self.kind}": {said}', "Give `url` or `region`."
            ) from None


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
    among: tuple[str, ...] = key((), "instead of one: the upstreams that conversations are shared among, by weight")


@dataclass(frozen=True, slots=True)
class ReplayConfig(Section):
    """Answers that are given again: `[replay]`."""

    idempotency_s: float = key(86_400.0, "how long the answer of an idempotency key is kept", least=1, most=30 * DAY_S)
    body_bytes_max: int = key(8_388_608, "an answer larger than this is not kept", least=0)


@dataclass(frozen=True, slots=True)
class PacingConfig(Section):
    """The upstreams' own limits: `[pacing]`."""

    learns: bool = key(True, "whether limits are learned from answers; without it those of the config hold alone")
    wait_max_s: float = key(30.0, "how long an interactive call waits for its turn at most", least=0, most=DAY_S)
    background_wait_max_s: float = key(600.0, "how long a background call waits", least=0, most=DAY_S)
    queue_max: int = key(1000, "how many calls may wait for one key and group of models", least=0)
    share_percent: int = key(
        100, "how much of each limit to use; less leaves room for others on the same key", least=1, most=100
    )
    ramp_per_minute_percent: int = key(
        0, "by how much the rate of calls may grow each minute; 0 does not hold it back until the API says so", least=0
    )


@dataclass(frozen=True, slots=True)
class StatusConfig(Section):
    """The provider's status page: `[status]`."""

    url: str = key(STATUS_URL, "its summary, as Statuspage serves it", fault=faults.of_url)
    every_s: float = key(60.0, "how often the gateway looks; 0 never does", least=0, most=DAY_S)


@dataclass(frozen=True, slots=True)
class ResilienceConfig(Section):
    """What is tried again, and how often: `[resilience]`."""

    tries_max: int = key(7, "how often one call is tried at most, the first included; 1 never tries again", least=1)
    wait_first_s: float = key(1.0, "the wait before the first retry, doubled for each that follows", least=0)
    wait_max_s: float = key(60.0, "the longest such wait; an upstream's own `retry-after` may be longer", least=0)
    budget: int = key(35, "how many retries all calls together have, before successes give some back", least=0)
    refill_percent: int = key(50, "how much of a retry each success gives back", least=0, most=100)
    tries_before_hop: int = key(2, "how often one candidate is tried where another follows", least=1)
    hop_wait_s: float = key(2.0, "where another candidate follows, a wait longer than this is not waited for", least=0)
    background_factor: int = key(3, "how many times longer background calls wait between tries", least=1)
    hold_s: float = key(
        10.0, "how long the beginning of a stream is held back, so that one that breaks is tried again unseen", least=0
    )
    breaker_failures: int = key(5, "so many failures in a row open a circuit; 0 never does", least=0)
    breaker_share_percent: int = key(90, "if so many of the last tries failed too", least=0, most=100)
    breaker_window_s: float = key(10.0, "which are the last", least=0.1)
    breaker_run: int = key(20, "or if the run is as long as this, whatever was before it; 0 never", least=0)
    breaker_open_s: float = key(60.0, "how long it stays open, doubled each time it opens again", least=0.1)
    breaker_open_max_s: float = key(300.0, "and at most", least=0.1)
    slow_first_token_s: float = key(
        0.0, "an answer that begins later than this counts as a failure; 0: none does", least=0
    )


@dataclass(frozen=True, slots=True)
class RecordsConfig(Section):
    """How long and how safely calls are recorded: `[records]`."""

    keep_days: int = key(30, "how long records are kept; at least 1", least=1, most=36_500)
    sums_keep_days: int = key(
        400, "and their sums by the hour, which pages show; never shorter than the records", least=1, most=36_500
    )
    sync: Literal["os", "disk"] = key(
        "os", '"os" survives a killed process; "disk" a power cut too, and is slower', one_of=("os", "disk")
    )
    bodies: BodiesConfig = table(BodiesConfig, "which requests and answers are kept")


@dataclass(frozen=True, slots=True)
class StoresConfig(Section):
    """What is remembered between calls, and where: `[stores]`."""

    ledger: str = key(DATABASE, '"memory" forgets everything at exit', fault=faults.of_ledger)
    counters: str = key(
        COUNTERS,
        'limits, circuits, kept answers; "memory", as with such a ledger, is each process\'s own',
        fault=faults.of_counters,
    )


@dataclass(frozen=True, slots=True)
class ModelPriceConfig(Section):
    """A price of your own for one model, in dollars per million tokens: `[prices.models.NAME]`.

    Decimal strings, so that they stay exact.
    """

    input_usd: str = key(meaning="a million uncached input tokens", fault=faults.of_price)
    output_usd: str = key(meaning="a million output tokens", fault=faults.of_price)
    cache_read_usd: str | None = key(
        None, "a million tokens read from cache; without it calls that do are unpriced", fault=faults.of_price
    )
    cache_write_5m_usd: str | None = key(
        None, "a million tokens written to cache for 5 minutes; likewise", fault=faults.of_price
    )
    cache_write_1h_usd: str | None = key(
        None, "a million tokens written to cache for an hour; likewise", fault=faults.of_price
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
    """What Penstock says on standard error, and of calls: `[log]`."""

    level: Literal["debug", "info", "warning", "error"] = key(
        "info", "the least grave line that is written", one_of=("debug", "info", "warning", "error")
    )
    calls: str | None = key(
        None,
        'where to write one JSON line for each call: "stderr", or "file:PATH", in the data folder unless absolute; '
        "needs `penstock[logs]`",
        fault=faults.of_log,
    )
    calls_mb_max: int = key(500, "how large that file and its older ones may become together", least=1, most=1_000_000)


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
    quality: QualityConfig = table(QualityConfig, "the model of each tier of quality")
    routes: tuple[RouteConfig, ...] = table(tuple, "which model calls of every feature go to")
    features: Mapping[str, FeatureConfig] = table(dict, "what your application does, by name")
    tiers: Mapping[str, TierConfig] = table(dict, "what callers may do, by tier")
    budgets: tuple[BudgetConfig, ...] = table(tuple, "what calls may cost")
    alerts: AlertsConfig = table(AlertsConfig, "who is told of what")
    dashboard: DashboardConfig = table(DashboardConfig, "who may see the web pages")
    metrics: MetricsConfig = table(MetricsConfig, "what Prometheus may scrape")
    traces: TracesConfig = table(TracesConfig, "what a collector of OpenTelemetry gets")
    prompts: PromptsConfig = table(PromptsConfig, "the registry of prompts")
    replay: ReplayConfig = table(ReplayConfig, "answers that are given again")
    pacing: PacingConfig = table(PacingConfig, "the upstreams' own limits")
    status: StatusConfig = table(StatusConfig, "the provider's status page")
    records: RecordsConfig = table(RecordsConfig, "how calls are recorded")
    stores: StoresConfig = table(StoresConfig, "what is remembered, and where")
    prices: PricesConfig = table(PricesConfig, "what models cost")
    log: LogConfig = table(LogConfig, "what is written to standard error")

    def __post_init__(self) -> None:
        check(self)
        for name, upstream in self.upstreams.items():
            if not _UPSTREAM_NAME.fullmatch(name) or is_secret_like(name):
                raise BadValue(
                    "Config",
                    "upstreams",
                    f"has the name {shown(name)}",
                    "Name upstreams in lower-case letters, digits and inner dashes, at most 64.",
                )
            held = {"keys": upstream.keys, "admin_key": (upstream.admin_key,)}
            check_environment(self.environment, name, upstream.environment, held)
        self._check_routing()
        titles = [budget.title for budget in self.budgets]
        for number, title in enumerate(titles):
            if title in titles[:number]:
                raise BadValue(
                    "Config", "budgets", f"has two called {shown(title)}", "Give one of them a `name` of its own."
                )
        check_budgets("routes", self.routes, titles)
        for name, feature in self.features.items():
            self._check_fallback(name, feature)
            check_budgets(f"features.{name}.routes", feature.routes, titles)

    def _check_routing(self) -> None:
        own = self.routing
        names = ", ".join(self.upstreams) or "none"
        for key_name, chosen in [("default", own.default), *[("among", name) for name in own.among]]:
            if chosen is not None and chosen not in self.upstreams:
                raise BadValue(
                    "Config",
                    f"routing.{key_name}",
                    f"has {shown(chosen)}, which is no upstream",
                    f"There are: {names}.",
                )
        if own.default is None and not own.among and len(self.upstreams) > 1:
            raise BadValue(
                "Config",
                "routing.default",
                f"is missing, and there are {len(self.upstreams)} upstreams",
                f"Name one of {names}, or several under `among`.",
            )

    def _check_fallback(self, name: str, feature: FeatureConfig) -> None:
        for entry in filter(faults.is_candidate, feature.fallback):
            upstream = entry.partition("@")[2]
            if upstream and upstream not in self.upstreams:
                raise BadValue(
                    "Config",
                    f"features.{name}.fallback",
                    f"has {shown(entry)}, and there is no upstream of that name",
                    f"There are: {', '.join(self.upstreams) or 'none'}.",
                )

    @property
    def default_upstream(self) -> str | None:
        """The name of the upstream that calls go to first; None where there is none."""
        return self.routing.default or next(iter(self.routing.among or self.upstreams), None)
