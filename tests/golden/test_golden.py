"""Golden cases: a config and a request, a ruler, and what the upstream then gets (or what the caller is refused).

A case is a text file; adding one needs no code. Above the first ruler stands the config, between the rulers the request
as on the wire, below the second the outcome. `PENSTOCK_GOLDEN=write pytest tests/golden` writes outcomes anew.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from penstock import drive
from penstock.call import Target
from penstock.config.load import open_config
from penstock.errors import PenstockError, rendered
from penstock.faces.compose import price_book, timeouts
from penstock.faces.gateway.intake import call_from
from penstock.pipeline import build
from penstock.ports import Incoming, Key, Outgoing, Ports
from penstock.ports.simulated import World
from penstock.reply import Whole
from penstock.stores.memory import MemoryRetryBudget
from script import JSON_ANSWER, KeyRing, LedgerBook, routes, shared

CASES = sorted(Path(__file__).parent.glob("*.case"))
RULER = "\n" + "-" * 40 + "\n"
KEY_VALUE = b"pk_golden"
KEY = Key(
    id="key_1",
    name="golden",
    digest=hashlib.sha256(KEY_VALUE).digest(),
    shown="pk_…",
    environment="dev",
    scopes=frozenset({"messages", "count_tokens", "models", "other"}),
    created_at_us=0,
)


class Recorder:
    """An upstream that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, request: Outgoing) -> Incoming:
        self.sent.append(request)
        return Incoming(JSON_ANSWER.status, JSON_ANSWER.headers, Whole(JSON_ANSWER.chunks))

    async def aclose(self) -> None: ...


def outcome_of(config_text: str, request_text: str, folder: Path) -> str:
    file = folder / "penstock.toml"
    file.write_text(config_text)
    loaded = open_config(file, environ={"UPSTREAM_KEY": "upstream-key-of-the-case"})
    config, name = loaded.config, loaded.config.default_upstream
    assert name is not None
    chosen = config.upstreams[name]
    key = loaded.secrets.resolve(chosen.keys[0]) if chosen.keys else None
    upstream, world = Recorder(), World(0)
    keys, retries = KeyRing({KEY.digest: KEY}), MemoryRetryBudget(35, 0.5)
    ports = Ports(world, world, upstream, LedgerBook(), keys, retries, **shared(world))
    core = build(config, ports, routes(Target(name, chosen.url, key)), price_book(config))
    head, _, body = request_text.partition("\n\n")
    first, *fields = head.splitlines()
    method, target = first.split(" ", 1)
    path, _, query = target.partition("?")
    headers = [tuple(part.encode() for part in line.split(": ", 1)) for line in fields]
    scope = {"method": method, "query_string": query.encode(), "headers": headers}
    call = call_from(scope, path, body.encode(), ports, timeouts(config))

    async def scene() -> str:
        try:
            await (await core(call)).read()
        except PenstockError as error:
            status, _, refusal = rendered(error, "call_1")
            return f"refused {status}\n\n{refusal.decode()}"
        request = upstream.sent[0]
        sent = "\n".join(f"{name.decode()}: {value.decode()}" for name, value in request.headers)
        return f"{request.method} {request.url}{request.path}\n{sent}\n\n{request.body.decode()}"

    return drive.run(scene())


def test_there_are_cases() -> None:
    assert len(CASES) >= 8


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_the_outcome_is_as_written(case: Path, tmp_path: Path) -> None:
    config, request, expected = (case.read_text().rstrip("\n") + RULER).split(RULER)[:3]
    outcome = outcome_of(config, request, tmp_path)
    if os.environ.get("PENSTOCK_GOLDEN") == "write":
        case.write_text(config + RULER + request + RULER + outcome + "\n")
        return
    assert outcome.rstrip("\n") == expected
