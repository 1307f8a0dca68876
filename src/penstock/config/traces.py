"""Where traces and metrics go as OpenTelemetry has them: `[traces]`."""

from __future__ import annotations

from dataclasses import dataclass

from . import faults
from .keys import Section, key


@dataclass(frozen=True, slots=True)
class TracesConfig(Section):
    """Traces and metrics over OTLP: `[traces]`. Without an endpoint there are none."""

    endpoint: str | None = key(
        None,
        'a collector\'s address for OTLP over HTTP, such as "http://127.0.0.1:4318"; needs `penstock[otel]`',
        fault=faults.of_endpoint,
    )
    headers: str | None = key(None, 'a reference to header fields for it, "name=value,name=value"', fault=faults.of_key)
    percent: int = key(100, "of so many calls that come without a trace of their own", least=0, most=100)
    metrics_s: float = key(60.0, "how often metrics are sent; 0 sends none", least=0, most=3600)
    propagate: bool = key(False, "whether upstreams are told of the caller's trace")
