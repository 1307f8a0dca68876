"""The small pieces: driver, stack, trail, secret, errors."""

from __future__ import annotations

import asyncio
import json
import pickle
from typing import Any

import pytest

from penstock import drive as driver
from penstock.call import Call, Fact, Trail
from penstock.errors import ConfigError, Refused, Unavailable, UpstreamFailed, rendered
from penstock.layer import Next, stack
from penstock.reply import Reply
from penstock.secret import Secret
from script import Drive, a_call, a_reply, play


def test_the_blocking_driver_runs_to_the_end_in_one_step() -> None:
    async def core() -> int:
        return 7

    assert driver.run(core()) == 7


def test_a_core_that_suspends_is_told_so() -> None:
    async def core() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="suspended under the blocking driver"):
        driver.run(core())


def test_layers_stack_with_the_first_outermost(drive: Drive) -> None:
    order: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __call__(self, call: Call, onward: Next) -> Reply:
            order.append(self.name)
            return await onward(call)

    async def end(call: Call) -> Reply:
        return a_reply(call)

    class Through:
        async def __call__(self, call: Call, onward: Next) -> Reply:
            return await stack([Named("a"), Named("b")], end)(call)

    play(drive, Through(), a_call())
    assert order == ["a", "b"]


class Seen(Fact, frozen=True):
    number: int


def test_a_trail_gives_the_last_fact_of_a_kind() -> None:
    trail = Trail([Seen(1), Fact(), Seen(2), Fact()])
    assert trail.last(Seen) == Seen(2)
    assert Trail().last(Seen) is None


VALUE = "sk-ant-" + "api03-" + "q" * 40 + "abcd"


def test_a_secret_shows_its_kind_and_last_four() -> None:
    secret = Secret(VALUE)
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret:>20}", repr([secret])):
        assert VALUE not in shown
        assert "sk-ant-…abcd" in shown
    assert secret.reveal() == VALUE


def test_a_secret_cannot_be_dumped() -> None:
    secret = Secret(VALUE)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        json.dumps({"key": secret})
    assert str(Secret("short")) == "…"


CASES: list[tuple[BaseException, int, str, dict[bytes, bytes]]] = [
    (
        Refused("No.", layer="identity", code="no_key", fix="Send one.", status=401, type="authentication_error"),
        401,
        "authentication_error",
        {b"x-should-retry": b"false"},
    ),
    (
        Unavailable("Later.", layer="ledger", code="x", fix="Wait.", retry_after_s=2.4),
        503,
        "overloaded_error",
        {b"x-should-retry": b"true", b"retry-after": b"2"},
    ),
    (UpstreamFailed("Gone.", code="reset"), 502, "api_error", {}),
    (UpstreamFailed("Slow.", code="idle_timeout"), 504, "timeout_error", {}),
    (ZeroDivisionError("secret detail"), 500, "api_error", {b"x-should-retry": b"false"}),
]


@pytest.mark.parametrize(("error", "status", "kind", "headers"), CASES, ids=lambda v: type(v).__name__)
def test_errors_have_the_apis_shape(error: Any, status: int, kind: str, headers: dict[bytes, bytes]) -> None:
    got_status, got_headers, body = rendered(error, "call_1")
    answer = json.loads(body)
    assert got_status == status
    assert headers.items() <= dict(got_headers).items()
    assert answer["type"] == "error"
    assert answer["error"]["type"] == kind
    assert answer["request_id"] == "call_1"
    assert answer["error"]["details"]["error_code"]
    assert "secret detail" not in body.decode()


def test_a_config_error_names_its_place_and_fix() -> None:
    error = ConfigError("Unknown key `prot`.", fix="Did you mean `port`?", place="penstock.toml:3")
    assert str(error) == "penstock.toml:3: Unknown key `prot`. Did you mean `port`?"
