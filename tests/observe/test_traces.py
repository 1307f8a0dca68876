"""Traces and metrics by OpenTelemetry's conventions, field by field, and received by a collector over OTLP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic
import msgspec
import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the OpenTelemetry SDK is not installed")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gateways import gateway
from penstock.call import Fact
from penstock.layers.per_attempt.pacing import Paced
from penstock.layers.per_attempt.transport import Answered, Broken
from penstock.layers.per_call.admission import Screened
from penstock.layers.per_call.ledger import Traced
from penstock.layers.per_call.resilience import Retried
from penstock.observe.meters import Meters
from penstock.observe.traces import Traces
from penstock.record import Record
from penstock.simulator import Faults, running
from script import HELLO

BEGAN_US = 1_795_132_800_000_000
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def a_record(*facts: Fact, **more: Any) -> Record:
    fields: dict[str, Any] = {
        "call_id": "call_1",
        "began_at_us": BEGAN_US,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "model_asked": "claude-haiku-4-5",
        "model_served": "claude-haiku-4-5-20251001",
        "session": "s1",
        "feature": "chat",
        "is_stream": True,
        "status": 200,
        "stop_reason": "end_turn",
        "input_tokens": 10,
        "cache_read_tokens": 100,
        "cache_write_5m_tokens": 20,
        "cache_write_1h_tokens": 3,
        "output_tokens": 50,
        "thinking_tokens": 7,
        "cost_nano": 33_000,
        "cost_basis": "exact",
        "attempts": 1,
        "first_token_us": 300_000,
        "total_us": 2_000_000,
        "upstream_request_id": "req_1",
        "trail": msgspec.json.encode(list(facts)),
    }
    return Record(**(fields | more))


def spans(*records: Record) -> dict[str, Any]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    Traces(provider).write(records)
    return {span.name: span for span in exporter.get_finished_spans()}


def test_a_call_has_every_name_and_value_of_the_conventions() -> None:
    span = spans(a_record())["chat claude-haiku-4-5"]
    assert span.kind is SpanKind.SERVER and span.status.status_code is StatusCode.UNSET
    assert (span.start_time, span.end_time) == (BEGAN_US * 1000, BEGAN_US * 1000 + 2_000_000_000)
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "anthropic",
        "gen_ai.request.model": "claude-haiku-4-5",
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": "s1",
        "gen_ai.response.model": "claude-haiku-4-5-20251001",
        "gen_ai.response.finish_reasons": ("end_turn",),
        "gen_ai.response.time_to_first_chunk": 0.3,
        "gen_ai.usage.input_tokens": 133,
        "gen_ai.usage.output_tokens": 50,
        "gen_ai.usage.cache_read.input_tokens": 100,
        "gen_ai.usage.cache_write.input_tokens": 23,
        "gen_ai.usage.reasoning.output_tokens": 7,
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens": 20,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": 3,
        "anthropic.request.id": "req_1",
        "anthropic.message.stop_reason": "end_turn",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "penstock.call.id": "call_1",
        "penstock.feature": "chat",
        "penstock.ending": "complete",
        "penstock.attempts": 1,
        "penstock.cost.basis": "exact",
        "penstock.cost.usd": "0.000033",
    }


def test_attempts_waits_and_findings_are_below_it_in_time() -> None:
    found = spans(
        a_record(
            Screened(("pii",), 40, 40, personal={"email": 2}),
            Broken("anthropic", "reset", "It broke.", 100_000, 400_000),
            Retried("connection", 1, 500_000),
            Paced("anthropic haiku", "interactive", 200_000),
            Answered("anthropic", 200, 1_100_000, 1_300_000, "req_1"),
            attempts=2,
        )
    )
    call = found["chat claude-haiku-4-5"]
    (event,) = call.events
    assert event.name == "penstock.screened" and dict(event.attributes) == {
        "penstock.guards": ("pii",),
        "penstock.found.personal.email": 2,
    }
    children = sorted((span for span in found.values() if span.parent is not None), key=lambda span: span.start_time)
    assert all(span.parent.span_id == call.context.span_id for span in children)

    def at(span: Any) -> tuple[float, float]:
        return ((span.start_time // 1000 - BEGAN_US) / 1e6, (span.end_time // 1000 - BEGAN_US) / 1e6)

    assert [(span.name, *at(span)) for span in children] == [
        ("wait for another try", 0.4, 0.9),
        ("wait for limits of the upstream", 0.9, 1.1),
        ("attempt at anthropic", 1.1, 2.0),
    ]
    assert children[-1].attributes["http.request.resend_count"] == 1


def test_an_attempt_that_broke_and_a_call_that_failed_say_why() -> None:
    found = spans(
        a_record(Broken("anthropic", "reset", "It broke.", 1, 2), ending="failed", error_code="reset", status=502)
    )
    for name in ("attempt at anthropic", "chat claude-haiku-4-5"):
        assert found[name].attributes["error.type"] == "reset" and found[name].status.status_code is StatusCode.ERROR
    assert found["attempt at anthropic"].kind is SpanKind.CLIENT


def test_below_the_callers_span_and_in_process_without_a_second_count_of_tokens() -> None:
    for face, counts in (("gateway", True), ("client", False)):
        (span,) = spans(a_record(Traced(TRACE, SPAN, "01"), face=face)).values()
        assert f"{span.context.trace_id:032x}" == TRACE and f"{span.parent.span_id:016x}" == SPAN
        assert ("gen_ai.usage.input_tokens" in span.attributes) is counts
    (span,) = spans(a_record(face="client")).values()
    assert span.kind is SpanKind.INTERNAL and "gen_ai.usage.input_tokens" in span.attributes


def test_metrics_have_the_names_the_units_and_the_bounds_of_the_conventions() -> None:
    reader = InMemoryMetricReader()
    meters = Meters(MeterProvider([reader]))
    meters.write(
        [a_record(user="canary"), a_record(face="client", cost_nano=None, ending="failed", error_type="api_error")]
    )
    data = reader.get_metrics_data()
    assert data is not None
    found = {one.name: one for scope in data.resource_metrics[0].scope_metrics for one in scope.metrics}
    assert {name: one.unit for name, one in found.items()} == {
        "gen_ai.server.request.duration": "s",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.server.time_to_first_token": "s",
        "gen_ai.client.operation.time_to_first_chunk": "s",
        "gen_ai.client.token.usage": "{token}",
        "penstock.cost": "{USD}",
        "penstock.unpriced": "{call}",
        "penstock.attempts": "{attempt}",
    }
    duration = found["gen_ai.server.request.duration"].data.data_points[0]
    assert duration.explicit_bounds[:3] == (0.01, 0.02, 0.04) and duration.explicit_bounds[13] == 81.92
    assert duration.sum == 2.0 and "error.type" not in duration.attributes
    failed = found["gen_ai.client.operation.duration"].data.data_points[0]
    assert failed.attributes["error.type"] == "api_error"
    tokens = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in found["gen_ai.client.token.usage"].data.data_points
    }
    assert tokens == {"input": 266, "output": 100}
    assert "canary" not in data.to_json()


class Collector:
    """A collector's HTTP end: keeps what OTLP it gets."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: set[str] = set()
        self.headers: dict[str, str] = {}


@contextmanager
def collecting() -> Iterator[tuple[str, Collector]]:
    got = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            got.headers |= {name.lower(): value for name, value in self.headers.items()}
            if self.path == "/v1/traces":
                for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                    for scope in resource.scope_spans:
                        got.spans += scope.spans
            else:
                for of in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    got.metrics |= {metric.name for scope in of.scope_metrics for metric in scope.metrics}
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()


CONFIG = """
[upstreams.sim]
kind = "compatible"
url = "{url}"
keys = ["env:SIM_KEY"]
[resilience]
wait_first_s = 0.05
[traces]
endpoint = "{endpoint}"
headers = "env:OTLP_HEADERS"
"""


def test_a_collector_gets_what_the_gateway_did_below_the_callers_span_and_the_upstream_hears_nothing_of_it(
    tmp_path: Path,
) -> None:
    with running(seed=1, accept_any=True, faults=Faults(overloaded=0.4)) as sim, collecting() as (endpoint, got):
        config = CONFIG.format(url=sim.url, endpoint=endpoint)
        secrets = {"SIM_KEY": sim.key, "OTLP_HEADERS": "x-team=one"}
        with gateway(data=tmp_path / "data", config=config, **secrets) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0)
            sent = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1", "baggage": "user=canary"}
            for _ in range(10):
                client.messages.create(**HELLO, extra_headers=sent)  # type: ignore[call-overload]
            records = process.records(10)
            assert process.stop() == 0
        headers = {name.lower() for request in sim.requests for name in request.headers}
    calls = [span for span in got.spans if span.name.startswith("chat ")]
    attempts = [span for span in got.spans if span.name == "attempt at sim"]
    assert len(calls) == 10 and {span.trace_id.hex() for span in got.spans} == {TRACE}
    assert {span.parent_span_id.hex() for span in calls} == {SPAN}
    assert len(attempts) == sum(record.attempts for record in records) > 10
    assert "gen_ai.server.request.duration" in got.metrics and got.headers["x-team"] == "one"
    assert not headers & {"traceparent", "tracestate", "baggage"}


def test_a_collector_that_is_away_is_in_nobodys_way(tmp_path: Path) -> None:
    with running(seed=1, accept_any=True) as sim:
        config = CONFIG.format(url=sim.url, endpoint="http://127.0.0.1:9")
        with gateway(data=tmp_path / "data", config=config, SIM_KEY=sim.key, OTLP_HEADERS="x-team=one") as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            assert client.messages.create(**HELLO).content  # type: ignore[call-overload]
            assert len(process.records(1)) == 1
            began = time.monotonic()
            assert process.stop() == 0 and time.monotonic() - began < 15
