"""T16: one idempotency key, used many times."""

from __future__ import annotations

import asyncio
from typing import Any

from .board import Line, Scale, at_least, at_most
from .subjects import ASK, Subject, subjects
from .upstream import Upstream, upstream

_TWINS = 100


def idempotency(scale: Scale) -> list[Line]:
    """T16."""
    del scale
    asked, alike, refused, cost = {}, {}, {}, {}
    with upstream(pace={"first_token_ms": 200, "tokens_per_s": 100}) as sim, subjects(sim) as those:
        for subject in those:
            name = subject.name
            asked[name], alike[name], refused[name], replay_cost = asyncio.run(_used(subject, sim))
            if replay_cost is not None:
                cost[name] = replay_cost
    return [
        Line("T16", f"{_TWINS} simultaneous calls with one key: requests upstream", "", asked, at_most(1)),
        Line("T16", "of them answered with the same bytes", "", alike, at_least(_TWINS)),
        Line("T16", "the key with another body is refused with 422 (1: yes)", "", refused, at_least(1)),
        Line("T16", "what a replay costs", "$", cost, at_most(0)),
    ]


async def _used(subject: Subject, sim: Upstream) -> tuple[float, float, float, float | None]:
    import anthropic

    headers, before = {"idempotency-key": f"key-{subject.name}"}, sim.requests

    async def one(client: Any, **more: Any) -> Any:
        return await client.messages.with_raw_response.create(**{**ASK, **more}, extra_headers=headers)

    async with subject.client() as client:
        answers = await asyncio.gather(*(one(client) for _ in range(_TWINS)))
        asked = sim.requests - before
        bodies = [answer.http_response.content for answer in answers]
        replay = await one(client)
        try:
            await one(client, max_tokens=41)
            is_refused = False
        except anthropic.UnprocessableEntityError:
            is_refused = True
    cost = replay.headers.get("x-penstock-cost-usd")
    return float(asked), float(bodies.count(bodies[0])), float(is_refused), None if cost is None else float(cost)
