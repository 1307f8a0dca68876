"""Wrapped, the official SDK gives the results it gives bare; on every line of versions it comes in."""

from __future__ import annotations

from typing import Any

import anthropic
import sdk_session as session

import penstock
from penstock.config.schema import Config
from penstock.simulator import running


def _clients(url: str, key: str) -> tuple[Any, Any]:
    options: dict[str, Any] = {"base_url": url, "api_key": key, "max_retries": 0, "timeout": 20}
    return anthropic.Anthropic(**options), anthropic.AsyncAnthropic(**options)


def test_every_form_of_call_gives_what_the_bare_sdk_gives(config: Config, rows: Any) -> None:
    seen: dict[str, list[session.Result]] = {}
    for side in ("bare", "wrapped"):
        with running(seed=7, allow_fault_headers=True, key="sk-ant-" + "sim", batch_s=0.0) as simulator:
            client, loop_client = _clients(simulator.url, simulator.key)
            if side == "wrapped":
                client, loop_client = (penstock.wrap(one, config=config) for one in (client, loop_client))
            seen[side] = session.both(lambda made=(client, loop_client): made)  # type: ignore[misc]
            served = len(simulator.requests)
    for bare, wrapped in zip(seen["bare"], seen["wrapped"], strict=True):
        assert wrapped == bare, bare[0]
    assert len(seen["bare"]) > 30
    assert len(rows()) == served, "one row per call"
