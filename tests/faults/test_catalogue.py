"""Every fault of the simulator, met by callers in process, blocking and async, and through the gateway.

The table in docs/faults.md is made of what this run sees: `PENSTOCK_WRITE=1 pytest tests/faults` writes it, and without
that the run must see what is written.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest

import penstock
from gateways import Process, gateway
from penstock.config.schema import Config, PacingConfig, ResilienceConfig, TransportConfig
from penstock.faces.client.compose import composition
from penstock.record import Record
from penstock.simulator import Running, running
from penstock.simulator.books import Entry
from penstock.simulator.faults import KINDS
from penstock.stores.reading import LedgerReader

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
HEAD = (
    "| fault | call | the caller saw, in process | through the gateway | attempts | billed |",
    "|---|---|---|---|---:|---|",
)
FACES = ("blocking", "async", "gateway")
ASK: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Tell me of rivers in 60 words."}],
}
#: Numbers that make a fault quick where it would wait long.
QUICK = {
    "rate_limited": "rate_limited:1",
    "ramp_limited": "ramp_limited:1",
    "slow": "slow:0.3",
    "slow_pings": "slow_pings:0.3",
    "ping_only": "ping_only:0.2",
    "latency": "latency:5",
    "bandwidth": "bandwidth:200",
    "slow_close": "slow_close:100",
    "timeout": "timeout:100",
    "truncate": "truncate:6",
    "truncate_half": "truncate_half:6",
    "cut": "cut:6",
    "reset_mid": "reset_mid:6",
    "error_mid": "error_mid:6",
}
RESILIENCE = {"tries_max": 2, "wait_first_s": 0.01, "budget": 100_000, "breaker_failures": 0, "hold_s": 0.5}
TIMEOUTS = {"first_byte_s": 1.0, "idle_s": 1.0, "total_s": 2.5}
#: The connection breaks before a byte of answer: a request on one that was kept open is then sent once more on a fresh
#: one, as the first may never have been read (see docs/layers/transport.md).
UNHEARD = ("reset", "down", "reset_peer", "timeout")


@dataclass
class Seen:
    """What one caller saw, and what the simulated API charged for it."""

    said: str
    is_billed: bool
    record: Record

    @property
    def is_answer(self) -> bool:
        return self.said.startswith("answer")


class Stage:
    """One simulator, wrapped clients and a gateway before it."""

    def __init__(self, sim: Running, config: Config, process: Process) -> None:
        self.sim, self.config, self.process = sim, config, process
        self.ledger = composition(config, None).ledger

    def play(self, fault: str, face: str, *, stream: bool) -> Seen:
        label = f"fault-{fault}-{'stream' if stream else 'plain'}-{face}"
        self._rule("POST", {"fault": QUICK.get(fault, fault), "share": 1.0, "for_s": 60.0})
        try:
            said = asyncio.run(self._ask_async(label, stream)) if face == "async" else self._ask(face, label, stream)
        finally:
            self._rule("DELETE")
        record = self._record(face, label)
        asked = {served.request_id for served in self.sim.requests if label.encode() in served.body}
        spare = 1 if fault in UNHEARD else 0
        assert record.attempts <= len(asked) <= record.attempts + spare, (label, len(asked), record)
        return Seen(said, any(entry.cost_nano for entry in self._entries(asked)), record)

    def _entries(self, request_ids: set[str]) -> list[Entry]:
        """Their entries in the books, once all are closed: the simulator notices late that a caller has gone."""
        ends = time.monotonic() + 5.0
        while True:
            entries = [entry for entry in self.sim.books if entry.request_id in request_ids]
            if all(entry.ending for entry in entries):
                return entries
            assert time.monotonic() < ends, f"never closed: {entries}"
            time.sleep(0.02)

    def _rule(self, method: str, rule: dict[str, Any] | None = None) -> None:
        httpx2.request(method, f"{self.sim.url}/simulator/faults", json=rule).raise_for_status()

    def _client(self, face: str, label: str) -> anthropic.Anthropic:
        tag = {"x-penstock-feature": label}
        if face == "gateway":
            return anthropic.Anthropic(
                base_url=self.process.url, api_key=self.process.key, timeout=20, default_headers=tag
            )
        made = anthropic.Anthropic(base_url=self.sim.url, api_key=self.sim.key, timeout=1.0)
        return penstock.wrap(made, config=self.config, feature=label)

    def _ask(self, face: str, label: str, stream: bool) -> str:
        ask = {**ASK, "metadata": {"user_id": label}}
        with self._client(face, label) as client:
            try:
                if not stream:
                    return _of(client.messages.create(**ask))
                with client.messages.stream(**ask) as events:
                    return _of(events.get_final_message())
            except Exception as error:  # what is seen is what the table is about
                return _named(error)

    async def _ask_async(self, label: str, stream: bool) -> str:
        ask = {**ASK, "metadata": {"user_id": label}}
        made = anthropic.AsyncAnthropic(base_url=self.sim.url, api_key=self.sim.key, timeout=1.0)
        async with penstock.wrap(made, config=self.config, feature=label) as client:
            try:
                if not stream:
                    return _of(await client.messages.create(**ask))
                async with client.messages.stream(**ask) as events:
                    return _of(await events.get_final_message())
            except Exception as error:
                return _named(error)

    def _record(self, face: str, label: str) -> Record:
        if face == "gateway":
            return self.process.record_of(feature=label)
        self.ledger.flush()  # type: ignore[attr-defined]
        with LedgerReader(self.config.data) as ledger:
            (found,) = ledger.calls(where={"feature": label})
            return found


def _of(message: Any) -> str:
    return f"answer ({message.stop_reason})"


def _named(error: Exception) -> str:
    code = getattr(error, "error_code", None)
    return type(error).__name__ + (f" ({code})" if code else "")


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    config = Config(
        data=tmp_path_factory.mktemp("faults") / "data",
        resilience=ResilienceConfig(**RESILIENCE),  # type: ignore[arg-type]
        pacing=PacingConfig(learns=False),
        transport=TransportConfig(**TIMEOUTS),
    )
    toml = "[pacing]\nlearns = false\n"
    for section, keys in (("resilience", RESILIENCE), ("transport", TIMEOUTS)):
        toml += f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in keys.items())
    with running(seed=11) as sim, gateway(sim.url, config=toml, ANTHROPIC_API_KEY=sim.key) as process:
        yield Stage(sim, config, process)


def test_every_fault_is_met_the_same_everywhere_and_the_page_says_how(stage: Stage) -> None:
    rows = []
    for kind in KINDS:
        for stream in (False, True):
            met = [stage.play(kind.name, face, stream=stream) for face in FACES]
            for seen in met:
                _check(seen)
            assert len({seen.record.attempts for seen in met}) == 1, (kind.name, stream, met)
            assert len({seen.is_answer for seen in met}) == 1, (kind.name, stream, met)
            assert len({seen.is_billed for seen in met}) == 1, (kind.name, stream, met)
            rows.append(_row(kind.name, met, stream=stream))
    table = "\n".join([*HEAD, *rows])
    text = PAGE.read_text()
    if os.environ.get("PENSTOCK_WRITE"):
        PAGE.write_text(text[: text.index("| fault |")] + table + "\n")
    else:
        assert table in text, "docs/faults.md is not what was seen: run `PENSTOCK_WRITE=1 make test ARGS=tests/faults`"


def _check(seen: Seen) -> None:
    """What the record says is what was seen."""
    assert "(None)" not in seen.said, f"a broken answer taken for a whole one: {seen}"
    is_good = seen.record.ending == "complete" and (seen.record.status or 0) < 400
    assert is_good is seen.is_answer, seen
    assert seen.record.cost_nano != 0 or not seen.is_billed, f"what was charged is recorded as free: {seen}"


def _row(fault: str, met: list[Seen], *, stream: bool) -> str:
    in_process = " / ".join(dict.fromkeys(seen.said for seen in met[:2]))
    cells = (
        "" if stream else f"`{fault}`",
        "stream" if stream else "plain",
        in_process,
        "the same" if met[2].said == in_process else met[2].said,
        str(met[0].record.attempts),
        "yes" if met[0].is_billed else "no",
    )
    return f"| {' | '.join(cells)} |"
