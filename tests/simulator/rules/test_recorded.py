"""What the real API refused is refused here in the same words, and what it answered passes.

Every recorded exchange whose request was kept goes through the simulator. Those that cannot be had here are named,
with the reason.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from penstock.simulator import Simulator
from penstock.simulator.api import Served
from penstock.simulator.catalogue import known_models
from penstock.simulator.delivery import Head, Piece
from penstock.simulator.problems import Problem
from penstock.simulator.rules import EVERY, VERSIONS, check_count, check_message

#: November 2026, before Sonnet 4.5 is retired.
NOW_S = 1_794_000_000.0
ENDPOINTS = ("POST /v1/messages", "POST /v1/messages/count_tokens")
_CUT = re.compile(r"\.\.\.\d+ characters left out\.\.\.")
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WHOLE = {
    "image/png": _PNG,
    "image/jpeg": "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q==",
    "image/gif": "R0lGODlhAQABAAAAACw=",
    "image/webp": "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==",
    "application/pdf": "JVBERi0xLjQKJSVFT0YK",
}

ALIVE = {
    name for model in known_models() if model.lifecycle(NOW_S) != "retired" for name in (model.id, *model.facts.aliases)
}

#: Refusals that depend on more than the request: part of the text, and why it is not reproduced from that.
ELSEWHERE = {
    "Your credit balance is too low": "the account's balance; `caps` of the simulator stand for it",
    "API key is invalid.": "a key that another product checked: no request id, and the text is the API's nowhere else",
    "Unable to download the file": "the API fetched the address; the simulator fetches nothing",
    "The file format is invalid or unsupported": "the API fetched the address; the simulator fetches nothing",
    "Input tag 'file' found": "the file source was a beta then, and is open to all since 2026-08-19",
    "container: Input should be a valid string": "the object form was a beta then, and is open to all now",
    "has no available results": "a batch of that account that was under way",
    "Not found": "a batch of another account, asked for when batches were a beta",
}
#: Refused here though answered then: part of the path, and why.
ANSWERED_THEN = {
    "tool_result_stream.yaml-0-9570637b": "2024: a result whose call has another id, refused since (recorded 2026-02)",
    "tool_result_stream_helper.yaml-0-d09c702e": "2024: as before",
    "preserve_system_role_after_server_tool_result.yaml-1": "the recorder replaced an id by a placeholder",
    "with_all_params.yaml-0": "Sonnet 4, retired: temperature and top_p together, which 4.5 and later refuse",
    "messages_post_77bd4579.json-0": "Claude 3.5, retired: -1 for top_p and top_k",
}


def exchanges(recordings: Path, may: Any) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in sorted(recordings.rglob("*.json")):
        if "_handwritten" not in path.parts:
            exchange = json.loads(path.read_text())
            if may(exchange["response"]["status"]):
                found.append((str(path.relative_to(recordings)), exchange))
    return found


def mended(value: Any, kind: str = "") -> Any:
    """A body with its shortened files made whole: the recorder cut base64 in the middle."""
    if isinstance(value, dict):
        return {name: mended(one, str(value.get("media_type"))) for name, one in value.items()}
    if isinstance(value, list):
        return [mended(one) for one in value]
    return WHOLE.get(kind, value) if isinstance(value, str) and _CUT.search(value) else value


def betas_of(exchange: dict[str, Any]) -> str:
    """The betas sent. Recorders that drop headers show it by the missing version: then any."""
    headers = exchange["request"].get("headers") or {}
    return str(headers.get("anthropic-beta", "")) if "anthropic-version" in headers else EVERY


def served_by(simulator: Simulator, exchange: dict[str, Any], wanted: str) -> tuple[int, Any]:
    asked = exchange["request"]
    headers = {"anthropic-version": VERSIONS[0], "anthropic-beta": betas_of(exchange), "x-api-key": simulator.key}
    if wanted == "x-api-key header is required":
        del headers["x-api-key"]
    elif wanted == "invalid x-api-key":
        headers["x-api-key"] = "sk-ant-" + "api03-wrong"
    sent = mended(asked.get("body"))
    if exchange["response"]["status"] == 400 and sent.get("model") not in ALIVE:
        sent = {**sent, "model": "claude-sonnet-4-5"}  # it was alive then
    body = b"" if sent is None else json.dumps(sent).encode()
    _, steps = simulator.exchange(Served(asked["method"], asked["path"], headers, body))
    status, answer = 0, b""
    for step in steps:
        if isinstance(step, Head):
            status = step.status
        elif isinstance(step, Piece):
            answer += step.data
    return status, json.loads(answer)


def test_recorded_refusals_are_given_in_the_same_words(recordings: Path) -> None:
    simulator = Simulator(seed=3, clock=lambda: NOW_S)
    compared, left_out = 0, []
    for name, exchange in exchanges(recordings, lambda status: status in (400, 401, 403, 404, 413)):
        body = exchange["response"]["body"]
        error = (json.loads(body) if isinstance(body, str) else body)["error"]
        reason = next((why for words, why in ELSEWHERE.items() if words in error["message"]), None)
        if reason is not None:
            left_out.append((name, reason))
            continue
        status, answer = served_by(simulator, exchange, error["message"])
        got = (status, answer["error"]["type"], answer["error"]["message"]) if status >= 400 else (status, "", "")
        assert got == (exchange["response"]["status"], error["type"], error["message"]), name
        compared += 1
    assert compared > 50 and len(left_out) < 20, left_out


def test_recorded_requests_that_were_answered_pass(recordings: Path) -> None:
    """Retired models are taken for Sonnet 4.5, which thinks, forces tools and is prefilled as they did."""
    passed, faults = 0, []
    for name, exchange in exchanges(recordings, lambda status: status == 200):
        body = exchange["request"].get("body")
        if exchange["endpoint"] not in ENDPOINTS or not isinstance(body, dict):
            continue
        if any(part in name for part in ANSWERED_THEN):
            continue
        body = mended(body)
        if body.get("model") not in ALIVE:
            body = {**body, "model": "claude-sonnet-4-5"}
        check = check_message if exchange["endpoint"] == ENDPOINTS[0] else check_count
        try:
            check(body, VERSIONS[0], betas_of(exchange), NOW_S)
            passed += 1
        except Problem as problem:
            faults.append((name, problem.message))
    assert not faults
    assert passed > 1_900


@pytest.mark.parametrize("part", ANSWERED_THEN)
def test_each_exception_is_one(recordings: Path, part: str) -> None:
    found = [one for name, one in exchanges(recordings, lambda status: status == 200) if part in name]
    assert found
    for exchange in found:
        body = {**mended(exchange["request"]["body"])}
        if "opus-4-8" not in body["model"]:
            body["model"] = "claude-sonnet-4-5"
        with pytest.raises(Problem):
            check_message(body, VERSIONS[0], betas_of(exchange), NOW_S)
