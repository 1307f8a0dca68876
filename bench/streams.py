"""What a stream costs, and how many paced ones a core carries before they come late."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack

from . import traffic
from .gateway import SUBJECTS, against_nginx, spreads, take_turns
from .latency import percentile
from .machine import Unmeasurable
from .paced import Lags, hold, paced_stub, run_fast
from .report import Plan, Row, Section, Spread, Target
from .subjects import Subject, all_subjects, nginx, penstock

_ABOUT = (
    "Bursts: wrk asks for streams of 100 deltas (106 events, 16 KB, each event a chunk of its own) that the stub "
    "writes at once, over 16 connections. Paced: so many callers at a time each read a stream of one delta every 20 ms "
    "and begin another when it ends; a delta carries the moment it was written, and lag is how much later its caller "
    "has it."
)
_COUNTS = (200, 500, 800, 1000)
#: Later than this, a person reading along notices.
_LAG_MS = 50.0


def measure(plan: Plan) -> Section:
    section = Section("streams", "Gateway: streams", _ABOUT, SUBJECTS)
    with all_subjects() as (subjects, missing):
        section.notes += missing
        body = traffic.request_body(is_stream=True)
        bursts = take_turns(subjects, plan, body, connections=16)
    section.rows += [
        Row("burst of 100 deltas, CPU", "ms/stream", spreads(bursts, lambda one: one.cpu_us / 1e3), Target(0.2)),
        Row("burst of 100 deltas, throughput", "streams/s", spreads(bursts, lambda one: one.per_s)),
        against_nginx("burst of 100 deltas, throughput", bursts, lambda one: one.per_s),
        Row("share of the core it had, bursts", "", spreads(bursts, lambda one: one.core_share)),
    ]
    carried: dict[str, int] = {}
    counts = (50,) if plan.is_quick else _COUNTS
    for count in counts:
        found: dict[str, Lags] = run_fast(_paced(count, 2.0 if plan.is_quick else 8.0))
        section.rows += _paced_rows(count, found)
        for name, lags in found.items():
            if _is_carried(lags, count):
                carried[name] = count
    most = tuple(Spread.of([carried.get(name, 0)]) if name in carried else None for name in SUBJECTS)
    target = None if plan.is_quick else Target(500, is_floor=True)
    what = f"most of {', '.join(map(str, counts))} at once with p99 lag under {_LAG_MS:.0f} ms"
    section.rows.append(Row(what, "streams", most, target))
    return section


async def _paced(count: int, seconds: float) -> dict[str, Lags]:
    found = {}
    async with paced_stub() as (port, wheel):
        alone = Subject("stub alone", port, traffic.UPSTREAM_KEY, None)
        found[alone.name] = await hold(alone, wheel, streams=count, seconds=seconds)
        for start in (nginx, _penstock):
            with ExitStack() as exits:
                try:
                    subject = exits.enter_context(start(port))
                except Unmeasurable:
                    continue  # `all_subjects` has said why
                found[subject.name] = await hold(subject, wheel, streams=count, seconds=seconds)
    return found


def _penstock(port: int) -> AbstractContextManager[Subject]:
    return penstock(port, is_probed=False)


def _is_carried(lags: Lags, count: int) -> bool:
    """In time, without an error, and with all the deltas that were due: a stream held back is not carried."""
    due = count * lags.wall_s * 1000 / 20.0
    is_complete = len(lags.lag_ns) >= 0.9 * due
    return is_complete and not lags.errors and _lag_ms(lags, 99) < _LAG_MS


def _lag_ms(lags: Lags, q: int) -> float:
    return percentile(lags.lag_ns, q) / 1e6 if lags.lag_ns else float("inf")


def _paced_rows(count: int, found: dict[str, Lags]) -> list[Row]:
    def row(what: str, unit: str, figures: dict[str, float]) -> Row:
        spread = tuple(Spread.of([figures[name]]) if name in figures else None for name in SUBJECTS)
        return Row(f"{count} paced streams, {what}", unit, spread)

    measured = {name: lags for name, lags in found.items() if lags.lag_ns}
    with_cpu = {name: lags for name, lags in measured.items() if lags.subject_cpu_s}
    return [
        row("lag p50", "ms", {name: _lag_ms(lags, 50) for name, lags in measured.items()}),
        row("lag p99", "ms", {name: _lag_ms(lags, 99) for name, lags in measured.items()}),
        row("CPU", "µs/event", {n: lags.subject_cpu_s * 1e6 / len(lags.lag_ns) for n, lags in with_cpu.items()}),
        row("errors", "", {name: float(lags.errors) for name, lags in found.items()}),
    ]
