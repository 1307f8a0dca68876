"""What keeping conversations within limits costs a call, before anything is sent."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from penstock.call import Call
from penstock.config.context import ContextConfig
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config
from penstock.drive import run
from penstock.layers.per_attempt.context import Context
from penstock.ports.blocking import BlockingClock
from penstock.reply import Reply, Whole
from penstock.wire.reading import reading

from .calls import a_call
from .report import Plan, Row, Section, Spread

_ABOUT = (
    "The layer `context` alone, over an upstream that answers at once: conversations of 2 KB (4 exchanges) and of "
    "500 KB (100 exchanges, tools called in each), off, with limits that it keeps, with limits that it passes, and on "
    "a model that binds thinking to what came before. A conversation comes again and again, as it does one turn "
    "longer: turns that are known are not weighed again. The first time is given beside it."
)
_SENTENCE = "The mill by the river grinds 40 sacks a day, and in 2024 it was asked to grind more. "
_FREE, _BOUND = "claude-haiku-4-5", "claude-sonnet-5-5"
_CASES: dict[str, tuple[str, ContextConfig]] = {
    "off": (_FREE, ContextConfig()),
    "within its limits": (_FREE, ContextConfig(turns=1_000, tokens=190_000)),
    "cut by turns": (_FREE, ContextConfig(turns=2)),
    "cut by tokens": (_FREE, ContextConfig(turns=1_000, tokens=50_000, beyond="importance")),
    "cut, thinking bound": (_BOUND, ContextConfig(turns=2)),
}


def measure(plan: Plan) -> Section:
    section = Section("context", "Context: what cutting conversations costs", _ABOUT, ("a call", "the first"))
    for name, exchanges, words in (("2 KB", 4, 1), ("500 KB", 100, 14)):
        for case, (model, config) in _CASES.items():
            call = _call(exchanges, words, model)
            often, first = _taken(plan, call, config)
            section.rows.append(Row(f"{name}, {case}", "µs", (often, first)))
    return section


def _taken(plan: Plan, call: Call, config: ContextConfig) -> tuple[Spread, Spread]:
    """Microseconds of a call that comes again, and of its first."""
    often, first = [], []
    for _ in range(plan.rounds):
        layer = Context(Config(features={"default": FeatureConfig(context=config)}), BlockingClock())
        first.append(_once(layer, call))
        _once(layer, call)
        ends, taken = time.perf_counter() + plan.window_s / 8, []
        while time.perf_counter() < ends:
            taken.append(_once(layer, call))
        often.append(sorted(taken)[len(taken) // 2])
    return Spread.of(often), Spread.of(first)


def _once(layer: Context, call: Call) -> float:
    call.trail.clear()
    began = time.perf_counter()
    run(layer(call, _answered))
    return (time.perf_counter() - began) * 1e6


async def _answered(call: Call) -> Reply:
    return Reply(200, (), Whole([b"{}"]), reading=reading(call.endpoint, 200, ()), request_id=None)


def _call(exchanges: int, words: int, model: str) -> Call:
    turns: list[dict[str, Any]] = []
    for at in range(exchanges):
        thought = {"type": "thinking", "thinking": "", "signature": "x" * 40}
        use = {"type": "tool_use", "id": f"toolu_{at}", "name": "look", "input": {"at": _SENTENCE}}
        told = {"type": "tool_result", "tool_use_id": f"toolu_{at}", "content": _SENTENCE * words * 2}
        turns += [
            {"role": "user", "content": _SENTENCE * words},
            {"role": "assistant", "content": [thought, use]},
            {"role": "user", "content": [told]},
            {"role": "assistant", "content": [{"type": "text", "text": _SENTENCE * words}]},
        ]
    body = msgspec.json.encode({"model": model, "max_tokens": 1_000, "messages": turns[:-1]})
    return a_call(body, face="gateway")
