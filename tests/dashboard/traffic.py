"""A gateway before the simulator with a history and calls of its own, for tests that look at its pages."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
from place import a_record

from gateways import Process, command, gateway
from penstock.simulator import running
from penstock.stores.folding import fold
from penstock.stores.schema import connect
from penstock.stores.sums import roll

CONFIG = """
[resilience]
tries_max = 2
breaker_failures = 0
[pacing]
learns = false
[features.support-chat]
model = "claude-haiku-4-5"
[features.mail]
model = "claude-sonnet-4-6"
[[budgets]]
period = "month"
limit_usd = "500"
[[budgets]]
where = { feature = "support-chat" }
per = ["user"]
period = "day"
plan_usd = "0.01"
[metrics]
enabled = true
[records.bodies]
percent = 100
[alerts]
every_s = 0.5
"""
#: What a caller may name a user or a feature, and no page may take for its own.
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>"


@dataclass
class Seen:
    """A gateway that runs, and keys that may look: one that may change things too, one that may not."""

    process: Process
    admin: str
    viewer: str

    @contextlib.contextmanager
    def session(self, key: str | None = None) -> Iterator[httpx2.Client]:
        """A client that has logged in."""
        with httpx2.Client(base_url=self.process.url, timeout=20) as client:
            assert client.post("/penstock/login", data={"key": key or self.admin}).status_code == 303
            yield client


@contextlib.contextmanager
def seen(folder: Path, *, days: int = 6, calls: int = 24, config: str = CONFIG) -> Iterator[Seen]:
    """With a row for each twenty minutes of so many days, and so many calls through the gateway."""
    data = folder / "data"
    if days:
        _history(data, days)
    with running(seed=3, allow_fault_headers=True) as simulator:
        with gateway(simulator.url, data=data, config=config, ANTHROPIC_API_KEY=simulator.key) as process:
            admin, viewer = (made(data, name) for name in ("admin", "view"))
            for number in range(calls):
                _call(process, number)
            process.records(calls + 72 * days)
            yield Seen(process, admin, viewer)


def made(data: Path, scope: str) -> str:
    """A key with one scope."""
    done = command("keys", "create", f"who-may-{scope}", "--scopes", scope, "--json", "--data", str(data))
    key: str = json.loads(done.stdout)["key"]
    return key


def _history(data: Path, days: int) -> None:
    draw, now_us = random.Random(5), time.time_ns() // 1000
    rows = []
    for number in range(72 * days):
        ending = draw.choices(["complete", "failed", "refused"], [90, 4, 6])[0]
        is_well, tokens = ending == "complete", draw.randrange(100, 4000)
        rows.append(
            a_record(
                number,
                began_at_us=now_us - (number + 1) * 1_200_000_000,
                feature=draw.choice(["support-chat", "mail", None]),
                model_served=draw.choice(["claude-haiku-4-5", "claude-sonnet-4-6"]),
                user=f"u{draw.randrange(9)}",
                segment=draw.choice(["acme", "globex"]),
                ending=ending,
                status=200 if is_well else 529,
                error_type=None if is_well else "overloaded_error",
                error_layer="limits" if ending == "refused" else None,
                input_tokens=tokens,
                cache_read_tokens=draw.choice([0, 5000]),
                cost_nano=tokens * 1000 + draw.randrange(1000) if is_well else 0,
                total_us=draw.randrange(200_000, 20_000_000),
            )
        )
    connection = connect(data)
    fold(connection, rows[::-1])
    roll(connection)
    connection.close()


def _call(process: Process, number: int) -> None:
    feature = ("support-chat", "mail", "support-chat", "search")[number % 4]
    user = HOSTILE if number % 7 == 0 else f"u{number % 3}"
    headers = {
        "x-api-key": process.key,
        "anthropic-version": "2023-06-01",
        "x-penstock-feature": feature,
        "x-penstock-user": user,
    }
    if number % 5 == 4:
        headers["x-simulator-fault"] = ("overloaded", "error_500", "reset")[number % 3]
    body = {
        "model": ("claude-haiku-4-5", "claude-sonnet-4-6")[number % 2],
        "max_tokens": 64,
        "stream": number % 3 == 0,
        "messages": [{"role": "user", "content": f"Say {number} and {HOSTILE}"}],
    }
    httpx2.post(f"{process.url}/v1/messages", json=body, headers=headers, timeout=30)
