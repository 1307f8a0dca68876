"""T6: an upstream that never answers, and a client that was dropped without being closed."""

from __future__ import annotations

import asyncio
import gc
import time

from .board import Line, Scale, at_most
from .subjects import Asked, Subject, ask, steadily, subjects
from .upstream import upstream

_DEADLINE_S = 3.0
_SETTINGS = (
    f"[features.default]\ntimeout_s = {_DEADLINE_S}\n[resilience]\nbreaker_failures = 0\n[pacing]\nlearns = false\n"
)
_IMPATIENT = "[resilience]\nwait_first_s = 0.1\n[pacing]\nlearns = false\n"
_PATIENCE_S = 25.0


def black_hole(scale: Scale) -> list[Line]:
    """T6. The SDK alone has no deadline for a call: it gets its timeout, as users set it."""
    longest, stuck = {}, {}
    with upstream(faults={"hang": 1.0}) as sim, subjects(sim, _SETTINGS) as those:
        for subject in those:
            done = asyncio.run(_swallowed(subject))
            longest[subject.name] = max(one.took_s for one in done)
    with upstream(faults={"overloaded": 0.3}) as sim, subjects(sim, _IMPATIENT) as those:
        for subject in those:
            stuck[subject.name] = float(asyncio.run(_orphaned(subject, 100 if scale.is_quick else 1000)))
    return [
        Line("T6", "an upstream that never answers: the longest of 100 calls with 3 s", "s", longest, at_most(3.15)),
        Line("T6", "calls stuck after another client was dropped unclosed", "", stuck, at_most(0)),
    ]


async def _swallowed(subject: Subject) -> list[Asked]:
    options = {"timeout": _DEADLINE_S} if subject.name == "bare SDK" else {}
    async with subject.client(**options) as client:
        began = time.monotonic()
        return await steadily(100.0, 1.0, lambda: ask(client, began))  # not at once: the load itself takes its time


async def _orphaned(subject: Subject, count: int) -> int:
    began = time.monotonic()
    first = subject.client()
    await asyncio.gather(*(ask(first, began) for _ in range(count)))
    second = subject.client()
    calls = [asyncio.ensure_future(ask(second, began)) for _ in range(count)]
    await asyncio.sleep(0.2)
    del first
    gc.collect()
    _, pending = await asyncio.wait(calls, timeout=_PATIENCE_S)
    for call in pending:
        call.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    await second.close()
    return len(pending)
