"""What the gateway adds to the wait for an answer, and for the first token of a stream."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from . import traffic
from .machine import Unmeasurable
from .poisson import Waits, offer, run_precisely
from .report import Plan, Row, Section, Spread, Target
from .subjects import Subject, all_subjects

_ABOUT = (
    "Calls come at random moments (Poisson), whether or not earlier ones have been answered, and are timed from the "
    "moment they were due. From each percentile the same percentile of the stub alone, in the same round with the same "
    "moments, is subtracted: what is left is what the gateway adds. Wake-ups of a virtual machine's idle cores "
    "are in all of them; they make the lower rate the slower one."
)
_SUBJECTS = ("Penstock", "nginx", "stub alone, in full")
_TARGETS = {(300, 50): Target(0.35), (300, 99): Target(1)}


def measure(plan: Plan) -> Section:
    section = Section("latency", "Gateway: added latency", _ABOUT, _SUBJECTS)
    seconds = plan.window_s * (1 if plan.is_quick else 2)
    with all_subjects() as (subjects, missing):
        section.notes += missing
        for per_s in (100, 300):
            whole = _rounds(subjects, plan, per_s, seconds, is_stream=False)
            section.rows += _rows(f"latency at {per_s}/s", whole, {q: _TARGETS.get((per_s, q)) for q in (50, 99)})
            first = _rounds(subjects, plan, per_s, seconds, is_stream=True)
            section.rows += _rows(f"first token at {per_s}/s", first, {})
    return section


def _rounds(
    subjects: list[Subject], plan: Plan, per_s: int, seconds: float, *, is_stream: bool
) -> dict[str, list[list[float]]]:
    """For each subject the waits of each round."""
    body = traffic.request_body(is_stream=is_stream)
    rounds: dict[str, list[list[float]]] = {subject.name: [] for subject in subjects}
    for turn in range(plan.rounds + 1):
        for subject in subjects:
            length_s = seconds if turn else min(seconds, 1.0)
            waits = run_precisely(offer(subject, body, per_s=per_s, seconds=length_s, seed=turn))
            if turn:  # the first is to warm up
                rounds[subject.name].append(_waits_of(waits, subject, is_stream=is_stream))
    return rounds


def _waits_of(waits: Waits, subject: Subject, *, is_stream: bool) -> list[float]:
    found = waits.first_token_s if is_stream else waits.whole_s
    if waits.errors or not found:
        raise Unmeasurable(f"{subject.name} failed {waits.errors} calls of the open-loop load")
    return found


def _rows(what: str, rounds: dict[str, list[list[float]]], targets: dict[int, Target | None]) -> list[Row]:
    rows = []
    for q in (50, 99):
        alone = [percentile(waits, q) * 1e3 for waits in rounds["stub alone"]]
        added = [
            Spread.of([percentile(waits, q) * 1e3 - bare for waits, bare in zip(rounds[name], alone, strict=True)])
            if name in rounds
            else None
            for name in ("Penstock", "nginx")
        ]
        rows.append(Row(f"{what}, p{q}", "ms", (*added, Spread.of(alone)), targets.get(q)))
    return rows


def percentile(values: Sequence[float], q: int) -> float:
    if len(values) < 2:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[q - 1]
