"""What sends traces and metrics to a collector, over OTLP and HTTP, in threads of the OpenTelemetry SDK."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from ..config.traces import TracesConfig
from ..record import Record
from ..version import VERSION
from .meters import Meters
from .traces import Traces

#: A collector that is away is said so by the exporters, at every batch: once is enough, and where there is a `[log]`.
_EXPORTERS = "opentelemetry.exporter"
#: How long a collector may take for one batch, tries included. At the end of the process somebody waits for that.
_TIMEOUT_S = 3


class Telemetry(NamedTuple):
    """Who is to be told of records, and what ends it: what waits is sent first."""

    watchers: Sequence[Callable[[Sequence[Record]], None]]
    close: Callable[[], None]


def telemetry(config: TracesConfig, environment: str, headers: dict[str, str]) -> Telemetry:
    """Traces and metrics for the collector of a config."""
    assert config.endpoint is not None, "without an endpoint there is no telemetry"
    logging.getLogger(_EXPORTERS).setLevel(logging.ERROR)
    place = config.endpoint.rstrip("/")
    resource = Resource.create(
        {"service.name": "penstock", "service.version": VERSION, "deployment.environment.name": environment}
    )
    sampler = ParentBased(TraceIdRatioBased(config.percent / 100))
    tracers = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{place}/v1/traces", headers=headers, timeout=_TIMEOUT_S))
    )
    watchers: list[Callable[[Sequence[Record]], None]] = [Traces(tracers).write]
    ends: list[Callable[[], object]] = [tracers.shutdown]
    if config.metrics_s:
        exporter = OTLPMetricExporter(f"{place}/v1/metrics", headers=headers, timeout=_TIMEOUT_S)
        reader = PeriodicExportingMetricReader(exporter, export_interval_millis=config.metrics_s * 1000)
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        watchers.append(Meters(meters).write)
        ends.append(meters.shutdown)

    def close() -> None:
        for end in ends:
            end()

    return Telemetry(watchers, close)
