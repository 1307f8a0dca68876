"""What it costs, beside the calls, to tell others of them: a log line, metrics, traces, samples of bodies, sums."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from penstock.layers.per_attempt.transport import Answered
from penstock.observe.log import CallLog
from penstock.observe.metrics import Metrics
from penstock.observe.scrubbing import scrubbed
from penstock.ports import Exchange
from penstock.ports.blocking import BlockingClock
from penstock.record import Record
from penstock.stores.bodies import BodyStore
from penstock.stores.folding import fold
from penstock.stores.schema import connect
from penstock.stores.sums import roll

from .report import Plan, Row, Section, Spread, Target
from .traffic import answer, request_body

_ABOUT = (
    "CPU for each call, in the thread that writes the ledger or in one beside it: calls wait for none of it. A record "
    "as of a 2 KB call with one attempt; traces and metrics of OpenTelemetry go to exporters that throw them away. "
    "Bodies are kept of one call in twenty, unless the config says otherwise."
)
_CALLS = 2_000
_TRAIL = msgspec.json.encode([Answered("anthropic", 200, 300, 400_000, "req_1")])


def measure(plan: Plan) -> Section:
    section = Section("watching", "Watching: what logs, metrics and traces cost", _ABOUT, ("beside the calls",))
    calls = 200 if plan.is_quick else _CALLS
    for what, cost_us, aim in (
        ("the row itself", _row_us, None),
        ("sums by the hour", _sum_us, Target(15)),
        ("a log line", _log_us, Target(50)),
        ("Prometheus", _metrics_us, Target(25)),
        ("OpenTelemetry traces", _traces_us, None),
        ("OpenTelemetry metrics", _meters_us, None),
        ("a body, where it is kept", _body_us, None),
    ):
        spread = Spread.of([cost_us(calls) for _ in range(plan.rounds)])
        section.rows.append(Row(f"{what}, CPU", "µs/call", (spread,), aim))
    return section


def _records(calls: int) -> list[Record]:
    return [
        Record(
            call_id=f"call_{number:026x}",
            began_at_us=1_795_132_800_000_000 + number * 250_000,
            face="gateway",
            method="POST",
            path="/v1/messages",
            endpoint="messages",
            upstream="anthropic",
            environment="prod",
            feature=f"feature-{number % 12}",
            user=f"user-{number % 500}",
            key_id=f"key_{number % 8}",
            model_asked="claude-haiku-4-5",
            model_served="claude-haiku-4-5-20251001",
            status=200,
            stop_reason="end_turn",
            input_tokens=500,
            output_tokens=200,
            cost_nano=1_500_000,
            cost_basis="exact",
            attempts=1,
            total_us=1_000_000 + number,
            upstream_us=990_000,
            first_token_us=300_000,
            trail=_TRAIL,
        )
        for number in range(calls)
    ]


def _each_us(work: Callable[[Sequence[Record]], object], calls: int) -> float:
    """Fifty at a time, as the ledger's writer tells of them; the first ones are not counted."""
    records = _records(calls + 100)
    work(records[:100])
    began = time.process_time()
    for first in range(100, calls + 100, 50):
        work(records[first : first + 50])
    return (time.process_time() - began) / calls * 1e6


def _row_us(calls: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        connection = connect(Path(folder))
        try:
            return _each_us(lambda records: fold(connection, records), calls)
        finally:
            connection.close()


def _sum_us(calls: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        connection = connect(Path(folder))
        try:
            fold(connection, _records(calls))
            began = time.process_time()
            while roll(connection):
                pass
            return (time.process_time() - began) / calls * 1e6
        finally:
            connection.close()


def _log_us(calls: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        log = CallLog(Path(folder) / "calls.jsonl", 1 << 30)
        try:
            return _each_us(log.write, calls)
        finally:
            log.close()


def _metrics_us(calls: int) -> float:
    return _each_us(Metrics().count, calls)


def _traces_us(calls: int) -> float:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    from penstock.observe.traces import Traces

    class Nowhere(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    try:
        return _each_us(Traces(provider).write, calls)
    finally:
        provider.shutdown()


def _meters_us(calls: int) -> float:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from penstock.observe.meters import Meters

    return _each_us(Meters(MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)).write, calls)


def _body_us(calls: int) -> float:
    """Scrubbed, packed and written, one of twenty calls."""
    kept, body, said = calls // 20, request_body(), answer().partition(b"\r\n\r\n")[2]
    with tempfile.TemporaryDirectory() as folder:
        store = BodyStore(Path(folder), BlockingClock(), scrubbed, keep_days=7, bytes_max=1 << 30)
        store.keep(Exchange("call_first", 0, body, said))
        store.flush()
        began = time.process_time()
        for number in range(kept):
            store.keep(Exchange(f"call_{number}", BlockingClock.wall_us(), body, said))
        store.flush()
        return (time.process_time() - began) / kept * 1e6
