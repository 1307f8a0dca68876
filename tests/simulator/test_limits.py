"""Rate limits and caps: the arithmetic against an oracle of exact fractions, the refusals as recorded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.simulator import ApiKey, Caps, Limits, Running, Simulator, running
from penstock.simulator.accounts import Caller
from penstock.simulator.catalogue import find_model
from penstock.simulator.limits import RateLimits
from penstock.simulator.problems import Problem

Got = tuple[int, dict[str, str], bytes]
BEGAN = 1_795_132_800.0
US = Caller("apikey_1", "org-1", None)
SONNET, HAIKU, OPUS = (find_model(name) for name in ("claude-sonnet-4-6", "claude-haiku-4-5", "claude-opus-4-8"))
ASK: dict[str, Any] = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Tell me of the river."}],
}


class Clock:
    def __init__(self) -> None:
        self.now_s = BEGAN

    def __call__(self) -> float:
        return self.now_s


class Oracle:
    """One bucket by the text: continuous refill of `limit` per minute, never above it. Times in milliseconds."""

    def __init__(self, limit: int) -> None:
        self.limit, self.left, self.at_ms = limit, Fraction(limit), 0

    def refill(self, at_ms: int) -> None:
        self.left = min(Fraction(self.limit), self.left + Fraction(self.limit * (at_ms - self.at_ms), 60_000))
        self.at_ms = at_ms

    def full_ms(self) -> Fraction:
        return self.at_ms + (self.limit - self.left) * 60_000 / self.limit


def fields(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode().removeprefix("anthropic-ratelimit-"): value.decode() for name, value in headers}


def second(stamp: str) -> int:
    return int(datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp() - BEGAN)


ARRIVALS = st.lists(
    st.tuples(st.integers(0, 20_000), st.integers(1, 12_000), st.integers(0, 3_000)), min_size=1, max_size=40
)


@settings(max_examples=150, deadline=None)
@given(ARRIVALS, st.sampled_from([(5, 10_000, 2_000), (50, 30_000, 8_000), (1_000, 2_000_000, 400_000)]), st.booleans())
def test_headers_and_refusals_are_those_of_exact_buckets(
    arrivals: list[tuple[int, int, int]], limits: tuple[int, int, int], enforced: bool
) -> None:
    clock = Clock()
    requests_max, inputs_max, outputs_max = limits
    ours = RateLimits(
        Limits(requests=requests_max, input_tokens=inputs_max, output_tokens=outputs_max, is_enforced=enforced), clock
    )
    requests, inputs, outputs = Oracle(requests_max), Oracle(inputs_max), Oracle(outputs_max)
    at_ms = 0
    for gap_ms, tokens_in, tokens_out in arrivals:
        at_ms += gap_ms
        clock.now_s = BEGAN + at_ms / 1000
        for bucket in (requests, inputs, outputs):
            bucket.refill(at_ms)
        # within a millionth of the edge floating point may fall either way
        near = Fraction(1, 10**6)
        short = [
            requests.left < 1 - near,
            inputs.left < tokens_in - near or tokens_in > inputs_max,
            outputs.left < 1 - near,
        ]
        edge = any(
            abs(bucket.left - wanted) <= near for bucket, wanted in ((requests, 1), (inputs, tokens_in), (outputs, 1))
        )
        try:
            admission = ours.admit(US, SONNET, tokens_in, 100)
        except Problem as problem:
            assert enforced and (any(short) or edge) and problem.status == 429
            shown = fields(list(problem.headers))
            if short[1] and not short[0] and tokens_in > inputs_max:
                assert "retry-after" not in shown and problem.may_retry is False
            else:
                assert int(shown["retry-after"]) >= 1 and problem.may_retry is True
        else:
            assert not enforced or not any(short) or edge
            requests.left -= 1
            inputs.left -= tokens_in
            shown = fields(admission.headers)
            check(shown, requests, inputs, outputs)
            outputs.left -= tokens_out
            admission.ended(tokens_out)


def check(shown: dict[str, str], requests: Oracle, inputs: Oracle, outputs: Oracle) -> None:
    assert int(shown["requests-limit"]) == requests.limit
    assert abs(int(shown["requests-remaining"]) - max(0, math.floor(requests.left))) <= (
        0 if abs(requests.left - round(requests.left)) > 1e-6 else 1
    )
    for name, bucket in (("input-tokens", inputs), ("output-tokens", outputs)):
        left = int(shown[f"{name}-remaining"])
        assert left % 1000 == 0 and abs(left - max(Fraction(0), bucket.left)) <= Fraction(500) + Fraction(1, 1000)
        assert abs(second(shown[f"{name}-reset"]) - bucket.full_ms() / 1000) <= 1
    numbers = {name: int(value) for name, value in shown.items() if not name.endswith("reset")}
    for what in ("limit", "remaining"):
        assert numbers[f"tokens-{what}"] == numbers[f"input-tokens-{what}"] + numbers[f"output-tokens-{what}"]
    resets = {name: second(value) for name, value in shown.items() if name.endswith("reset")}
    assert resets["tokens-reset"] == max(resets["input-tokens-reset"], resets["output-tokens-reset"])


def test_the_recorded_sample_comes_out() -> None:
    """A small organization's headers after one request of some 2,000 tokens (`claude-api.md` §5.3)."""
    limits = RateLimits(Limits(requests=50, input_tokens=30_000, output_tokens=8_000), Clock())
    shown = fields(limits.admit(US, SONNET, 2_000, 100).headers)
    kept = {name: value for name, value in shown.items() if not name.endswith("reset")}
    assert kept == {
        "requests-limit": "50",
        "requests-remaining": "49",
        "input-tokens-limit": "30000",
        "input-tokens-remaining": "28000",
        "output-tokens-limit": "8000",
        "output-tokens-remaining": "8000",
        "tokens-limit": "38000",
        "tokens-remaining": "36000",
    }
    assert second(shown["requests-reset"]) == 1 and second(shown["input-tokens-reset"]) == 4


def test_models_of_one_group_share_a_limit_and_others_do_not() -> None:
    limits = RateLimits(Limits(requests=5), Clock())
    for name in ("claude-opus-4-8", "claude-opus-4-7", "claude-opus-4-5"):
        shown = fields(limits.admit(US, find_model(name), 10, 10).headers)
    assert shown["requests-remaining"] == "2"
    assert fields(limits.admit(US, HAIKU, 10, 10).headers)["requests-remaining"] == "4"
    assert fields(limits.admit(Caller("k", "org-2", None), OPUS, 10, 10).headers)["requests-remaining"] == "4"


def test_fast_mode_has_limits_of_its_own() -> None:
    limits = RateLimits(Limits(input_tokens=10_000, fast_input_tokens=3_000, is_enforced=True), Clock())
    opus = find_model("claude-opus-5-5")
    shown = dict(limits.admit(US, opus, 2_000, 10, is_fast=True).headers)
    assert shown[b"anthropic-fast-input-tokens-remaining"] == b"1000"
    assert shown[b"anthropic-ratelimit-input-tokens-remaining"] == b"10000"
    with pytest.raises(Problem):
        limits.admit(US, opus, 2_000, 10, is_fast=True)
    limits.admit(US, opus, 2_000, 10)


def test_output_tokens_count_when_they_have_been_made() -> None:
    clock = Clock()
    limits = RateLimits(Limits(output_tokens=1_000, is_enforced=True), clock)
    limits.admit(US, SONNET, 10, 10).ended(1_500)
    with pytest.raises(Problem, match="output tokens per minute") as caught:
        limits.admit(US, SONNET, 10, 10)
    wait_s = int(dict(caught.value.headers)[b"retry-after"])
    assert wait_s == 31  # 501 tokens at 1,000 a minute
    clock.now_s += wait_s
    limits.admit(US, SONNET, 10, 10)


def test_usage_that_grows_too_fast_meets_the_ramp_limit() -> None:
    clock = Clock()
    limits = RateLimits(Limits(input_tokens=100_000, ramp=2.0, is_enforced=True), clock)
    limits.admit(US, SONNET, 10_000, 10)
    with pytest.raises(Problem) as caught:
        limits.admit(US, SONNET, 1, 10)
    assert caught.value.code == "ramp_limit_exceeded" and dict(caught.value.headers)[b"retry-after"] == b"60"
    clock.now_s += 60
    limits.admit(US, SONNET, 20_000, 10)
    clock.now_s += 60
    limits.admit(US, SONNET, 40_000, 10)
    with pytest.raises(Problem, match="maximum usage increase rate"):
        limits.admit(US, SONNET, 1, 10)


def test_requests_may_be_counted_by_the_second() -> None:
    clock = Clock()
    limits = RateLimits(Limits(requests=60, is_smooth=True, is_enforced=True), clock)
    limits.admit(US, SONNET, 1, 1)
    with pytest.raises(Problem, match="Number of requests"):
        limits.admit(US, SONNET, 1, 1)
    clock.now_s += 1
    limits.admit(US, SONNET, 1, 1)


@pytest.mark.parametrize(("limits", "part"), [(Limits(concurrent=1, is_enforced=True), "concurrent connections")])
def test_too_many_at_once_is_told_without_numbers(limits: Limits, part: str) -> None:
    ours = RateLimits(limits, Clock())
    first = ours.admit(US, SONNET, 1, 1)
    with pytest.raises(Problem, match=part) as caught:
        ours.admit(US, HAIKU, 1, 1)
    assert caught.value.headers == [] and caught.value.may_retry is True
    first.ended(5)
    ours.admit(US, HAIKU, 1, 1)


def test_prompt_bytes_have_an_hour() -> None:
    clock = Clock()
    limits = RateLimits(Limits(prompt_bytes=1_000, is_enforced=True), clock)
    limits.admit(US, SONNET, 1, 900)
    with pytest.raises(Problem, match="1,000 prompt bytes per hour"):
        limits.admit(US, SONNET, 1, 200)
    clock.now_s += 360
    limits.admit(US, SONNET, 1, 200)


@pytest.mark.parametrize(
    "wrong", [{"tier": "huge"}, {"requests": 0}, {"ramp": 1.0}, {"concurrent": 0}], ids=lambda one: next(iter(one))
)
def test_limits_that_make_no_sense_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Limits(**wrong)


# Over the wire


def test_the_sdk_waits_as_told_and_then_gets_its_answer() -> None:
    clock = Clock()
    with running(seed=3, limits=Limits(requests=1, is_enforced=True), clock=clock) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        client.messages.create(**ASK)
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(**ASK)
        assert caught.value.response.headers["retry-after"] == "60"
        assert caught.value.response.headers["x-should-retry"] == "true"
        assert caught.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
        clock.now_s += 60
        assert client.messages.create(**ASK).content


def test_a_request_larger_than_the_limit_is_never_let_in(send: Callable[..., Got]) -> None:
    with running(limits=Limits(input_tokens=10, is_enforced=True)) as sim:
        status, headers, body = send(sim, body=ASK)
    assert status == 429 and headers["x-should-retry"] == "false" and "retry-after" not in headers
    assert "rate limit of 10 input tokens per minute" in json.loads(body)["error"]["message"]


def test_cache_reads_take_nothing_from_the_input_limit(send: Callable[..., Got]) -> None:
    marked = [{"type": "text", "text": "word " * 3_000, "cache_control": {"type": "ephemeral"}}]
    with running(limits=Limits(input_tokens=100_000)) as sim:
        left = [
            int(send(sim, body={**ASK, "system": marked})[1]["anthropic-ratelimit-input-tokens-remaining"])
            for _ in range(2)
        ]
    assert left[0] <= 97_000 and left[1] >= left[0]


CAPS = [
    (Caps(tier_usd=Decimal("0.0001")), 429, "enforced_spend_limit_reached", "You have reached your API usage limits"),
    (Caps(contract_usd=Decimal("0.0001")), 429, "contract_spend_limit_reached", "You have reached your API usage"),
    (Caps(own_usd=Decimal("0.0001")), 400, None, "You have reached your specified API usage limits"),
    (Caps(workspace_usd=Decimal("0.0001")), 400, None, "You have reached your specified workspace API usage limits"),
    (Caps(credit_usd=Decimal("0.0001")), 400, None, "Your credit balance is too low"),
]


@pytest.mark.parametrize(("caps", "status", "code", "text"), CAPS)
def test_a_cap_once_spent_stops_the_next_call_and_has_no_retry_after(
    send: Callable[..., Got], caps: Caps, status: int, code: str | None, text: str
) -> None:
    with running(caps=caps) as sim:
        assert send(sim, body=ASK)[0] == 200
        got, headers, body = send(sim, body=ASK)
    error = json.loads(body)["error"]
    assert got == status and error["message"].startswith(text) and "retry-after" not in headers
    assert error.get("details", {}).get("error_code") == code
    assert not [name for name in headers if "ratelimit" in name]


def test_a_monthly_cap_ends_with_the_month_and_credit_does_not() -> None:
    clock = Clock()
    for caps, comes_back in ((Caps(own_usd=Decimal("0.0001")), True), (Caps(credit_usd=Decimal("0.0001")), False)):
        clock.now_s = BEGAN
        with running(caps=caps, clock=clock) as sim:
            client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
            client.messages.create(**ASK)
            with pytest.raises(anthropic.BadRequestError) as caught:
                client.messages.create(**ASK)
            assert comes_back is ("2026-12-01 at 00:00 UTC" in str(caught.value))
            clock.now_s = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
            if comes_back:
                client.messages.create(**ASK)
            else:
                with pytest.raises(anthropic.BadRequestError):
                    client.messages.create(**ASK)


def test_a_workspace_cap_leaves_other_workspaces_alone(send: Callable[..., Got]) -> None:
    other = ApiKey("sk-ant-" + "api03-other", workspace="other")
    with running(caps=Caps(workspace_usd=Decimal("0.0001")), keys=[other]) as sim:
        assert [send(sim, body=ASK)[0] for _ in range(2)] == [200, 400]
        assert send(sim, body=ASK, x_api_key=other.secret)[0] == 200


def test_nothing_is_refused_unless_asked(sim: Running, send: Callable[..., Got]) -> None:
    simulator = Simulator(limits=Limits(requests=1, input_tokens=1))
    assert simulator.books.count == 0
    with running(limits=Limits(requests=1, input_tokens=1)) as shown:
        answers = [send(shown, body=ASK) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 200]
    assert answers[-1][1]["anthropic-ratelimit-requests-remaining"] == "0"
