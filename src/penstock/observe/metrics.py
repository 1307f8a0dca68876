"""Metrics for Prometheus, counted from the ledger's records once they are rows: nothing of it is on a call's path.

What is counted per process is a counter or a histogram; how things stand (budgets, circuits, the journal) is asked for
when a scraper comes. Labels have few values: features, models and upstreams are those first seen, up to a bound, and
beyond it `other`; users, sessions, keys and calls are none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from ..record import Record
from ..version import VERSION

#: The values a label may have; all further ones are `other`.
VALUES_MAX = 100

#: Seconds: twice as long each time, up to the longest calls (OpenTelemetry's for generative AI end at 82).
SECONDS = tuple(0.01 * 2**power for power in range(17))

_NANO = 1_000_000_000
_TOKENS = (
    ("input", "input_tokens"),
    ("cache_read", "cache_read_tokens"),
    ("cache_write_5m", "cache_write_5m_tokens"),
    ("cache_write_1h", "cache_write_1h_tokens"),
    ("output", "output_tokens"),
)


class Standing(NamedTuple):
    """How one thing stands: a gauge by the name of its metric, with its labels."""

    name: str
    meaning: str
    labels: dict[str, str]
    value: float


class _Bounded:
    """The values of one label, the first of them as they are."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def __call__(self, value: str | None) -> str:
        if not value:
            return ""
        if value not in self._known:
            if len(self._known) >= VALUES_MAX:
                return "other"
            self._known.add(value)
        return value


class Metrics:
    """The metrics of one process. `count` is told of records, `text` is what a scraper gets; both from any thread."""

    def __init__(self, standing: Callable[[], Iterable[Standing]] = tuple) -> None:
        self._registry, self._standing = CollectorRegistry(auto_describe=False), standing
        self._features, self._models, self._upstreams, self._faults = (_Bounded() for _ in range(4))
        self._counting = threading.Lock()
        what = ("feature", "model")

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"penstock_{name}", meaning, labels, registry=self._registry)

        def seconds(name: str, meaning: str, *labels: str) -> Histogram:
            return Histogram(f"penstock_{name}_seconds", meaning, labels, registry=self._registry, buckets=SECONDS)

        self._calls = counter("calls", "Calls that ended.", "environment", "endpoint", *what, "ending")
        self._errors = counter("errors", "Calls that ended in an error.", *what, "layer", "code")
        self._cost = counter("cost_dollars", "What calls cost, where that is known.", *what)
        self._unpriced = counter("calls_without_price", "Calls whose cost is not known.", *what)
        self._tokens = counter("tokens", "Tokens as the API counts them; the kinds are disjoint.", *what, "kind")
        self._attempts = counter("attempts", "Requests sent to upstreams.", "upstream", "model")
        self._stops = counter("answers", "Answers, by why they stopped.", *what, "stop_reason")
        self._duration = seconds("call_duration", "How long messages took, from first byte in to last byte out.", *what)
        self._first_token = seconds("first_token", "How long messages took to begin to answer.", *what)
        self._upstream = seconds("upstream_duration", "How long the upstream's last attempt took.", "upstream", "model")
        self._wait = seconds("wait", "How long calls waited for limits, budgets and retries.", "feature")
        self._registry.register(self)

    def count(self, records: Sequence[Record]) -> None:
        with self._counting:
            for record in records:
                self._count(record)

    def _count(self, record: Record) -> None:
        feature, model = self._features(record.feature), self._models(record.model_served or record.model_asked)
        self._calls.labels(record.environment or "", record.endpoint, feature, model, record.ending).inc()
        if record.error_type is not None or record.error_code is not None:
            code = self._faults(record.error_code or record.error_type)
            self._errors.labels(feature, model, record.error_layer or "upstream", code).inc()
        if record.cost_nano is None:
            self._unpriced.labels(feature, model).inc()
        elif record.cost_nano:
            self._cost.labels(feature, model).inc(record.cost_nano / _NANO)
        for kind, name in _TOKENS:
            if tokens := getattr(record, name):
                self._tokens.labels(feature, model, kind).inc(tokens)
        if record.attempts:
            upstream = self._upstreams(record.upstream)
            self._attempts.labels(upstream, model).inc(record.attempts)
            if record.upstream_us is not None:
                self._upstream.labels(upstream, model).observe(record.upstream_us / 1e6)
        if record.endpoint == "messages" and record.ending not in ("refused", "killed"):
            self._duration.labels(feature, model).observe(record.total_us / 1e6)
            if record.stop_reason is not None:
                self._stops.labels(feature, model, self._faults(record.stop_reason)).inc()
            if record.first_token_us is not None:
                self._first_token.labels(feature, model).observe(record.first_token_us / 1e6)
        if record.wait_us:
            self._wait.labels(feature).observe(record.wait_us / 1e6)

    def collect(self) -> Iterator[Metric]:
        """How things stand now, for the registry. What cannot be found out is left out."""
        build = GaugeMetricFamily("penstock_build_info", "The version that runs.", labels=("version",))
        build.add_metric((VERSION,), 1)
        yield build
        families: dict[str, GaugeMetricFamily] = {}
        for one in self._standing():
            family = families.get(one.name)
            if family is None:
                family = families[one.name] = GaugeMetricFamily(one.name, one.meaning, labels=tuple(one.labels))
            family.add_metric(tuple(one.labels.values()), one.value)
        yield from families.values()

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        with self._counting:
            return generate_latest(self._registry)
