"""Metrics for OpenTelemetry, counted from the ledger's records, by the names of its conventions for generative AI.

The gateway is a server of the calls it gets; in process ours are a client's. What the conventions have no name for is
`penstock.*`. Attributes have few values: no user, session, key or call is one.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.metrics import Histogram, MeterProvider
from opentelemetry.util.types import AttributeValue

from ..record import Record
from ..version import VERSION

#: Seconds, as the conventions have them, and three more: calls take longer than their 81.92.
SECONDS = tuple(0.01 * 2**power for power in range(17))
#: Tokens, as the conventions have them.
TOKENS = tuple(float(4**power) for power in range(14))

_NANO = 1_000_000_000
_FAILED = frozenset({"refused", "failed", "truncated", "killed"})


class Meters:
    """Records what calls took and used. A meter's instruments may be told from any thread."""

    def __init__(self, provider: MeterProvider) -> None:
        meter = provider.get_meter("penstock", VERSION)

        def seconds(name: str, meaning: str) -> Histogram:
            return meter.create_histogram(name, "s", meaning, explicit_bucket_boundaries_advisory=SECONDS)

        self._durations = {
            "gateway": seconds("gen_ai.server.request.duration", "How long calls took."),
            "client": seconds("gen_ai.client.operation.duration", "How long calls took."),
        }
        self._first = {
            "gateway": seconds("gen_ai.server.time_to_first_token", "How long answers took to begin."),
            "client": seconds("gen_ai.client.operation.time_to_first_chunk", "How long answers took to begin."),
        }
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of calls.", explicit_bucket_boundaries_advisory=TOKENS
        )
        self._cost = meter.create_counter("penstock.cost", "{USD}", "What calls cost, where that is known.")
        self._unpriced = meter.create_counter("penstock.unpriced", "{call}", "Calls whose cost is not known.")
        self._attempts = meter.create_counter("penstock.attempts", "{attempt}", "Requests sent to upstreams.")

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.endpoint == "messages":
                self._write(record)

    def _write(self, record: Record) -> None:
        told: dict[str, AttributeValue | None] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": record.model_asked,
            "gen_ai.response.model": record.model_served,
            "penstock.feature": record.feature,
        }
        what = {name: value for name, value in told.items() if value is not None}
        has_failed = record.ending in _FAILED
        error = {"error.type": record.error_code or record.error_type or record.ending} if has_failed else {}
        self._durations.get(record.face, self._durations["client"]).record(record.total_us / 1e6, {**what, **error})
        if record.first_token_us is not None:
            self._first.get(record.face, self._first["client"]).record(record.first_token_us / 1e6, what)
        read = record.input_tokens + record.cache_read_tokens
        read += record.cache_write_5m_tokens + record.cache_write_1h_tokens
        for kind, tokens in (("input", read), ("output", record.output_tokens)):
            if tokens:
                self._tokens.record(tokens, {**what, "gen_ai.token.type": kind})
        if record.cost_nano is None:
            self._unpriced.add(1, what)
        elif record.cost_nano:
            self._cost.add(record.cost_nano / _NANO, what)
        if record.attempts:
            self._attempts.add(record.attempts, what)
