"""T8 and T9: what is lost when a gateway is killed, and whether a budget is ever passed."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from .board import Line, Scale, at_most
from .subjects import ASK, OURS, Gateway, gateway, subjects
from .upstream import Upstream, upstream

_NANO = 1_000_000_000
_LIMIT_USD = 0.05
_PER_S = 50.0
_BUDGET = f"""[[budgets]]
name = "board"
per = ["user"]
period = "total"
limit_usd = {_LIMIT_USD}
[resilience]
tries_max = 1
"""


def killed(scale: Scale) -> list[Line]:
    """T8: a gateway under 50 calls a second, half of them streams, killed again and again."""
    random.seed(8)
    with tempfile.TemporaryDirectory(prefix="scoreboard-") as folder, upstream(pace={"first_token_ms": 30}) as sim:
        place = Path(folder, "penstock.toml")
        place.write_text(_BUDGET.replace(str(_LIMIT_USD), "1000"))
        answered: set[str] = set()
        key, starts_s = "", []
        for number in range(scale.kills):
            began = time.monotonic()
            with gateway(place, Path(folder), sim, number) as running:
                starts_s.append(time.monotonic() - began)
                key = key or running.key
                answered |= asyncio.run(_until_killed(running, key, random.uniform(0.1, 0.8)))
        with gateway(place, Path(folder), sim, scale.kills):
            time.sleep(1.0)
        cost = sum(entry["cost_nano"] for entry in sim.books()["entries"])
        found = _found(Path(folder, "gateway"), answered)
    ours = {name: {"gateway": value} for name, value in found.items()}
    unknown = max(0.0, cost - found["known"] - found["in doubt"]) / _NANO
    return [
        Line("T8", f"{scale.kills} kills: answers begun whose row is lost", "", ours["lost"], at_most(0)),
        Line("T8", "spent by the invoice, and neither known nor in doubt here", "$", {"gateway": unknown}, at_most(0)),
        Line("T8", "still held after the last start", "$", ours["held"], at_most(0)),
        Line("T8", "budget against the ledger's sum", "$", ours["apart"], at_most(0)),
        Line("T8", "databases that are not whole", "", ours["broken"], at_most(0)),
        Line("T8", "up again within, median", "s", {"gateway": sorted(starts_s)[len(starts_s) // 2]}, at_most(2)),
    ]


async def _until_killed(running: Gateway, key: str, after_s: float) -> set[str]:
    """The ids of the calls whose answers had begun."""
    import anthropic

    answered: set[str] = set()

    async def one(client: Any, is_stream: bool) -> None:
        try:
            answer = await client.messages.with_raw_response.create(**ASK, stream=is_stream)
            answered.add(answer.headers["x-penstock-call-id"])
            if is_stream:
                async for _ in await answer.parse():
                    pass
        except (anthropic.APIError, OSError):
            return
        except Exception as error:  # the HTTP library's own, of a stream that breaks
            if not type(error).__module__.startswith("httpx"):
                raise

    async with anthropic.AsyncAnthropic(base_url=running.url, api_key=key, max_retries=0, timeout=5) as client:
        tasks: list[asyncio.Future[None]] = []
        ends = time.monotonic() + after_s
        while time.monotonic() < ends:
            tasks.append(asyncio.ensure_future(one(client, random.random() < 0.5)))
            await asyncio.sleep(random.expovariate(_PER_S))
        running.process.process.send_signal(signal.SIGKILL)
        await asyncio.gather(*tasks)
    return answered


def _found(data: Path, answered: set[str]) -> dict[str, float]:
    ledger, counters = (sqlite3.connect(data / name) for name in ("penstock.db", "counters.db"))
    try:
        rows = {row[0] for row in ledger.execute("SELECT call_id FROM calls")}
        known = ledger.execute("SELECT coalesce(sum(cost_nano), 0) FROM calls").fetchone()[0]
        in_doubt = "SELECT coalesce(sum(held_nano), 0) FROM calls WHERE cost_nano IS NULL"
        doubt = ledger.execute(in_doubt).fetchone()[0]
        spent, held = counters.execute(
            "SELECT coalesce(sum(spent_nano), 0), coalesce(sum(held_nano), 0) FROM accounts"
        ).fetchone()
        whole = [one.execute("PRAGMA integrity_check").fetchone()[0] == "ok" for one in (ledger, counters)]
    finally:
        ledger.close()
        counters.close()
    return {
        "lost": float(len(answered - rows)),
        "known": float(known),
        "in doubt": float(doubt),
        "held": held / _NANO,
        "apart": abs(spent - known - doubt) / _NANO,
        "broken": float(whole.count(False)),
    }


def overshoot(scale: Scale) -> list[Line]:
    """T9: so many callers at once, until the budget refuses all of them."""
    lines = []
    for callers in scale.callers:
        over, unused = {}, {}
        for name in OURS:
            with upstream() as sim, subjects(sim, _BUDGET, names=(name,)) as (subject,):
                asyncio.run(_exhausted([subject.client(max_retries=0)], callers))
                over[name], unused[name] = _against_the_limit(sim)
        lines += _shown(f"{callers:,} callers", over, unused)
    with tempfile.TemporaryDirectory(prefix="scoreboard-") as folder, upstream() as sim, ExitStack() as exits:
        import anthropic

        place = Path(folder, "penstock.toml")
        place.write_text(_BUDGET)
        those = [exits.enter_context(gateway(place, Path(folder), sim, number)) for number in range(4)]
        clients = [anthropic.AsyncAnthropic(base_url=it.url, api_key=those[0].key, max_retries=0) for it in those]
        asyncio.run(_exhausted(clients, scale.callers[-1]))
        one, left = _against_the_limit(sim)
    return lines + _shown(f"{scale.callers[-1]:,} callers, four processes", {"gateway": one}, {"gateway": left})


async def _exhausted(clients: Sequence[Any], callers: int) -> None:
    """Call until every caller has been refused for good."""
    import anthropic

    import penstock

    async def caller(number: int) -> None:
        client, ask = clients[number % len(clients)], {**ASK, "max_tokens": 20 + number % 40}
        while True:
            try:
                if number % 3:
                    await client.messages.create(**ask)
                else:
                    async for _ in await client.messages.create(**ask, stream=True):
                        pass
            except anthropic.APIStatusError as error:
                if error.status_code == 402:
                    return
            except anthropic.APIError:
                continue

    with penstock.tags(user="u1"):
        await asyncio.gather(*(caller(number) for number in range(callers)))
    for client in clients:
        await client.close()


def _against_the_limit(sim: Upstream) -> tuple[float, float]:
    """Dollars of the invoice above the limit, and what was left of it in per cent."""
    spent = sum(entry["cost_nano"] for entry in sim.books()["entries"]) / _NANO
    return max(0.0, spent - _LIMIT_USD), max(0.0, 100 * (1 - spent / _LIMIT_USD))


def _shown(what: str, over: dict[str, float], unused: dict[str, float]) -> list[Line]:
    return [
        Line("T9", f"{what}: spent beyond the limit", "$", over, at_most(0)),
        Line("T9", f"{what}: left unused", "%", unused, at_most(1)),
    ]
