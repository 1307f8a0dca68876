"""T19 and T20: a drain under streams, reloads under load, and a soak."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.error
import urllib.request
from typing import Any

from ..machine import rss_mib
from .board import Line, Scale, at_most
from .subjects import ASK, Subject, ask, steadily, subjects
from .upstream import upstream

_STREAMS = 100
_TOKENS = 600


def drain(scale: Scale) -> list[Line]:
    """T19."""
    pace = {"first_token_ms": 50, "tokens_per_s": _TOKENS / scale.stream_s}
    config = f"[gateway]\ngrace_s = {2 * scale.stream_s + 10}\n"
    with upstream(pace=pace) as sim, subjects(sim, config, names=("gateway",)) as (subject,):
        lost, not_ready_s, refused, exit_s = asyncio.run(_drained(subject))
    return [
        Line("T19", f"SIGTERM under {_STREAMS} live streams: streams lost", "", {"gateway": lost}, at_most(0)),
        Line("T19", "not ready within", "s", {"gateway": not_ready_s}, at_most(1)),
        Line("T19", "new calls answered all the same", "", {"gateway": refused}, at_most(0)),
        Line("T19", "exit after the last stream within", "s", {"gateway": exit_s}, at_most(5)),
    ]


async def _drained(subject: Subject) -> tuple[float, float, float, float]:
    gateway = subject.gateway
    assert gateway is not None
    words = [{"role": "user", "content": f"Tell me of rivers in {_TOKENS} words."}]
    body: dict[str, Any] = {**ASK, "max_tokens": _TOKENS, "messages": words}
    async with subject.client(max_retries=0) as client:

        async def one() -> str | None:
            async with client.messages.stream(**body) as events:
                message = await events.get_final_message()
            reason: str | None = message.stop_reason
            return reason

        streams = [asyncio.ensure_future(one()) for _ in range(_STREAMS)]
        await asyncio.sleep(1.0)
        began = time.monotonic()
        os.kill(gateway.process.pid, signal.SIGTERM)
        await asyncio.to_thread(_until_not_ready, gateway.url)
        not_ready_s = time.monotonic() - began
        late = await ask(client, began)
        done = await asyncio.gather(*streams, return_exceptions=True)
        ended = time.monotonic()
        await asyncio.to_thread(gateway.process.process.wait, 60)
    lost = sum(not isinstance(one, str) for one in done)
    return float(lost), not_ready_s, float(not late.code), time.monotonic() - ended


def _until_not_ready(url: str) -> None:
    until = time.monotonic() + 10
    while _is_ready(url) and time.monotonic() < until:
        time.sleep(0.01)


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def reload_and_soak(scale: Scale) -> list[Line]:
    """T20, without the jumps of the clock, which the simulated worlds make."""
    with upstream() as sim, subjects(sim, names=("gateway",)) as (subject,):
        failed = asyncio.run(_reloaded(subject, scale.reloads))
    settings = "[resilience]\nwait_first_s = 0.1\n[pacing]\nlearns = false\n"
    with upstream(faults={"overloaded": 0.1}) as sim, subjects(sim, settings, names=("gateway",)) as (subject,):
        slope, fds = asyncio.run(_soaked(subject, scale.soak_s))
    return [
        Line("T20", f"{scale.reloads:,} reloads under load: calls failed", "", {"gateway": failed}, at_most(0)),
        Line("T20", f"memory gained in {scale.soak_s:.0f} s at 10% faults", "MB", {"gateway": slope}, at_most(1)),
        Line("T20", "descriptors gained meanwhile", "", {"gateway": fds}, at_most(0)),
    ]


async def _reloaded(subject: Subject, count: int) -> float:
    assert subject.gateway is not None
    pid, began = subject.gateway.process.pid, time.monotonic()
    async with subject.client(max_retries=0) as client:
        load = asyncio.ensure_future(steadily(20.0, count / 50, lambda: ask(client, began)))
        for _ in range(count):
            os.kill(pid, signal.SIGHUP)
            await asyncio.sleep(0.02)
        done = await load
    return float(sum(bool(one.code) for one in done))


async def _soaked(subject: Subject, seconds: float) -> tuple[float, float]:
    """Memory and descriptors gained over the later two thirds: what is warmed up in the first is no leak."""
    assert subject.gateway is not None
    pid, began = subject.gateway.process.pid, time.monotonic()
    async with subject.client(max_retries=0) as client:
        await steadily(50.0, seconds / 3, lambda: ask(client, began))
        memory, fds = rss_mib(pid), len(os.listdir(f"/proc/{pid}/fd"))
        await steadily(50.0, 2 * seconds / 3, lambda: ask(client, began))
        return rss_mib(pid) - memory, float(len(os.listdir(f"/proc/{pid}/fd")) - fds)
