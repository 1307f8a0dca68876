"""Calls through the planner to a simulator, on a clock that the test turns."""

from __future__ import annotations

import json
from typing import Any

from penstock.caching.marking import marked
from penstock.caching.plan import Ratios, ratios_of
from penstock.caching.planner import Planned, Planner
from penstock.simulator import Simulator
from penstock.simulator.api import Served
from penstock.simulator.delivery import Head, Piece
from penstock.wire.messages import Usage, read_request
from penstock.wire.models import shipped

BEGAN_S = 1_795_000_000.0
MODEL = "claude-sonnet-4-6"


class Asked:
    """A call under way. `begin` lets its answer begin, `finish` ends it."""

    def __init__(self, shop: Shop, body: bytes, planned: Planned | None) -> None:
        self._shop, self.planned, self._started_s = shop, planned, shop.now_s
        self.body = body if planned is None or not planned.marks else marked(body, planned.marks)
        headers = {"x-api-key": shop.simulator.key, "anthropic-version": "2023-06-01"}
        self._steps = shop.simulator.exchange(Served("POST", "/v1/messages", headers, self.body))[1]
        self._has_begun = False

    def begin(self) -> None:
        for step in self._steps:
            if isinstance(step, Head):
                assert step.status == 200, self.body
                break
        self._has_begun = True
        if self.planned is not None:
            self._shop.planner.begun(self.planned, self._started_s, self._shop.now_s)

    def finish(self) -> Usage:
        if not self._has_begun:
            self.begin()
        answer = json.loads(b"".join(step.data for step in self._steps if isinstance(step, Piece)))
        said = answer["usage"]
        usage = Usage(
            said["input_tokens"],
            said["cache_read_input_tokens"],
            said["cache_creation"]["ephemeral_5m_input_tokens"],
            said["cache_creation"]["ephemeral_1h_input_tokens"],
        )
        if self.planned is not None:
            self._shop.planner.ended(self.planned, usage, self._shop.now_s)
        self._shop.spent += cost(usage, self._shop.ratios)
        return usage


class Shop:
    """`spent` is what all input cost, in tokens at their plain price."""

    def __init__(self, *, ttl: str = "auto", is_on: bool = True, model: str = MODEL) -> None:
        self.now_s = BEGAN_S
        self.simulator = Simulator(clock=lambda: self.now_s)
        self.planner, self._ttl, self._is_on = Planner(), ttl, is_on
        self.spent = 0.0
        self.ratios = ratios(model)

    def start(self, body: dict[str, Any], feature: str = "f") -> Asked:
        raw = json.dumps(body).encode()
        request = read_request(raw)
        planned = self.planner.plan(
            request,
            raw,
            scope="anthropic",
            feature=feature,
            now_s=self.now_s,
            at_us=int(self.now_s * 1e6),
            ttl=self._ttl,
            is_on=self._is_on,
        )
        return Asked(self, raw, planned)

    def ask(self, body: dict[str, Any], feature: str = "f", took_s: float = 1.0) -> Usage:
        asked = self.start(body, feature)
        self.now_s += took_s
        return asked.finish()


def ratios(model: str = MODEL) -> Ratios:
    known = shipped().find(model)
    assert known is not None
    found = ratios_of(known, int(BEGAN_S * 1e6))
    assert found is not None
    return found


def cost(usage: Usage, own: Ratios) -> float:
    written = own.write_5m * usage.cache_write_5m_tokens + own.write_1h * usage.cache_write_1h_tokens
    return usage.input_tokens + own.read * usage.cache_read_tokens + written
