"""Keys made, expired and revoked by another process, while a gateway runs."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest

from gateways import Process, command, gateway
from penstock.ports.blocking import BlockingClock, SystemChance
from penstock.simulator import Pace, running
from penstock.stores.keys import DEFAULT_SCOPES, KeyStore
from script import HELLO

from .test_hangup import eventually
from .test_lifecycle import ask


@pytest.fixture(scope="module")
def process() -> Any:
    with running(seed=1, pace=Pace(tokens_per_s=100.0)) as simulator:
        with gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as started:
            yield started


def made(process: Process, *words: str) -> Any:
    return json.loads(command("keys", "create", "app", *words, "--json", "--data", str(process.data)).stdout)


def error_code(answer: Any) -> str:
    code: str = answer.json()["error"]["details"]["error_code"]
    return code


def test_a_key_of_another_process_works_at_once_with_the_rights_it_was_given(process: Process) -> None:
    key = made(process, "--models", "claude-opus-4-5")["key"]
    refused = ask(process, key=key)
    assert (refused.status_code, error_code(refused)) == (403, "model_not_allowed")
    assert ask(process, {**HELLO, "model": "claude-opus-4-5"}, key=key).status_code == 200


def test_a_key_in_use_expires_on_its_own(process: Process) -> None:
    clock, chance = BlockingClock(), SystemChance()
    key, secret = KeyStore(process.data, clock).create(
        "short",
        chance=chance,
        token=chance.token,
        environment="dev",
        scopes=DEFAULT_SCOPES,
        tier=None,
        models=None,
        features=None,
        expires_at_us=clock.wall_us() + 2_000_000,
    )
    assert ask(process, key=secret.reveal()).status_code == 200, "not yet"
    assert eventually(lambda: ask(process, key=secret.reveal()).status_code == 401)
    assert clock.wall_us() >= (key.expires_at_us or 0), "not before its time"
    assert error_code(ask(process, key=secret.reveal())) == "key_expired"


def test_a_revoked_key_ends_within_a_second_on_a_kept_connection_too_but_its_stream_goes_on(process: Process) -> None:
    key = made(process)
    headers = {"x-api-key": key["key"], "anthropic-version": "2023-06-01"}
    port = int(process.url.rpartition(":")[2])
    streaming, kept = (http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(2))
    body = {**HELLO, "stream": True, "max_tokens": 400, "messages": [{"role": "user", "content": "Write 150 words."}]}
    streaming.request("POST", "/v1/messages", json.dumps(body), headers)
    stream = streaming.getresponse()
    assert stream.status == 200

    def status() -> int:
        kept.request("GET", "/v1/models", headers=headers)
        answer = kept.getresponse()
        answer.read()
        return answer.status

    assert status() == 200
    assert command("keys", "revoke", key["id"], "--data", str(process.data)).returncode == 0
    revoked_at = time.monotonic()
    assert eventually(lambda: status() == 401, wait_s=5)
    assert time.monotonic() - revoked_at < 1.5, "a second, and the call that asked"
    assert b"message_stop" in stream.read(), "the answer was paid for and reaches its caller"
    assert process.record(stream.headers["x-penstock-call-id"]).ending == "complete"


def test_a_key_given_in_the_place_of_its_id_is_not_shown_again(process: Process) -> None:
    key = made(process)["key"]
    for verb in ("show", "revoke"):
        done = command("keys", verb, key, "--data", str(process.data))
        assert done.returncode == 1
        assert key not in done.stdout + done.stderr
        assert key[-4:] in done.stderr
    assert ask(process, key=key).status_code == 200
