"""The gateway as its callers meet it: endpoints, headers, tags, errors, over real HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from script import HELLO

from .conftest import Pair


def post(pair: Pair, body: Any = None, path: str = "/v1/messages", **headers: str) -> httpx2.Response:
    sent = {"x-api-key": pair.gateway.key, "anthropic-version": "2023-06-01", "content-type": "application/json"}
    content = body if isinstance(body, bytes) else json.dumps(body or HELLO).encode()
    return httpx2.post(pair.gateway.url + path, content=content, headers={**sent, **_dashed(headers)}, timeout=20)


def get(pair: Pair, path: str, method: str = "GET", **headers: str) -> httpx2.Response:
    sent = {"x-api-key": pair.gateway.key, "anthropic-version": "2023-06-01"}
    return httpx2.request(method, pair.gateway.url + path, headers={**sent, **_dashed(headers)}, timeout=20)


def _dashed(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def test_an_answer_says_which_call_it_was_and_what_it_cost(pair: Pair) -> None:
    answer = post(pair)
    assert answer.status_code == 200
    usage = answer.json()["usage"]
    cost_nano = usage["input_tokens"] * 1000 + usage["output_tokens"] * 5000
    assert float(answer.headers["x-penstock-cost-usd"]) == pytest.approx(cost_nano / 1e9)
    record = pair.gateway.record(answer.headers["x-penstock-call-id"])
    assert record.cost_nano == cost_nano
    assert record.upstream_request_id == answer.headers["request-id"]


def test_a_stream_has_its_cost_under_the_call_id_and_nothing_added(pair: Pair) -> None:
    answer = post(pair, {**HELLO, "stream": True})
    assert "x-penstock-cost-usd" not in answer.headers
    assert answer.text.endswith("\n\n")
    assert answer.text.rstrip().splitlines()[-1].startswith('data: {"type":"message_stop"')
    call_id = answer.headers["x-penstock-call-id"]
    told = get(pair, f"/penstock/api/calls/{call_id}").json()
    assert told["cost_usd"] != "0.00"
    assert told["is_stream"] is True
    assert told["first_token_us"] > 0


def test_tags_come_by_header_and_stay_here(pair: Pair) -> None:
    answer = post(
        pair, x_penstock_feature="chat", x_penstock_user="u1", x_penstock_session="s9", x_penstock_segment="a"
    )
    record = pair.gateway.record(answer.headers["x-penstock-call-id"])
    assert (record.feature, record.user, record.session, record.segment) == ("chat", "u1", "s9", "a")
    last = pair.simulator.requests[-1]
    assert not any("penstock" in name for name in last.headers)


def test_the_upstream_sees_its_own_key_and_never_the_callers(pair: Pair) -> None:
    post(pair)
    post(pair, authorization=f"Bearer {pair.gateway.key}")
    for request in pair.simulator.requests[-2:]:
        assert pair.gateway.key not in repr(request)
        assert pair.simulator.key in repr(request.headers)


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/models", "GET"),
        ("/v1/models/claude-haiku-4-5", "GET"),
        ("/v1/messages/batches", "GET"),
        ("/v1/files", "GET"),
    ],
)
def test_other_paths_pass_through_and_are_recorded(pair: Pair, path: str, method: str) -> None:
    answer = get(pair, path, method)
    assert answer.status_code == 200, answer.text
    assert pair.gateway.record(answer.headers["x-penstock-call-id"]).path == path


def test_a_path_only_the_upstream_knows_passes_too(pair: Pair) -> None:
    answer = get(pair, "/v1/from-tomorrow?x=1")
    assert answer.status_code == 404
    assert answer.json()["error"]["type"] == "not_found_error"
    assert pair.simulator.requests[-1].path.startswith("/v1/from-tomorrow")


def test_the_beta_query_changes_nothing(pair: Pair) -> None:
    answer = post(pair, path="/v1/messages?beta=true")
    assert answer.status_code == 200
    assert "x-penstock-cost-usd" in answer.headers


@pytest.mark.parametrize("path", ["/", "/api/hello"])
def test_probes_of_clients_are_answered(pair: Pair, path: str) -> None:
    assert httpx2.head(pair.gateway.url + path).status_code == 200


def test_health_and_readiness(pair: Pair) -> None:
    assert httpx2.get(pair.gateway.url + "/healthz").json() == {"status": "ok"}
    assert httpx2.get(pair.gateway.url + "/readyz").json() == {"status": "ready"}


def test_what_is_nowhere_is_404_in_the_apis_shape(pair: Pair) -> None:
    answer = httpx2.get(pair.gateway.url + "/favicon.ico")
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")


@pytest.mark.parametrize("key", ["", "pk_wrong", "sk-ant-wrong"])
def test_without_a_key_of_ours_nothing_goes_upstream(pair: Pair, key: str) -> None:
    before = len(pair.simulator.requests)
    answer = post(pair, x_api_key=key)
    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "authentication_error"
    assert answer.headers["x-should-retry"] == "false"
    assert len(pair.simulator.requests) == before
    assert pair.gateway.record(answer.headers["x-penstock-call-id"]).ending == "refused"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_call_is_400_before_anything_is_spent(pair: Pair, body: bytes) -> None:
    answer = httpx2.post(pair.gateway.url + "/v1/messages", content=body, headers={"x-api-key": pair.gateway.key})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    "fault", ["overloaded", "rate_limited", "error_500", "html_502", "unavailable_503", "spend_cap"]
)
def test_errors_of_the_api_pass_unchanged(pair: Pair, fault: str) -> None:
    through = post(pair, x_simulator_fault=fault)
    bare = httpx2.post(
        pair.simulator.url + "/v1/messages",
        content=json.dumps(HELLO),
        headers={"x-api-key": pair.simulator.key, "anthropic-version": "2023-06-01", "x-simulator-fault": fault},
    )
    assert through.status_code == bare.status_code >= 400
    assert _stable(through.text) == _stable(bare.text)
    for name in ("retry-after", "content-type"):
        assert through.headers.get(name) == bare.headers.get(name)
    told = "false" if fault == "spend_cap" else bare.headers.get("x-should-retry")
    assert through.headers.get("x-should-retry") == told, "an SDK would ask again until the month ends"


def _stable(text: str) -> str:
    try:
        body = json.loads(text)
    except ValueError:
        return text
    body.pop("request_id", None)
    return json.dumps(body)


@pytest.mark.parametrize(
    ("fault", "ending"),
    [("cut:3", "truncated"), ("truncate:3", "truncated"), ("truncate_half:3", "truncated"), ("reset_mid:3", "failed")],
)
def test_a_stream_the_upstream_breaks_ends_with_an_error_event(pair: Pair, fault: str, ending: str) -> None:
    answer = post(pair, {**HELLO, "stream": True}, x_simulator_fault=fault)
    last = answer.text.rstrip().split("\n\n")[-1]
    assert last.startswith("event: error\n")
    error = json.loads(last.split("data: ", 1)[1])
    assert error["error"]["type"] == "api_error"
    record = pair.gateway.record(answer.headers["x-penstock-call-id"])
    assert record.ending in (ending, "truncated", "failed")
    assert record.cost_basis == "estimated"


def test_an_upstream_that_resets_is_502_and_recorded(pair: Pair) -> None:
    answer = post(pair, x_simulator_fault="reset")
    assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")
    record = pair.gateway.record(answer.headers["x-penstock-call-id"])
    assert (record.ending, record.cost_basis) == ("failed", "unknown")


def test_a_key_sees_its_own_calls_only(pair: Pair) -> None:
    from gateways import command

    made = json.loads(command("keys", "create", "other", "--json", "--data", str(pair.gateway.data)).stdout)
    call_id = post(pair).headers["x-penstock-call-id"]
    path = f"/penstock/api/calls/{call_id}"
    assert get(pair, path).status_code == 200
    assert get(pair, path, x_api_key=made["key"]).status_code == 404
    assert get(pair, "/penstock/api/report", x_api_key=made["key"]).status_code == 403
    assert get(pair, path, x_api_key="pk_none").status_code == 401


def test_an_admin_key_reads_the_report(pair: Pair) -> None:
    from gateways import command

    made = json.loads(
        command("keys", "create", "ops", "--scopes", "admin", "--json", "--data", str(pair.gateway.data)).stdout
    )
    post(pair, x_penstock_feature="reported")
    told = get(pair, "/penstock/api/report?by=feature", x_api_key=made["key"]).json()
    assert "reported" in [group["feature"] for group in told["groups"]]
    assert get(pair, "/penstock/api/report?by=nonsense", x_api_key=made["key"]).status_code == 400


def test_the_api_describes_itself(pair: Pair) -> None:
    told = httpx2.get(pair.gateway.url + "/penstock/api/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert set(told["paths"]) == {
        "/penstock/api/calls/{call_id}",
        "/penstock/api/report",
        "/penstock/api/upstreams",
    }


@pytest.mark.parametrize("fault", ["cut", "reset_mid"])
def test_a_body_that_breaks_and_cannot_say_so_breaks_for_the_caller_too(pair: Pair, fault: str) -> None:
    """A file or a list has no error event; what must not happen is that half of it passes for the whole."""
    with pytest.raises(httpx2.TransportError):
        get(pair, "/v1/models", x_simulator_fault=fault, x_penstock_user=fault)
    assert pair.gateway.record_of(user=fault).ending in ("truncated", "failed")
