"""The simulator on one core: how much it serves in full, and in the lean mode that other benches lean on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from . import traffic
from .machine import Unmeasurable, child, cores, python
from .report import Plan, Row, Section, Spread
from .subjects import Subject, stub
from .wrk import Load, load

_ABOUT = (
    "One simulator process on one core, wrk on the other. In full, every request is parsed, validated, counted, looked "
    "up in the prompt cache, limited, answered and entered in the books; lean, answers are made once and served again. "
    "Requests are the 2 KB bodies of the gateway's bench; the streams are 100 deltas lean, some 40 in full."
)
_SUBJECTS = ("lean", "in full", "stub alone")
_SERVE = """
from penstock.simulator import serve
def ready(running):
    print(running.url.rpartition(":")[2], flush=True)
serve("127.0.0.1", 0, ready, accept_any=True, is_lean={lean})
"""


def measure(plan: Plan) -> Section:
    section = Section("simulator", "The simulator: throughput and CPU per request", _ABOUT, _SUBJECTS)
    with ExitStack() as exits:
        subjects = [
            exits.enter_context(_simulator("lean", is_lean=True)),
            exits.enter_context(_simulator("in full", is_lean=False)),
            exits.enter_context(stub()),
        ]
        for what, body in (
            ("JSON", traffic.request_body()),
            ("streams", traffic.request_body(is_stream=True)),
        ):
            rounds = _rounds(subjects, plan, body)
            section.rows += [
                Row(f"{what}, throughput", "per second", _spreads(rounds, "per_s")),
                Row(f"{what}, CPU", "µs each", _spreads(rounds, "cpu_us")),
            ]
    return section


def _rounds(subjects: list[Subject], plan: Plan, body: bytes) -> list[list[Load]]:
    for subject in subjects:
        load(subject, body, 1, connections=16)
    rounds: list[list[Load]] = [[] for _ in subjects]
    for _ in range(plan.rounds):
        for found, subject in zip(rounds, subjects, strict=True):
            found.append(load(subject, body, plan.window_s, connections=16))
    return rounds


def _spreads(rounds: list[list[Load]], figure: str) -> tuple[Spread | None, ...]:
    found: list[Spread | None] = []
    for loads in rounds:
        values = [float(getattr(one, figure)) for one in loads]
        found.append(Spread.of(values) if any(values) else None)
    return tuple(found)


@contextmanager
def _simulator(name: str, *, is_lean: bool) -> Iterator[Subject]:
    with child(python("-c", _SERVE.format(lean=is_lean)), cores()[0]) as process:
        words = process.line()
        if not words.isdigit():
            raise Unmeasurable(f"the simulator did not start: {process.last_words()}")
        yield Subject(name, int(words), traffic.UPSTREAM_KEY, process.pid)
