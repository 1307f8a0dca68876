"""Batches: states, late validation, unordered results, expiry, cancellation, retention."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator import ApiKey, Limits, Simulator, running
from penstock.simulator.api import Served

Got = tuple[int, dict[str, str], bytes]
BEGAN = 1_795_132_800.0
DAY_S = 86_400.0
OTHER = "sk-ant-" + "api03-other"
PARAMS = {"model": "claude-haiku-5-5", "max_tokens": 20, "messages": [{"role": "user", "content": "Say one."}]}


class Desk:
    """A simulator without sockets, and its clock."""

    def __init__(self, takes_s: float, **options: Any) -> None:
        self.now_s = BEGAN
        self.simulator = Simulator(batch_s=takes_s, clock=lambda: self.now_s, **options)

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        headers = {"x-api-key": key or self.simulator.key, "anthropic-version": "2023-06-01"}
        data = b"" if body is None else json.dumps(body).encode()
        answer, steps = self.simulator.exchange(Served(method, "/v1/messages/batches" + path, headers, data))
        for _ in steps:
            pass
        whole = b"".join(answer.parts)
        if path.endswith("/results") and answer.status == 200:
            return answer.status, [json.loads(line) for line in whole.splitlines()]
        return answer.status, json.loads(whole)

    def create(self, count: int, **changes: dict[str, Any]) -> str:
        requests = [{"custom_id": f"i{n}", "params": changes.get(f"i{n}", PARAMS)} for n in range(count)]
        status, batch = self.ask("POST", "", {"requests": requests})
        assert status == 200, batch
        return str(batch["id"])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.sampled_from([0.0, 10.0, DAY_S / 2, 2 * DAY_S]),
    st.one_of(st.none(), st.floats(0, 1.5)),
    st.lists(st.floats(0, 1.2), max_size=5),
)
def test_counts_and_states_are_those_of_the_text(
    count: int, takes_s: float, cancelled: float | None, looks: list[float]
) -> None:
    """By §9: in_progress, maybe canceling, ended; all in processing until the end; the sum is constant."""
    desk = Desk(takes_s)
    id = desk.create(count)
    moments = sorted(
        [(look * takes_s, "look") for look in looks] + ([] if cancelled is None else [(cancelled * takes_s, "cancel")])
    )
    was_cancelled_at: float | None = None
    for at_s, what in moments:
        desk.now_s = BEGAN + at_s
        is_over = at_s >= min(takes_s, DAY_S) or (
            was_cancelled_at is not None and at_s >= was_cancelled_at + takes_s / 10
        )
        if what == "cancel":
            status, _ = desk.ask("POST", f"/{id}/cancel")
            assert status == (400 if is_over else 200)
            was_cancelled_at = at_s if status == 200 else was_cancelled_at
        batch = desk.ask("GET", f"/{id}")[1]
        counts = batch["request_counts"]
        assert sum(counts.values()) == count
        if not is_over:
            assert counts["processing"] == count and batch["results_url"] is None and batch["ended_at"] is None
            assert batch["processing_status"] == ("in_progress" if was_cancelled_at is None else "canceling")
    desk.now_s = BEGAN + 3 * DAY_S
    ended, results = desk.ask("GET", f"/{id}")[1], desk.ask("GET", f"/{id}/results")[1]
    assert ended["processing_status"] == "ended" and ended["request_counts"]["processing"] == 0
    kinds = Counter(one["result"]["type"] for one in results)
    assert kinds == {kind: n for kind, n in ended["request_counts"].items() if n}
    done = [(number + 1) * takes_s / count for number in range(count)]
    horizon = DAY_S if was_cancelled_at is None else min(DAY_S, was_cancelled_at)
    assert kinds["succeeded"] == sum(one <= horizon for one in done)
    assert kinds["expired"] == (0 if was_cancelled_at is not None else sum(one > DAY_S for one in done))
    assert {one["custom_id"] for one in results} == {f"i{n}" for n in range(count)}


@pytest.mark.parametrize(
    ("params", "part"),
    [
        ({**PARAMS, "stream": True}, "stream: Not supported"),
        ({**PARAMS, "speed": "fast"}, "speed: Not supported"),
        ({**PARAMS, "max_tokens": 0}, "max_tokens: 0"),
        ({**PARAMS, "fallbacks": [{"model": "claude-opus-4-8"}]}, "fallbacks: Not supported"),
        ({**PARAMS, "model": "none"}, "model: none"),
        ({}, "model"),
    ],
)
def test_what_is_wrong_with_an_item_shows_at_its_end_doubly_nested(params: dict[str, Any], part: str) -> None:
    desk = Desk(10)
    id = desk.create(2, i1=params)
    desk.now_s += 10
    results = {one["custom_id"]: one["result"] for one in desk.ask("GET", f"/{id}/results")[1]}
    wrong = results["i1"]
    assert results["i0"]["type"] == "succeeded" and wrong["type"] == "errored"
    assert wrong["error"]["type"] == "error" and part in wrong["error"]["error"]["message"]
    assert wrong["error"]["request_id"].startswith("req_01")
    succeeded, errored = sorted(desk.simulator.books, key=lambda entry: entry.cost_nano)[-1], desk.simulator.books
    assert succeeded.cost_nano == (succeeded.input_tokens * 100 + succeeded.output_tokens * 500) // 2
    assert sum(entry.cost_nano for entry in errored) == succeeded.cost_nano


def test_results_are_kept_29_days_and_the_batch_longer() -> None:
    desk = Desk(10)
    id = desk.create(1)
    desk.now_s = BEGAN + 29 * DAY_S - 1
    assert desk.ask("GET", f"/{id}/results")[0] == 200
    desk.now_s += 1
    assert desk.ask("GET", f"/{id}/results")[0] == 404
    shown = desk.ask("GET", f"/{id}")[1]
    assert shown["archived_at"].startswith("2026-12-19") and shown["request_counts"]["succeeded"] == 1


def test_results_are_in_an_order_of_their_own_and_the_same_again() -> None:
    def order() -> list[str]:
        desk = Desk(1)
        id = desk.create(30)
        desk.now_s += 1
        return [one["custom_id"] for one in desk.ask("GET", f"/{id}/results")[1]]

    assert order() == order() != sorted(order(), key=lambda name: int(name[1:]))


def test_deleting_waits_for_the_end() -> None:
    desk = Desk(10)
    id = desk.create(1)
    assert desk.ask("DELETE", f"/{id}")[0] == 400
    desk.now_s += 10
    assert desk.ask("DELETE", f"/{id}") == (200, {"id": id, "type": "message_batch_deleted"})
    assert desk.ask("GET", f"/{id}")[0] == 404


def test_a_batch_belongs_to_its_workspace() -> None:
    desk = Desk(0, keys=[ApiKey(OTHER, workspace="second")])
    id = desk.create(1)
    for method, path in (("GET", f"/{id}"), ("GET", f"/{id}/results"), ("POST", f"/{id}/cancel"), ("DELETE", f"/{id}")):
        assert desk.ask(method, path, key=OTHER)[0] == 404
    assert desk.ask("GET", "", key=OTHER)[1]["data"] == [] and len(desk.ask("GET", "")[1]["data"]) == 1


def test_a_full_queue_refuses_and_empties_with_time() -> None:
    desk = Desk(10, limits=Limits(is_enforced=True))
    requests = [{"custom_id": f"i{n}", "params": {}} for n in range(100_000)]
    assert [desk.ask("POST", "", {"requests": requests})[0] for _ in range(3)] == [200, 200, 429]
    status, said = desk.ask("POST", "", {"requests": [*requests, {"custom_id": "one-more", "params": {}}]})
    assert status == 429 or "at most 100,000" in said["error"]["message"]


def test_waiting_batches_say_when_to_look_again(send: Callable[..., Got]) -> None:
    now_s = [BEGAN]
    with running(batch_s=60, clock=lambda: now_s[0]) as sim:
        body = {"requests": [{"custom_id": "a", "params": PARAMS}]}
        id = json.loads(send(sim, "/v1/messages/batches", body)[2])["id"]
        assert send(sim, f"/v1/messages/batches/{id}")[1]["retry-after"] == "10"
        now_s[0] += 60
        assert "retry-after" not in send(sim, f"/v1/messages/batches/{id}")[1]
