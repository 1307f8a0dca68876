"""What the API refuses, in its own words."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from penstock.simulator import Running, running

Got = tuple[int, dict[str, str], bytes]
USER = {"role": "user", "content": "hi"}
TOOL_USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "t", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]}
TOOL = {"name": "t", "input_schema": {"type": "object"}}

RULES: list[tuple[dict[str, Any], int, str]] = [
    ({"model": None}, 400, "model: Field required"),
    ({"model": "claude-nonesuch"}, 404, "model: claude-nonesuch"),
    ({"max_tokens": None}, 400, "max_tokens: Field required"),
    ({"max_tokens": "10"}, 400, "max_tokens: Input should be a valid integer"),
    ({"max_tokens": 200_000}, 400, "max_tokens: 200000 > 128000, which is the maximum"),
    ({"messages": None}, 400, "messages: Field required"),
    ({"messages": []}, 400, "messages: at least one message is required"),
    ({"messages": [{"role": "user"}]}, 400, "messages.0.content: Field required"),
    ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages.0.role: "),
    (
        {"messages": [{"role": "user", "content": ""}, USER]},
        400,
        "messages.0: all messages must have non-empty content",
    ),
    ({"messages": [USER, {"role": "assistant", "content": "I"}]}, 400, "This model does not support assistant message"),
    ({"messages": [USER, TOOL_USE, USER]}, 400, "messages.1: `tool_use` ids were found without `tool_result` blocks"),
    (
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9"}]}]},
        400,
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_9",
    ),
    ({"system": 3}, 400, "system: Input should be a valid list"),
    ({"tools": [3]}, 400, "tools.0: Input does not match the expected shape."),
    ({"tools": [{"name": "t", "input_schema": {}}]}, 400, "tools.0.custom.input_schema.type: Field required"),
    ({"model": "claude-opus-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}}, 400, 'tool_choice: "any" is not'),
    ({"frobnicate": 1}, 400, "frobnicate: Extra inputs are not permitted"),
    ({"temperature": 3}, 400, "temperature: range: 0..1"),
    ({"model": "claude-opus-4-7", "temperature": 0.2}, 400, "`temperature` is deprecated for this model."),
    (
        {"model": "claude-opus-4-7", "thinking": {"type": "enabled", "budget_tokens": 1024}},
        400,
        '"thinking.type.enabled" is not supported for this model.',
    ),
    (
        {"model": "claude-haiku-4-5", "thinking": {"type": "adaptive"}},
        400,
        "adaptive thinking is not supported on this model",
    ),
    ({"model": "claude-opus-5-5", "thinking": {"type": "disabled"}}, 400, '"thinking.type.disabled" is not supported'),
    ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, 400, "`max_tokens` must be greater than"),
]


@pytest.mark.parametrize(("change", "status", "message"), RULES, ids=[rule[2][:40] for rule in RULES])
def test_a_rule_is_kept(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any], change: dict[str, Any], status: int, message: str
) -> None:
    body = {name: value for name, value in {**ask, **change}.items() if value is not None}
    got, headers, answer = send(sim, body=body)
    error = json.loads(answer)
    assert got == status and error["error"]["message"].startswith(message)
    assert error["error"]["type"] == ("not_found_error" if status == 404 else "invalid_request_error")
    assert error["request_id"] == headers["request-id"] and headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"model": "claude-opus-4-7", "temperature": 1.0},
        {"model": "claude-haiku-4-5", "messages": [USER, {"role": "assistant", "content": "I"}]},
        {"model": "claude-haiku-5-5", "tools": [TOOL], "tool_choice": {"type": "any"}},
        {
            "messages": [
                USER,
                TOOL_USE,
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1"}]},
            ]
        },
        {
            "messages": [USER, TOOL_USE, RESULT, {"role": "system", "content": "Note."}, USER],
            "model": "claude-opus-5-5",
        },
        {"max_tokens": 0},
    ],
)
def test_what_is_allowed_passes(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any], change: dict[str, Any]
) -> None:
    assert send(sim, body={**ask, **change})[0] == 200


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_sampling_parameters_go_with_the_old_version_only(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any], name: str
) -> None:
    asked = {**ask, name: 1}
    assert send(sim, body=asked)[0] == 200
    assert send(sim, body=asked, anthropic_version="2026-10-21")[0] == 400


def test_a_beta_header_lets_unknown_fields_pass(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    asked = {**ask, "frobnicate": 1}
    assert send(sim, body=asked)[0] == 400
    assert send(sim, "/v1/messages?beta=true", body=asked, anthropic_beta="anything-2027-01-01")[0] == 200


def test_a_known_beta_opens_its_own_fields_alone(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    asked, beta = {**ask, "context_management": {"edits": []}}, "context-management-2025-06-27"
    assert send(sim, body=asked)[0] == 400
    status, _, body = send(sim, "/v1/messages?beta=true", body=asked, anthropic_beta=beta)
    assert status == 200 and json.loads(body)["context_management"] == {"applied_edits": []}
    assert send(sim, body={**ask, "frobnicate": 1}, anthropic_beta=beta)[0] == 400


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({"x_api_key": ""}, 401, "x-api-key header is required"),
        ({"x_api_key": "wrong"}, 401, "invalid x-api-key"),
        ({"x_api_key": "", "authorization": "Bearer wrong"}, 401, "invalid x-api-key"),
        ({"anthropic_version": ""}, 400, "anthropic-version: header is required"),
        ({"anthropic_version": "2020-01-01"}, 400, 'anthropic-version: "2020-01-01" is not a valid version'),
    ],
)
def test_callers_must_say_who_they_are_and_what_they_speak(
    sim: Running, send: Callable[..., Got], ask: dict[str, Any], headers: dict[str, str], status: int, message: str
) -> None:
    got, answered, body = send(sim, body=ask, **headers)
    assert got == status and json.loads(body)["error"]["message"].startswith(message)
    assert ("anthropic-organization-id" in answered) == (status != 401)


def test_both_ways_to_send_a_key_are_good(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    assert sim.key.startswith("sk-ant-" + "api03-sim")
    assert send(sim, body=ask, x_api_key="", authorization=f"Bearer {sim.key}")[0] == 200
    assert send(sim, body=ask, x_api_key="wrong", authorization=f"Bearer {sim.key}")[0] == 200
    with running(key="my-own") as other:
        assert send(other, body=ask)[0] == 200 and other.key == "my-own"
        assert send(other, body=ask, x_api_key=sim.key)[0] == 401
    with running(accept_any=True) as anyone:
        assert send(anyone, body=ask, x_api_key="whatever")[0] == 200
        assert send(anyone, body=ask, x_api_key="")[0] == 401


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b'"x"', b"\xff", b""])
def test_a_body_that_is_no_object_is_refused(sim: Running, send: Callable[..., Got], body: bytes) -> None:
    assert send(sim, body=body)[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nonesuch"), ("GET", "/v1/messages"), ("PUT", "/v1/files"), ("GET", "/"), ("GET", "/v1/files/file_x")],
)
def test_what_is_not_there_is_an_error_of_the_api(
    sim: Running, send: Callable[..., Got], method: str, path: str
) -> None:
    status, _, body = send(sim, path, method=method)
    assert status == 404 and json.loads(body)["error"]["type"] == "not_found_error"


def test_a_prompt_beyond_the_window_is_too_long(sim: Running, send: Callable[..., Got], ask: dict[str, Any]) -> None:
    turns = [{"role": "user", "content": "word " * 200_100}]
    status, _, body = send(sim, body={**ask, "model": "claude-haiku-4-5", "messages": turns})
    assert status == 400 and b"prompt is too long: 200107 tokens > 200000 maximum" in body
