"""No request makes the simulator itself fall over."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator import Simulator

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5000) | st.text(max_size=6) | st.just("text"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "name"]), inner),
    max_leaves=6,
)
SCHEMA_WORDS = [
    "type", "properties", "required", "enum", "anyOf", "allOf", "$ref", "items", "minItems", "minimum", "maximum",
    "maxLength", "minLength", "format", "const", "oneOf",
]  # fmt: skip
SCHEMAS = st.recursive(
    st.sampled_from(["object", "string", "integer", "array", "#/x", 1, None, True]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(SCHEMA_WORDS), inner, max_size=4),
    max_leaves=8,
)
TURNS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "x"]), "content": VALUES}), max_size=3
)
FIELDS = ["system", "tools", "tool_choice", "thinking", "stop_sequences", "stream", "metadata", "output_config",
          "cache_control", "thread", "max_tokens", "messages", "output_format", "speed"]  # fmt: skip


def answered(path: str, body: bytes) -> int:
    """The status a request gets from the application itself, without a server around it."""
    said: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        said.append(message)

    headers = [(b"x-api-key", b"any"), (b"anthropic-version", b"2023-06-01"), (b"anthropic-beta", b"any")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    asyncio.run(Simulator(accept_any=True)(scope, receive, send))
    assert said[-1]["more_body"] is False
    status: int = said[0]["status"]
    return status


@settings(deadline=None, max_examples=150, database=None)
@given(
    st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"]),
    TURNS,
    st.dictionaries(st.sampled_from(FIELDS), VALUES),
)
def test_any_body_is_answered_or_refused(path: str, turns: Any, fields: dict[str, Any]) -> None:
    body = {"model": "claude-sonnet-4-6", "max_tokens": 50, "messages": turns, **fields}
    assert answered(path, json.dumps(body).encode()) in (200, 400, 404)


@settings(deadline=None, max_examples=150, database=None)
@given(st.dictionaries(st.sampled_from(SCHEMA_WORDS), SCHEMAS, max_size=5))
def test_any_tool_schema_is_filled_or_refused(schema: dict[str, Any]) -> None:
    tool = {"name": "t", "input_schema": {**schema, "type": "object"}}
    body = {"model": "claude-sonnet-4-6", "max_tokens": 50, "tools": [tool], "tool_choice": {"type": "any"}}
    body["messages"] = [{"role": "user", "content": "hi"}]
    assert answered("/v1/messages", json.dumps(body).encode()) in (200, 400)
