"""Through a real gateway: candidates, kept answers, limits and an incident, as a caller meets them."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anthropic
import httpx2
import pytest

from gateways import gateway
from penstock.simulator import Limits, running
from script import HELLO

QUICK = "[resilience]\nwait_first_s = 0.01\n"


def two(first: str, second: str, *, feature: str) -> str:
    return (
        f'[upstreams.first]\nkind = "compatible"\nurl = "{first}"\n'
        f'[upstreams.second]\nkind = "compatible"\nurl = "{second}"\n'
        f'[routing]\ndefault = "first"\n{QUICK}[features.default]\n{feature}\n'
    )


def test_a_second_upstream_answers_while_the_first_is_down_and_the_record_says_so() -> None:
    with running(seed=1, accept_any=True, schedule=["overloaded"]) as bad, running(seed=2, accept_any=True) as good:
        config = two(bad.url, good.url, feature='fallback = ["claude-opus-5-5@second"]')
        with gateway(None, config=config) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            for stream in (False, True, False, True, False, False):
                with client.messages.stream(**HELLO) as events:
                    message = events.get_final_message() if stream else None
                message = message or client.messages.create(**HELLO)
                assert message.model == "claude-opus-5-5" and message.stop_reason in ("end_turn", "max_tokens")
            calls = len(good.requests)
            assert len(bad.requests) <= 6, "five failures, and then its circuit is open"
            told = httpx2.get(f"{process.url}/penstock/api/upstreams", headers={"x-api-key": process.key}).json()
            record = process.record(process.records(calls)[-1].call_id)
    assert [(one["circuit"], one["state"]) for one in told["circuits"]] == [("first claude-haiku-4-5", "open")]
    assert record.upstream == "second" and record.model_served == "claude-opus-5-5"
    assert b"circuit is open" in record.trail


def test_words_of_the_operators_own_come_last(tmp_path: Path) -> None:
    (tmp_path / "busy.txt").write_text("We are busy, please write again in a minute.\n")
    with running(seed=1, accept_any=True, schedule=["error_500"]) as bad:
        config = f'{QUICK}[features.default]\nfallback = ["static:{tmp_path}/busy.txt"]\n'
        with gateway(bad.url, config=config) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            answer = client.messages.with_raw_response.create(**HELLO)
            with client.messages.stream(**HELLO) as events:
                streamed = events.get_final_text()
            first, second = process.records(2)
    assert answer.headers["x-penstock-substitute"] == "text" and answer.headers["x-penstock-cost-usd"] == "0.00"
    message = answer.parse()
    assert message.content[0].text == streamed == "We are busy, please write again in a minute."  # type: ignore[union-attr]
    assert first.cost_nano == second.cost_nano == 0 and first.upstream == "penstock:text"


@pytest.mark.parametrize("stream", [False, True])
def test_an_idempotency_key_pays_once_across_a_restart(tmp_path: Path, stream: bool) -> None:
    headers = {"idempotency-key": "order-17"}
    body = {**HELLO, "stream": stream}
    with running(seed=1) as simulator:
        got = []
        for _ in range(2):
            with gateway(simulator.url, data=tmp_path / "data", ANTHROPIC_API_KEY=simulator.key) as process:
                sent = {**headers, "x-api-key": process.key, "anthropic-version": "2023-06-01"}
                got += [httpx2.post(f"{process.url}/v1/messages", json=body, headers=sent) for _ in range(2)]
                other = httpx2.post(f"{process.url}/v1/messages", json={**body, "max_tokens": 5}, headers=sent)
                records = process.records()
        assert len(simulator.requests) == 1
    assert len({answer.content for answer in got}) == 1 and got[0].status_code == 200
    assert "x-penstock-replayed" not in got[0].headers
    assert len({answer.headers["x-penstock-replayed"] for answer in got[1:]}) == 1
    assert other.status_code == 422 and other.json()["error"]["details"]["error_code"] == "idempotency_mismatch"
    paid = [record for record in records if record.cost_nano]
    assert len(paid) == 1


def test_a_users_minute_is_the_tiers_and_the_sdk_knows_when_to_come_back() -> None:
    config = "[tiers.default]\nrequests_per_minute = 2\n"
    with (
        running(seed=1) as simulator,
        gateway(simulator.url, config=config, ANTHROPIC_API_KEY=simulator.key) as process,
    ):
        client = anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0)
        for _ in range(2):
            client.messages.create(**HELLO, extra_headers={"x-penstock-user": "ada"})
        with pytest.raises(anthropic.RateLimitError) as raised:
            client.messages.create(**HELLO, extra_headers={"x-penstock-user": "ada"})
        client.messages.create(**HELLO, extra_headers={"x-penstock-user": "bob"})
        assert 50 <= int(raised.value.response.headers["retry-after"]) <= 61
        assert raised.value.error_code == "too_many_requests"
        assert len(simulator.requests) == 3


@contextmanager
def status_page(name: str) -> Iterator[str]:
    api = {"name": "Claude API (api.anthropic.com)", "status": "partial_outage"}
    said = json.dumps({"components": [api], "incidents": [{"name": name, "components": [api]}]}).encode()

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/api/v2/summary.json"
    finally:
        server.shutdown()


def test_with_an_admin_key_the_limits_are_known_before_the_first_answer() -> None:
    limits = Limits(requests=3, input_tokens=10**6, output_tokens=10**6, is_enforced=True)
    with running(seed=1, limits=limits) as sim:
        config = (
            f'[upstreams.first]\nkind = "compatible"\nurl = "{sim.url}"\nkeys = ["env:KEY"]\nadmin_key = "env:ADMIN"\n'
            "[pacing]\nwait_max_s = 0\n"
        )
        with gateway(None, config=config, KEY=sim.key or "", ADMIN=sim.admin_key) as process:
            ends = time.monotonic() + 10
            while not any("rate_limits" in served.path and served.ending for served in sim.requests):
                assert time.monotonic() < ends, "never asked"
                time.sleep(0.02)
            with anthropic.Anthropic(base_url=process.url, api_key=process.key, max_retries=0) as client:
                said = []
                for _ in range(5):
                    try:
                        said.append(client.messages.create(**HELLO).stop_reason)
                    except anthropic.RateLimitError as error:
                        said.append(str(error.body["error"]["details"]["error_code"]))  # type: ignore[index, call-overload]
        assert said == ["end_turn"] * 3 + ["upstream_busy"] * 2
        assert not [entry for entry in sim.books if entry.status == 429]


def test_an_incident_is_seen_and_makes_tries_few() -> None:
    with running(seed=1, accept_any=True, schedule=["overloaded"]) as bad, status_page("Elevated errors") as page:
        config = two(bad.url, "https://api.anthropic.com", feature="").replace(
            'url = "https://api.anthropic.com"', 'url = "https://api.anthropic.com/x"'
        )
        config += f'[status]\nurl = "{page}"\nevery_s = 0.2\n'
        with gateway(None, config=config) as process:
            client = anthropic.Anthropic(base_url=process.url, api_key=process.key)
            ends = time.monotonic() + 10
            told = {}
            while told.get("incident") is None and time.monotonic() < ends:
                told = httpx2.get(f"{process.url}/penstock/api/upstreams", headers={"x-api-key": process.key}).json()
            assert told["incident"] == "Elevated errors"
            with pytest.raises(anthropic.OverloadedError):
                client.messages.create(**HELLO)
            assert len(bad.requests) == 2
