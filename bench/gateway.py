"""Gateway throughput on one core, and the CPU each request costs, with small and with large bodies."""

from __future__ import annotations

from collections.abc import Callable

from . import traffic
from .report import Plan, Row, Section, Spread, Target, ratios
from .subjects import Subject, all_subjects
from .wrk import Load, load

_ABOUT = (
    "One gateway process on one core with everything on: virtual key, prices, the ledger's journal and SQLite. wrk "
    "keeps its connections busy from the other core, where the stub upstream is too; Penstock and nginx (a bare "
    "reverse proxy, unbuffered, keeping its connections) take turns. CPU is user and system time of all the process's "
    "threads over the requests it answered, the figure least disturbed by whatever else runs."
)

#: The subjects in the order of the columns.
SUBJECTS = ("Penstock", "nginx", "stub alone")

Rounds = dict[str, list[Load]]


def measure(plan: Plan) -> Section:
    section = Section("gateway", "Gateway: throughput and CPU per request", _ABOUT, SUBJECTS)
    with all_subjects() as (subjects, missing):
        section.notes += missing
        small = take_turns(subjects, plan, traffic.request_body(), connections=32)
        large = take_turns(subjects, plan, traffic.request_body(500_000), connections=8)
    per_s: Callable[[Load], float] = lambda one: one.per_s  # noqa: E731
    cpu_us: Callable[[Load], float] = lambda one: one.cpu_us  # noqa: E731
    section.rows += [
        Row("2 KB body, throughput", "requests/s", spreads(small, per_s), Target(10_000, is_floor=True)),
        against_nginx("2 KB body, throughput", small, per_s, Target(0.25, is_floor=True)),
        Row("2 KB body, CPU", "µs/request", spreads(small, cpu_us), Target(95)),
        Row("500 KB body, throughput", "requests/s", spreads(large, per_s)),
        against_nginx("500 KB body, throughput", large, per_s),
        Row("500 KB body, CPU", "µs/request", spreads(large, cpu_us)),
        Row("share of the core it had, 2 KB", "", spreads(small, lambda one: one.core_share)),
        Row("share of the core it had, 500 KB", "", spreads(large, lambda one: one.core_share)),
    ]
    section.notes.append(
        "A share well below 1 means that load, stub or other processes set the limit: the throughput is then too low, "
        "the CPU figure still holds."
    )
    return section


def take_turns(subjects: list[Subject], plan: Plan, body: bytes, *, connections: int) -> Rounds:
    """Load each subject in turn, round after round, after one short window each to warm up."""
    for subject in subjects:
        load(subject, body, 1, connections=connections)
    rounds: Rounds = {subject.name: [] for subject in subjects}
    for _ in range(plan.rounds):
        for subject in subjects:
            rounds[subject.name].append(load(subject, body, plan.window_s, connections=connections))
    return rounds


def spreads(rounds: Rounds, figure: Callable[[Load], float]) -> tuple[Spread | None, ...]:
    """A figure for each column; None for a subject that is missing, or that has no such figure."""
    found: list[Spread | None] = []
    for name in SUBJECTS:
        values = [figure(one) for one in rounds.get(name, [])]
        found.append(Spread.of(values) if values and any(values) else None)
    return tuple(found)


def against_nginx(what: str, rounds: Rounds, figure: Callable[[Load], float], target: Target | None = None) -> Row:
    ours, floor = ([figure(one) for one in rounds.get(name, [])] for name in SUBJECTS[:2])
    ratio = ratios(ours, floor) if ours and floor else None
    return Row(f"{what} against nginx", "×", (ratio,), target)
