"""A gateway before a simulator whose reports may be wrong, and the two compared as of the day after."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import httpx2

from gateways import Process, gateway
from penstock.call import Target
from penstock.drive import run
from penstock.ports.blocking import BlockingClock
from penstock.ports.origin import PoolLimits
from penstock.ports.sockets import SocketPool
from penstock.secret import Secret
from penstock.simulator import ApiKey, Drift, Running, running
from penstock.simulator.dice import Dice
from penstock.stores.schema import connect
from penstock.tools.reconcile import Asked, Finding, Reconciled, reconcile
from penstock.wire.prices import PriceBook
from script import HELLO

DAY_S = 86_400
SEED = 3
FIRST, SECOND, OTHER = "sk-first-key", "sk-second-key", "sk-other-key"
CONFIG = """
[upstreams.anthropic]
kind = "compatible"
url = "{url}"
keys = ["env:FIRST", "env:SECOND"]
admin_key = "env:ADMIN"
[resilience]
tries_max = {tries}
wait_first_s = 0.05
[pacing]
learns = false
"""
LONG = [{"type": "text", "text": "mill " * 5_000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]


class Ahead:
    """The machine's clock, some days ahead."""

    def __init__(self, days: float = 1) -> None:
        self._us = round(days * DAY_S * 1_000_000)

    now = staticmethod(time.monotonic)

    def wall_us(self) -> int:
        return BlockingClock.wall_us() + self._us

    async def sleep(self, seconds: float) -> None:
        assert seconds < 120


class Scene:
    """What runs, and when it began."""

    def __init__(self, simulator: Running, process: Process, shift: list[float]) -> None:
        self.simulator, self.process, self._shift = simulator, process, shift
        self.began_day = int(time.time() // DAY_S)

    def call(self, number: int = 0, *, session: str = "s1", **body: Any) -> httpx2.Response:
        """A call through the gateway; each number has an answer of another length."""
        asked = {**HELLO, "messages": [{"role": "user", "content": f"In {12 + 7 * number} words."}], **body}
        return self.send(self.process.url, self.process.key, asked, {"x-penstock-session": session})

    def beside(self, key: str, **body: Any) -> httpx2.Response:
        """A call that does not go through the gateway."""
        return self.send(self.simulator.url, key, {**HELLO, **body}, {})

    def send(self, url: str, key: str, body: dict[str, Any], more: dict[str, str]) -> httpx2.Response:
        headers = {"x-api-key": key, "anthropic-version": "2023-06-01", **more}
        answer = httpx2.post(url + "/v1/messages", json=body, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.process.key, "anthropic-version": "2023-06-01"}

    def move_back(self, minutes: int) -> None:
        """Let all that has been called so far have been called earlier, on both sides."""
        with contextlib.closing(connect(self.process.data)) as ledger:
            ledger.execute("UPDATE calls SET began_at_us = began_at_us - ?", (minutes * 60_000_000,))
        reports = self.simulator._simulator.api.messages.reports
        for sums in reports._sums.values():
            moved = {(minute - minutes, place): own for (minute, place), own in sums.items()}
            sums.clear()
            sums.update(moved)

    def compared(self, *, days: float = 1, back: int = 0, admin: str | None = None, **asked: Any) -> Reconciled:
        """Reconciled so many days from now."""
        self._shift[0] = days * DAY_S
        pool = SocketPool(PoolLimits())
        try:
            return reconcile(
                self.process.data,
                Target("anthropic", self.simulator.url, Secret(admin or self.simulator.admin_key)),
                Asked(
                    upstream="anthropic",
                    targets=("anthropic", "anthropic#2"),
                    since_day=self.began_day - back,
                    until_day=int(time.time() // DAY_S) + 1,
                    **asked,
                ),
                upstream=pool,
                clock=Ahead(days),
                prices=PriceBook(),
            )
        finally:
            self._shift[0] = 0.0
            run(pool.aclose())


@contextlib.contextmanager
def scene(drift: Drift | None = None, *, more: str = "", tries: int = 1, **options: Any) -> Iterator[Scene]:
    shift = [0.0]
    keys = [ApiKey(SECOND, workspace="second"), ApiKey(OTHER)]
    with running(
        seed=SEED, key=FIRST, keys=keys, drift=drift or Drift(), clock=lambda: time.time() + shift[0], **options
    ) as sim:
        config = CONFIG.format(url=sim.url, tries=tries) + more
        with gateway(config=config, FIRST=FIRST, SECOND=SECOND, ADMIN=sim.admin_key) as process:
            yield Scene(sim, process, shift)


def key_id(secret: str) -> str:
    """The id that the simulator has for a key."""
    return Dice(SEED, "key", secret).id("apikey")


def causes(made: Reconciled) -> set[str]:
    return {finding.cause for finding in made.findings}


def only(made: Reconciled) -> Finding:
    (finding,) = made.findings
    return finding
