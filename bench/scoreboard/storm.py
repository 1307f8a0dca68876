"""T1, T2, T3: random failures at every rate, a total outage, and what comes after it."""

from __future__ import annotations

import asyncio
import time

from ..latency import percentile
from .board import Line, Scale, at_least, at_most
from .subjects import Asked, Subject, ask, at_once, goodput, steadily, subjects
from .upstream import Upstream, upstream

#: Failure rate: goodput at least, attempts per call at most.
_TARGETS = {0.1: (0.97, 1.45), 0.3: (0.97, 1.45), 0.5: (0.65, 1.40), 0.9: (None, 1.15), 1.0: (None, 1.01)}
_SETTINGS = "[pacing]\nlearns = false\n"
_MIXED = {"overloaded": 0.15, "error_504": 0.05, "reset": 0.05, "html_502": 0.05}


def random_failures(scale: Scale) -> list[Line]:
    """T1."""
    lines = []
    for share, (good, attempts) in _TARGETS.items():
        found = {}
        with upstream(faults={"overloaded": share}) as sim, subjects(sim, _SETTINGS) as those:
            for subject in those:
                found[subject.name] = asyncio.run(_stormed(subject, sim, scale.calls))
        lines += _lines(f"{share:.0%} 529", found, good, attempts)
    found = {}
    with upstream(faults=_MIXED) as sim, subjects(sim, _SETTINGS) as those:
        for subject in those:
            found[subject.name] = asyncio.run(_stormed(subject, sim, scale.calls))
    lines += _lines("30% mixed", found, 0.97, 1.45)
    return lines + _with_fallback(scale)


def _lines(what: str, found: dict[str, tuple[float, float]], good: float | None, attempts: float) -> list[Line]:
    goods = {name: pair[0] for name, pair in found.items()}
    sent = {name: pair[1] for name, pair in found.items()}
    return [
        Line("T1", f"{what}: goodput", "", goods, None if good is None else at_least(good)),
        Line("T1", f"{what}: attempts per call", "", sent, at_most(attempts)),
    ]


async def _stormed(subject: Subject, sim: Upstream, calls: int) -> tuple[float, float]:
    before, began = sim.requests, time.monotonic()
    async with subject.client() as client:
        done = await at_once(calls, 200, lambda: ask(client, began))
    return goodput(done), (sim.requests - before) / len(done)


def _with_fallback(scale: Scale) -> list[Line]:
    """The same with a healthy upstream to go to."""
    lines = []
    for share in (0.5, 0.9, 1.0):
        found = {}
        with upstream(faults={"overloaded": share}) as sim, upstream() as spare:
            config = _SETTINGS + (
                f'[upstreams.first]\nkind = "compatible"\nurl = "{sim.url}"\n'
                f'[upstreams.spare]\nkind = "compatible"\nurl = "{spare.url}"\n'
                '[routing]\ndefault = "first"\n[features.default]\nfallback = ["@spare"]\n'
            )
            with subjects(sim, config, names=("in process", "gateway")) as those:
                for subject in those:
                    found[subject.name] = asyncio.run(_stormed(subject, sim, scale.calls))
        goods = {name: pair[0] for name, pair in found.items()}
        lines.append(Line("T1", f"{share:.0%} 529, a healthy fallback: goodput", "", goods, at_least(0.99)))
    return lines


def outage(scale: Scale) -> list[Line]:
    """T2 and T3, one after the other in the same run: dead, then healthy."""
    per_s, dead_s, after_s = 100.0, scale.outage_s, 15.0
    config = _SETTINGS + (f"[resilience]\nbreaker_open_s = {dead_s}\n" if scale.is_quick else "")
    reached, opened, rejected, back, peak = {}, {}, {}, {}, {}
    for name in ("in process", "gateway", "bare SDK"):
        with upstream() as sim, subjects(sim, config, names=(name,)) as (subject,):
            done, books, ends = asyncio.run(_died(subject, sim, per_s, dead_s, after_s))
        failed = [entry for entry in books if entry["status"] == 529]
        reached[name] = float(len(failed))
        refused = [one for one in done if one.code == "circuit_open"]
        if refused:
            opened[name] = float(sum(one.began < refused[0].began for one in done))
            rejected[name] = 1000 * percentile([one.took_s for one in refused], 99)
        back[name] = goodput([one for one in done if dead_s <= one.began < dead_s + 10])
        later = [entry["at_s"] for entry in books if entry["at_s"] >= ends]
        peak[name] = max(_per_second(later), default=0) / per_s
    calls = round(per_s * dead_s)
    return [
        Line("T2", "goodput in the 10 s after an outage", "", back, at_least(0.95)),
        Line("T2", "peak of attempts in a second after it, over the calls offered", "×", peak, at_most(1.5)),
        Line("T3", f"attempts the dead upstream got, of {calls:,} calls", "", reached, at_most(calls * 40 / 6000)),
        Line("T3", "calls before the circuit was open", "", opened, at_most(20)),
        Line("T3", "99th percentile of a refusal", "ms", rejected, at_most(5)),
    ]


async def _died(
    subject: Subject, sim: Upstream, per_s: float, dead_s: float, after_s: float
) -> tuple[list[Asked], list[dict[str, float]], float]:
    """Calls while the upstream is dead and after. With what it got, and when it was healthy again, in Unix time."""
    async with subject.client() as client:
        await ask(client, 0.0)  # what is loaded with the first call is none of the outage's
        sim.fail("overloaded", share=1.0, for_s=dead_s)
        ends, began = time.time() + dead_s, time.monotonic()
        done = await steadily(per_s, dead_s + after_s, lambda: ask(client, began))
    return done, sim.books()["entries"], ends


def _per_second(moments: list[float]) -> list[int]:
    counts: dict[int, int] = {}
    for at in moments:
        counts[int(at)] = counts.get(int(at), 0) + 1
    return list(counts.values())
