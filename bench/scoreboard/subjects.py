"""Who is compared: the SDK with Penstock under it, the SDK with the gateway before it, and the SDK alone."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..machine import Child, child, cores, python
from ..subjects import await_file, environment
from .upstream import Upstream

#: In the order of the columns.
SUBJECTS = ("in process", "gateway", "bare SDK")
OURS = SUBJECTS[:2]

ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 40,
    "messages": [{"role": "user", "content": "Say hello."}],
}


@dataclass
class Asked:
    """One call: seconds since the run began, and why it failed: empty where it did not."""

    began: float
    took_s: float = 0.0
    code: str = ""


@dataclass
class Gateway:
    """A running gateway."""

    url: str
    key: str
    data: Path
    process: Child


@dataclass
class Subject:
    """A way to the upstream. `client` makes an `AsyncAnthropic` for it, `options` going to the SDK."""

    name: str
    client: Callable[..., Any]
    data: Path | None = None
    gateway: Gateway | None = None


@contextmanager
def gateway(config: Path, folder: Path, upstream: Upstream, number: int = 0) -> Iterator[Gateway]:
    """A gateway of that config, whose `upstream` is where the config names none. All of a folder share their data."""
    ready, data = folder / f"ready-{number}.json", folder / "gateway"
    words = ["serve", "--port", "0", "--config", str(config), "--data", str(data), "--ready-file", str(ready)]
    if "[upstreams" not in config.read_text():
        words += ["--upstream", upstream.url]
    argv = python("-c", "from penstock.faces.command import main; main()", *words)
    with child(argv, cores()[0], env={**environment(), "ANTHROPIC_API_KEY": upstream.key}) as process:
        await_file(process, ready)
        told = json.loads(ready.read_text())
        yield Gateway(told["url"], told["key"], data, process)


@contextmanager
def subjects(upstream: Upstream, config: str = "", *, names: tuple[str, ...] = SUBJECTS) -> Iterator[list[Subject]]:
    """All of them before one upstream, ours with the same config file and empty data folders."""
    import anthropic

    import penstock

    def bare(**options: Any) -> Any:
        return anthropic.AsyncAnthropic(base_url=upstream.url, api_key=upstream.key, **options)

    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="scoreboard-")))
        place = folder / "penstock.toml"
        place.write_text(config)
        found = []
        for name in names:
            if name == "in process":
                data = folder / "data"
                wrapped = lambda data=data, **options: penstock.wrap(bare(**options), config=place, data=data)  # noqa: E731
                found.append(Subject(name, wrapped, data))
            elif name == "gateway":
                running = exits.enter_context(gateway(place, folder, upstream))
                through = lambda it=running, **options: anthropic.AsyncAnthropic(  # noqa: E731
                    base_url=it.url, api_key=it.key, **options
                )
                found.append(Subject(name, through, running.data, running))
            else:
                found.append(Subject(name, bare))
        yield found


async def ask(client: Any, began: float, **more: Any) -> Asked:
    """One call, and what came of it."""
    import anthropic

    start = time.monotonic()
    asked = Asked(start - began)
    try:
        message = await client.messages.create(**{**ASK, **more})
        asked.code = "" if message.stop_reason else "no stop reason"
    except anthropic.APIError as error:
        asked.code = getattr(error, "error_code", None) or type(error).__name__
    asked.took_s = time.monotonic() - start
    return asked


async def at_once(count: int, among: int, one: Callable[[], Awaitable[Asked]]) -> list[Asked]:
    """`count` calls, `among` of them at a time."""
    done: list[Asked] = []

    async def worker() -> None:
        nonlocal count
        while count > 0:
            count -= 1
            done.append(await one())

    await asyncio.gather(*(worker() for _ in range(among)))
    return done


async def steadily(per_s: float, seconds: float, one: Callable[[], Awaitable[Asked]]) -> list[Asked]:
    """Calls at a steady rate, whatever becomes of those before."""
    tasks: list[asyncio.Future[Asked]] = []
    began = time.monotonic()
    for number in range(round(per_s * seconds)):
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
        tasks.append(asyncio.ensure_future(one()))
    return list(await asyncio.gather(*tasks))


def goodput(done: list[Asked]) -> float:
    return sum(not one.code for one in done) / max(1, len(done))
