"""Bodies to begin with, and what the rules say of one."""

from __future__ import annotations

from typing import Any

from penstock.simulator.problems import Problem
from penstock.simulator.rules import CURRENT, VERSIONS, check_count, check_message

OLD, NEW = VERSIONS[0], CURRENT
SONNET_4_5, SONNET_4_6, OPUS_4_7, OPUS_4_8 = (
    "claude-sonnet-4-5", "claude-sonnet-4-6", "claude-opus-4-7", "claude-opus-4-8",
)  # fmt: skip
OPUS_5, OPUS_5_5, SONNET_5_5, HAIKU_4_5, HAIKU_5_5, FABLE_5 = (
    "claude-opus-5", "claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-4-5", "claude-haiku-5-5", "claude-fable-5",
)  # fmt: skip
USER = {"role": "user", "content": "hi"}
ASK: dict[str, Any] = {"model": SONNET_4_6, "max_tokens": 300, "messages": [USER]}
TOOL = {"name": "t", "input_schema": {"type": "object"}}
MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def text(words: str = "hi", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def said(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def used(id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "t", "input": {}}


def result(id: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id, **more}


def verdict(
    change: dict[str, Any], version: str = OLD, betas: str = "", now_s: float | None = None, **more: Any
) -> str:
    """The fault found in the usual body with a change, as text; "" for none. A field given as None is left out."""
    body = {name: value for name, value in {**ASK, **change}.items() if value is not None}
    try:
        check_message(body, version, betas, now_s, **more)
    except Problem as problem:
        assert (problem.status, problem.kind) in ((400, "invalid_request_error"), (404, "not_found_error"))
        return problem.message
    return ""


def count_verdict(change: dict[str, Any], version: str = OLD, betas: str = "") -> str:
    body = {name: value for name, value in {**ASK, "max_tokens": None, **change}.items() if value is not None}
    try:
        check_count(body, version, betas)
    except Problem as problem:
        return problem.message
    return ""
