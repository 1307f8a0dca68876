"""Intents and records for the tests of the stores, and a clock that stands still until it is told to go."""

from __future__ import annotations

from typing import Any

from penstock.record import Intent, Record

BEGAN_US = 1_795_132_800_000_000


class StillClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        return self.now_s

    def wall_us(self) -> int:
        return BEGAN_US + round(self.now_s * 1_000_000)

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def call_id(number: int | str) -> str:
    return f"call_{number:0>26}"


def intent(number: int | str, **fields: Any) -> Intent:
    given: dict[str, Any] = {
        "call_id": call_id(number),
        "began_at_us": BEGAN_US,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "upstream": "anthropic",
        "model_asked": "claude-sonnet-4-6",
        "feature": "summarise",
    }
    return Intent(**{**given, **fields})


def record(number: int | str, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "call_id": call_id(number),
        "began_at_us": BEGAN_US,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "upstream": "anthropic",
        "model_asked": "claude-sonnet-4-6",
        "model_served": "claude-sonnet-4-6",
        "feature": "summarise",
        "status": 200,
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_nano": 105_000,
        "cost_basis": "exact",
        "attempts": 1,
        "total_us": 1_500,
        "trail": b'[{"type":"Settled","nano":105000}]',
    }
    return Record(**{**given, **fields})
