"""Clients of signed clouds go through the core by the SDK's middleware, above translation and signature."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import struct
from typing import Any

import anthropic
import httpx2
import pytest
from sdk_session import ASK, TOOL_ASK, plain

import penstock
from penstock.config.schema import AdmissionConfig, Config
from penstock.faces.client import wrapping
from penstock.simulator import running

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-6",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 8, "output_tokens": 5},
}
CLOUDS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "bedrock": (
        anthropic.AnthropicBedrock,
        {"aws_region": "us-east-1", "aws_access_key": "a", "aws_secret_key": "s"},
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/claude-sonnet-4-6/invoke",
    ),
    "vertex": (
        anthropic.AnthropicVertex,
        {"region": "us-east5", "project_id": "p", "access_token": "t"},
        "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/"
        "claude-sonnet-4-6:rawPredict",
    ),
    "foundry": (
        anthropic.AnthropicFoundry,
        {"api_key": "k", "resource": "r"},
        "https://r.services.ai.azure.com/anthropic/v1/messages",
    ),
    "aws": (
        anthropic.AnthropicAWS,
        {"aws_region": "us-east-1", "workspace_id": "w", "aws_access_key": "a", "aws_secret_key": "s"},
        "https://aws-external-anthropic.us-east-1.api.aws/v1/messages",
    ),
}


class Cloud:
    """A cloud that keeps what it was sent and answers with one response."""

    def __init__(self, status: int = 200, **answer: Any) -> None:
        self.status, self.answer = status, answer or {"json": MESSAGE}
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        return httpx2.Response(self.status, **self.answer)

    def client(self, name: str) -> Any:
        kind, options, _ = CLOUDS[name]
        return kind(**options, http_client=httpx2.Client(transport=httpx2.MockTransport(self)))


@pytest.mark.parametrize("name", CLOUDS)
def test_each_cloud_is_asked_as_before_and_recorded(config: Config, rows: Any, name: str) -> None:
    cloud = Cloud()
    client = cloud.client(name)
    bare = client.messages.create(**ASK)
    wrapped = penstock.wrap(client, config=config, feature="f")
    assert type(wrapped) is type(client)
    assert plain(wrapped.messages.create(**ASK)) == plain(bare)
    before, after = cloud.requests
    assert str(after.url) == str(before.url) == CLOUDS[name][2]
    assert after.read() == before.read()
    assert set(after.headers) - set(before.headers) <= {"x-stainless-raw-response"}
    (row,) = rows()
    assert (row["upstream"], row["endpoint"], row["feature"]) == (name, "messages", "f")
    assert (row["input_tokens"], row["output_tokens"], row["ending"]) == (8, 5, "complete")


def test_a_refusal_above_the_signature_sends_nothing(config: Config, rows: Any) -> None:
    cloud = Cloud()
    strict = Config(data=config.data, admission=AdmissionConfig(body_bytes_max=10))
    with pytest.raises(anthropic.APIStatusError) as raised:
        penstock.wrap(cloud.client("bedrock"), config=strict).messages.create(**ASK)
    assert raised.value.status_code == 413 and not cloud.requests
    assert [row["ending"] for row in rows()] == ["refused"]


def test_errors_of_a_cloud_are_the_sdks_own_and_not_retried(config: Config, rows: Any) -> None:
    cloud = Cloud(529, json={"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    once = cloud.client("foundry").with_options(max_retries=0)
    with pytest.raises(anthropic.OverloadedError):
        penstock.wrap(once, config=config).messages.create(**ASK)
    assert len(cloud.requests) == 1
    assert [(row["status"], row["error_type"]) for row in rows()] == [(529, "overloaded_error")]


def test_a_cloud_out_of_reach_is_the_sdks_connection_error(config: Config, rows: Any) -> None:
    def refuse(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    client = anthropic.AnthropicFoundry(
        api_key="k", resource="r", http_client=httpx2.Client(transport=httpx2.MockTransport(refuse))
    )
    with pytest.raises(anthropic.APIConnectionError) as raised:
        penstock.wrap(client, config=config).messages.create(**ASK)
    assert isinstance(raised.value.__cause__, httpx2.ConnectError)
    assert [row["error_code"] for row in rows()] == ["connect_failed"]


def test_streams_tools_and_raw_answers_work_in_both_colours(config: Config, rows: Any) -> None:
    with running(seed=3, accept_any=True, allow_fault_headers=True) as sim:
        options: dict[str, Any] = {"api_key": "k", "base_url": sim.url}
        client = penstock.wrap(anthropic.AnthropicFoundry(**options), config=config)
        with client.messages.stream(**TOOL_ASK) as stream:
            assert stream.get_final_message().stop_reason == "tool_use"
        assert [event.type for event in client.messages.create(**ASK, stream=True)][-1] == "message_stop"
        raw = client.messages.with_raw_response.create(**ASK)
        assert raw.parse().type == "message"
        with client.messages.with_streaming_response.create(**ASK) as answer:
            assert json.loads(answer.read())["type"] == "message"
        with pytest.raises(anthropic.APIStatusError):
            list(client.messages.create(**ASK, stream=True, extra_headers={"x-simulator-fault": "truncate:4"}))

        async def looped() -> None:
            other = penstock.wrap(anthropic.AsyncAnthropicFoundry(**options), config=config)
            async with other.messages.stream(**ASK) as stream:
                assert (await stream.get_final_message()).stop_reason == "end_turn"
            tagged = {"x-penstock-user": "u1"}
            assert (await other.messages.create(**ASK, extra_headers=tagged)).type == "message"

        asyncio.run(looped())
        assert not [name for served in sim.requests for name in served.headers if name.startswith("x-penstock")]
    endings = [(row["ending"], row["cost_basis"], row["user"]) for row in rows()]
    complete = ("complete", "exact", None)
    assert endings[:4] == [complete] * 4
    assert endings[4:] == [("truncated", "estimated", None), complete, ("complete", "exact", "u1")]


def _frame(event: dict[str, Any]) -> bytes:
    """One event as Amazon frames it: lengths, header fields, payload and two checksums."""
    payload = json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
    fields = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in fields.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    frame = prelude + struct.pack(">I", binascii.crc32(prelude)) + head + payload
    return frame + struct.pack(">I", binascii.crc32(frame))


def test_bedrocks_binary_stream_passes_and_its_cost_is_unknown_not_nought(config: Config, rows: Any) -> None:
    events = [
        {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    body = b"".join(_frame(event) for event in events)
    cloud = Cloud(content=body, headers={"content-type": "application/vnd.amazon.eventstream"})
    client = penstock.wrap(cloud.client("bedrock"), config=config)
    with client.messages.stream(**ASK) as stream:
        assert stream.get_final_text() == "Hi"
    assert [(row["ending"], row["cost_basis"], row["cost_nano"]) for row in rows()] == [("complete", "unknown", None)]


def test_wrapping_a_cloud_client_twice_records_once(config: Config, rows: Any) -> None:
    client = penstock.wrap(penstock.wrap(Cloud().client("vertex"), config=config), config=config, feature="second")
    client.messages.create(**ASK)
    assert [row["feature"] for row in rows()] == ["second"]


def test_an_sdk_without_middleware_is_named_with_the_version_to_install() -> None:
    kind = type("AnthropicBedrock", (), {"__module__": "anthropic.lib.bedrock._client"})
    kit: Any = type("Kit", (), {"sdk": type("Sdk", (), {"__version__": "0.93.0"})})
    house: Any = None
    with pytest.raises(penstock.ConfigError, match=r"0\.93\.0 does not have\. Install anthropic>=0\.108"):
        wrapping._with_seat(kind(), kit, house, penstock.Tags(), "bedrock")
