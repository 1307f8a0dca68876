"""What it costs a call to be looked at, and marked, for the prompt cache."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from penstock.call import Call
from penstock.config.schema import Config
from penstock.drive import run
from penstock.layers.per_attempt.caching import Caching
from penstock.ports import Ports
from penstock.ports.blocking import BlockingClock
from penstock.reply import Reply, Whole
from penstock.wire.reading import reading

from .calls import a_call
from .report import Plan, Row, Section, Spread, Target
from .traffic import answer, request_body

_ABOUT = (
    "The layer `caching`, with the fingerprint it keeps of a prompt, above one that answers at once: the CPU it takes "
    "of a call whose prompt is too short to be cached, of one that its caller has marked, and of prompts that come "
    "again and are marked, as a few long blocks and as a long conversation."
)
_SENTENCE = "The mill by the river grinds 40 sacks a day, and in 2024 it was asked to grind more. "


def measure(plan: Plan) -> Section:
    section = Section("caching", "Caching: what marks cost to place", _ABOUT, ("the layer",))
    for what, bodies, aim, calls in _CASES:
        spread = Spread.of([_layer_us(bodies, 10 if plan.is_quick else calls) for _ in range(plan.rounds)])
        section.rows.append(Row(f"{what}, CPU", "µs/call", (spread,), aim))
    return section


def _prompt(size: int, turns: int) -> Callable[[int], bytes]:
    """Bodies of about `size` bytes in so many turns, of which the last differs in each."""
    text = _SENTENCE * (size // turns // len(_SENTENCE))
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at in range(turns - 1)]

    def body(number: int) -> bytes:
        messages = [*said, {"role": "user", "content": f"Question {number}"}]
        return json.dumps({"model": "claude-sonnet-4-6", "max_tokens": 64, "messages": messages}).encode()

    return body


def _short(number: int) -> bytes:
    return request_body().replace(b',"cache_control":{"type":"ephemeral"}', b"")


_CASES: tuple[tuple[str, Callable[[int], bytes], Target | None, int], ...] = (
    ("2 KB, too short to be cached", _short, Target(10), 2000),
    ("2 KB, marked by its caller", lambda _: request_body(), None, 1000),
    ("20 KB in 3 blocks, marked", _prompt(20_000, 3), None, 500),
    ("500 KB in 5 blocks, marked", _prompt(500_000, 5), None, 50),
    ("500 KB in 401 blocks, marked", _prompt(500_000, 401), None, 30),
)


class _Ports:
    """What the layer uses of them."""

    clock = BlockingClock()
    salt = b"bench"


def _layer_us(bodies: Callable[[int], bytes], calls: int) -> float:
    """CPU for each call; making it is not counted, nor is what stands below."""
    layer = Caching(Config(), cast(Ports, _Ports()))
    body, headers = answer().partition(b"\r\n\r\n")[2], ((b"content-type", b"application/json"),)

    async def below(one: Call) -> Reply:
        return Reply(200, headers, Whole([body]), reading=reading(one.endpoint, 200, headers), request_id="r")

    async def alone(one: Call) -> None:
        await (await below(one)).read()

    async def through(one: Call) -> None:
        await (await layer(one, below)).read()

    made = [a_call(bodies(number)) for number in range(calls + 3)]
    for one in made[:3]:
        run(through(one))
    return _cpu_us(through, made[3:]) - _cpu_us(alone, made[3:])


def _cpu_us(through: Callable[[Call], Coroutine[Any, Any, None]], calls: Sequence[Call]) -> float:
    began = time.process_time()
    for one in calls:
        run(through(one))
    return (time.process_time() - began) * 1e6 / len(calls)
