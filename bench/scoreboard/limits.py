"""T4 and T10: the upstream's limits, kept ahead of its refusals, and the limits of our own callers."""

from __future__ import annotations

import asyncio
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .board import Line, Scale, at_least, at_most
from .subjects import SUBJECTS, Asked, Subject, ask, gateway, goodput, steadily, subjects
from .upstream import Upstream, upstream

_PER_MINUTE, _TIER = 60, 300
_ENFORCED = {
    "requests": _PER_MINUTE,
    "input_tokens": 10_000_000,
    "output_tokens": 10_000_000,
    "is_enforced": True,
}
_USER = {"x-penstock-user": "u1"}


def upstream_limits(scale: Scale) -> list[Line]:
    """T4: three times as many calls as the limit lets through once its first burst is over."""
    limited, served = {}, {}
    with ExitStack() as exits:
        pairs = []
        for name in SUBJECTS:
            sim = exits.enter_context(upstream(limits=_ENFORCED))
            pairs.append((exits.enter_context(subjects(sim, names=(name,)))[0], sim))
        found = asyncio.run(_saturated(pairs, 3.0, scale.limited_s))
        for (subject, sim), done in zip(pairs, found, strict=True):
            totals = sim.books()["totals"]
            limited[subject.name] = 100 * totals["refused"] / totals["requests"]
            served[subject.name] = goodput(done)
    return [
        Line("T4", "requests refused with 429 at three times the upstream's limit", "%", limited, at_most(0.5)),
        Line("T4", "goodput meanwhile", "", served),
    ]


async def _saturated(pairs: list[tuple[Subject, Upstream]], per_s: float, seconds: float) -> list[list[Asked]]:
    began = time.monotonic()

    async def one(subject: Subject) -> list[Asked]:
        async with subject.client() as client:
            return await steadily(per_s, seconds, lambda: ask(client, began))

    return list(await asyncio.gather(*(one(subject) for subject, _ in pairs)))


def own_limits(scale: Scale) -> list[Line]:
    """T10: one user asks four times as fast as allowed."""
    most = _TIER if not scale.is_quick else 60
    config = f"[tiers.default]\nrequests_per_minute = {most}\n"
    admitted = {}
    for name in ("in process", "gateway"):
        with upstream() as sim, subjects(sim, config, names=(name,)) as (subject,):
            done = asyncio.run(_insistent([subject.client(max_retries=0)], scale.limited_s))
        admitted[name] = _most_in_a_minute(done) / most
    four = {"gateway": _most_in_a_minute(_by_four_gateways(config, scale.limited_s)) / most}
    return [
        Line("T10", "most calls let through in any minute, over the limit", "×", admitted, at_most(1.0)),
        Line("T10", "the same, and how much of the limit can be used", "×", admitted, at_least(0.98)),
        Line("T10", "most in any minute, four processes", "×", four, at_most(1.01)),
        Line("T10", "the same, and how much of the limit can be used, four processes", "×", four, at_least(0.98)),
    ]


def _by_four_gateways(config: str, seconds: float) -> list[Asked]:
    import anthropic

    with tempfile.TemporaryDirectory(prefix="scoreboard-") as folder, upstream() as sim, ExitStack() as exits:
        place = Path(folder, "penstock.toml")
        place.write_text(config)
        those = [exits.enter_context(gateway(place, Path(folder), sim, number)) for number in range(4)]
        clients = [
            anthropic.AsyncAnthropic(base_url=one.url, api_key=those[0].key, max_retries=0, default_headers=_USER)
            for one in those
        ]
        return asyncio.run(_insistent(clients, seconds))


async def _insistent(clients: Sequence[Any], seconds: float) -> list[Asked]:
    import penstock

    began, turn = time.monotonic(), 0

    async def one() -> Asked:
        nonlocal turn
        turn += 1
        return await ask(clients[turn % len(clients)], began, extra_headers=_USER)

    with penstock.tags(user="u1"):
        done = await steadily(20.0, seconds, one)
    for client in clients:
        await client.close()
    return done


def _most_in_a_minute(done: list[Asked]) -> int:
    """The largest count of answered calls within any 60 s."""
    moments = sorted(one.began for one in done if not one.code)
    return max(bisect_left(moments, at + 60.0) - place for place, at in enumerate(moments))
