"""CPU per call of a wrapped SDK client against the bare one, in one run.

The calls are made by a process of its own, `python -m bench.in_process URL`, which prints every round as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .machine import Unmeasurable, child, cores, python
from .report import Plan, Row, Section, Spread, Target, ratios
from .subjects import environment, stub
from .traffic import UPSTREAM_KEY, request_body

_ABOUT = (
    "The official SDK's clients with everything `penstock.wrap` sets up by default, ledger included, against the same "
    "clients bare, without retries. Sequential calls on one core, the stub on the other; rounds of bare and wrapped "
    "take turns. A stream is `create(stream=True)` with 100 deltas, read to its end."
)
TARGETS = {"blocking": 0.80, "async": 0.70, "blocking stream": 0.65, "async stream": 0.65}

Work = Callable[[int], None]
#: Per kind of call and side, CPU microseconds for each call, round by round.
Rounds = dict[str, dict[str, list[float]]]


def measure(plan: Plan) -> Section:
    section = Section("in_process", "In process: wrapped against bare SDK", _ABOUT, ("wrapped", "bare"))
    rounds, calls, streams = (1, 50, 10) if plan.is_quick else (7, 300, 60)
    sizes = ["--rounds", str(rounds), "--calls", str(calls), "--streams", str(streams)]
    with stub() as upstream:
        argv = python("-m", "bench.in_process", f"http://127.0.0.1:{upstream.port}", *sizes)
        with child(argv, cores()[0], env=environment()) as caller:
            printed = caller.output(600)
            if caller.process.returncode:
                raise Unmeasurable(f"the calling process failed: {caller.last_words()}")
    found: Rounds = json.loads(printed)
    for kind, sides in found.items():
        pair = (Spread.of(sides["wrapped"]), Spread.of(sides["bare"]))
        section.rows.append(Row(f"{kind}, CPU", "µs/call", pair))
        ratio = ratios(sides["wrapped"], sides["bare"])
        section.rows.append(Row(f"{kind}, CPU against bare", "×", (ratio,), Target(TARGETS[kind])))
    return section


def compare(url: str, *, rounds: int, calls: int, streams: int, data: Path) -> Rounds:
    """Call an upstream through bare and wrapped clients by turns."""
    import anthropic

    import penstock

    found: Rounds = {}
    with asyncio.Runner() as runner:
        works: dict[str, dict[str, Work]] = {}
        for side in ("bare", "wrapped"):
            blocking: Any = anthropic.Anthropic(base_url=url, api_key=UPSTREAM_KEY, max_retries=0)
            looped: Any = anthropic.AsyncAnthropic(base_url=url, api_key=UPSTREAM_KEY, max_retries=0)
            if side == "wrapped":
                blocking, looped = penstock.wrap(blocking, data=data), penstock.wrap(looped, data=data)
            works[side] = {**_blocking_works(blocking), **_async_works(looped, runner)}
        for kind in TARGETS:
            count = streams if "stream" in kind else calls
            found[kind] = {"bare": [], "wrapped": []}
            for side in found[kind]:
                works[side][kind](max(10, count // 10))
            for number in range(rounds):
                for side in ("bare", "wrapped") if number % 2 else ("wrapped", "bare"):
                    found[kind][side].append(_cpu_us(works[side][kind], count))
    return found


def _blocking_works(client: Any) -> dict[str, Work]:
    body = json.loads(request_body())

    def whole(count: int) -> None:
        for _ in range(count):
            client.messages.create(**body)

    def stream(count: int) -> None:
        for _ in range(count):
            for _event in client.messages.create(**body, stream=True):
                pass

    return {"blocking": whole, "blocking stream": stream}


def _async_works(client: Any, runner: asyncio.Runner) -> dict[str, Work]:
    body = json.loads(request_body())

    async def whole(count: int) -> None:
        for _ in range(count):
            await client.messages.create(**body)

    async def stream(count: int) -> None:
        for _ in range(count):
            async for _event in await client.messages.create(**body, stream=True):
                pass

    return {"async": lambda count: runner.run(whole(count)), "async stream": lambda count: runner.run(stream(count))}


def _cpu_us(work: Work, count: int) -> float:
    began_ns = time.process_time_ns()
    work(count)
    return (time.process_time_ns() - began_ns) / 1000 / count


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.in_process", description=__doc__)
    parser.add_argument("url", help="base URL of an upstream")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=300, help="calls per round")
    parser.add_argument("--streams", type=int, default=60, help="streams per round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        sizes = {"rounds": options.rounds, "calls": options.calls, "streams": options.streams}
        print(json.dumps(compare(options.url, data=Path(folder), **sizes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
