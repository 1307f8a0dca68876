"""`GET /v1/models`: what is shown, page by page, and a model's life by the simulator's clock."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.simulator import Simulator
from penstock.simulator.api import Served
from penstock.simulator.delivery import Head, Piece
from simulator.rules.cases import ASK, NEW

SONNET = "claude-sonnet-4-5-20250929"


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def got(path: str, day: str = "2026-11-20", body: Any = None, **headers: str) -> tuple[int, Any]:
    simulator = Simulator(clock=lambda: at(day))
    key = {"admin": simulator.admin_key, "": simulator.key}[headers.pop("who", "")]
    sent = b"" if body is None else json.dumps(body).encode()
    given = {"authorization": f"Bearer {key}", "anthropic-version": NEW, **headers}
    _, steps = simulator.exchange(Served("GET" if body is None else "POST", path, given, sent))
    status, answer = 0, b""
    for step in steps:
        if isinstance(step, Head):
            status = step.status
        elif isinstance(step, Piece):
            answer += step.data
    return status, json.loads(answer)


def ids(path: str, day: str = "2026-11-20") -> list[str]:
    status, page = got(path, day)
    assert status == 200
    return [one["id"] for one in page["data"]]


def test_models_in_use_are_listed_newest_first() -> None:
    _, page = got("/v1/models?limit=1000")
    shown = page["data"]
    assert page["has_more"] is False and page["first_id"] == shown[0]["id"] and page["last_id"] == shown[-1]["id"]
    assert [one["created_at"] for one in shown] == sorted((one["created_at"] for one in shown), reverse=True)
    assert {one["lifecycle"] for one in shown} == {"active", "deprecated"}
    assert len(ids("/v1/models")) == len(shown) < 20


def test_the_list_is_read_page_by_page_in_both_directions() -> None:
    whole = ids("/v1/models?limit=1000")
    forward, last = [], ""
    while True:
        _, page = got("/v1/models?limit=4" + (f"&after_id={last}" if last else ""))
        forward += [one["id"] for one in page["data"]]
        last = page["last_id"]
        if not page["has_more"]:
            break
    assert forward == whole
    _, page = got(f"/v1/models?limit=3&before_id={whole[5]}")
    assert [one["id"] for one in page["data"]] == whole[2:5] and page["has_more"] is True
    assert ids(f"/v1/models?before_id={whole[2]}") == whole[:2]


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("limit=0", "limit: Input should be greater than or equal to 1"),
        ("limit=1001", "limit: Input should be less than or equal to 1000"),
        ("limit=x", "limit: Input should be a valid integer"),
        ("lifecycle=dead", "lifecycle: Input should be 'active', 'deprecated' or 'retired'"),
    ],
)
def test_a_bad_page_is_refused(query: str, fault: str) -> None:
    status, answer = got(f"/v1/models?{query}")
    assert status == 400 and answer["error"]["message"] == fault


def test_life_cycles_can_be_asked_for() -> None:
    assert ids("/v1/models?lifecycle=deprecated") == [SONNET]
    retired = ids("/v1/models?lifecycle[]=retired&limit=100")
    assert "claude-opus-4-1-20250805" in retired and SONNET not in retired
    assert set(ids("/v1/models?lifecycle=deprecated,retired&limit=100")) == {SONNET, *retired}


def test_a_model_is_found_by_alias_and_shows_what_it_can() -> None:
    status, shown = got("/v1/models/claude-haiku-4-5")
    assert status == 200 and shown["id"] == "claude-haiku-4-5-20251001" and shown["display_name"] == "Claude Haiku 4.5"
    assert (shown["max_input_tokens"], shown["max_tokens"], shown["line"]) == (200_000, 64_000, "haiku")
    can = shown["capabilities"]
    assert can["effort"]["supported"] is False and can["code_execution"]["supported"] is False
    assert can["context_management"]["compact_20260112"]["supported"] is False
    assert {kind for kind, may in can["thinking"]["types"].items() if may["supported"]} == {"enabled", "disabled"}
    assert got("/v1/models/claude-nonesuch")[0] == 404


@pytest.mark.parametrize("name", ids("/v1/models?limit=1000"))
def test_what_a_model_shows_is_how_its_rules_are(name: str) -> None:
    can = got(f"/v1/models/{name}")[1]["capabilities"]
    for kind, may in can["thinking"]["types"].items():
        more = {"budget_tokens": 1024} if kind == "enabled" else {}
        body = {**ASK, "model": name, "max_tokens": 2000, "thinking": {"type": kind, **more}}
        assert (got("/v1/messages", body=body)[0] == 200) is may["supported"]
    for level in ("low", "xhigh", "max"):
        thinking = {"thinking": {"type": "adaptive"}} if can["thinking"]["types"]["adaptive"]["supported"] else {}
        body = {**ASK, "model": name, **thinking, "output_config": {"effort": level}}
        assert (got("/v1/messages", body=body)[0] == 200) is can["effort"][level]["supported"]


def test_sonnet_4_5_is_retired_on_its_day() -> None:
    body = {**ASK, "model": "claude-sonnet-4-5"}
    before, day = "2026-11-29T23:59:59", "2026-11-30"
    assert got("/v1/messages", before, body)[0] == 200
    status, answer = got("/v1/messages", day, body)
    assert status == 404 and answer["error"]["type"] == "not_found_error"
    assert answer["error"]["message"] == "model: claude-sonnet-4-5"
    count = {name: value for name, value in body.items() if name != "max_tokens"}
    assert got("/v1/messages/count_tokens", before, count)[0] == 200
    assert got("/v1/messages/count_tokens", day, count)[0] == 404
    shown = [got("/v1/models/claude-sonnet-4-5", when)[1] for when in (before, day)]
    assert [one["lifecycle"] for one in shown] == ["deprecated", "retired"]
    assert {one["retires_at"] for one in shown} == {"2026-11-30T00:00:00Z"} and shown[0]["deprecated_at"]
    assert SONNET in ids("/v1/models", before) and SONNET not in ids("/v1/models", day)


def test_admin_keys_are_for_the_admin_api_alone() -> None:
    for who, path, body in (
        ("admin", "/v1/messages", ASK),
        ("admin", "/v1/messages/count_tokens", ASK),
        ("admin", "/v1/models", None),
        ("", "/v1/organizations/usage_report/messages", None),
        ("", "/v1/organizations/cost_report", None),
    ):
        status, answer = got(path, body=body, who=who)
        assert (status, answer["error"]["type"]) == (401, "authentication_error"), path
        assert answer["error"]["message"] == "invalid x-api-key"
