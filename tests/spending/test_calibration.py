"""Estimates that learn: towards what was counted, within bounds, and `most` never below what was shipped."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.spending.calibration import Calibration
from penstock.wire.messages import Request, read_request
from penstock.wire.tokens import Estimate, estimate

MODEL = "claude-sonnet-4-6"


def request(text: str = "Tell me what this paragraph is about. " * 20) -> tuple[Request, bytes]:
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}]}).encode()
    return read_request(body), body


def learned(ratio: float, times: int = 40) -> tuple[Estimate, Estimate]:
    """The shipped estimate, and the one after so many requests that were counted as `ratio` times it."""
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)
    for _ in range(times):
        calibration.learn(MODEL, calibration.of(asked, MODEL, body), round(shipped.expected * ratio))
    return shipped, calibration.of(asked, MODEL, body)


def test_what_has_learned_nothing_is_the_shipped_estimate() -> None:
    asked, body = request()
    shipped, first = estimate(asked, MODEL, body), Calibration().of(asked, MODEL, body)
    assert (first.expected, first.most) == (shipped.expected, shipped.most)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.3, 1.9])
def test_expected_comes_to_what_is_counted_though_it_learns_from_its_own_corrections(ratio: float) -> None:
    shipped, after = learned(ratio)
    assert after.expected == pytest.approx(shipped.expected * ratio, rel=0.02)


def test_a_few_requests_say_nothing_about_what_is_expected() -> None:
    shipped, after = learned(1.3, times=15)
    assert after.expected == shipped.expected


def test_one_odd_request_does_not_move_what_is_expected() -> None:
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)
    for counted in [shipped.expected] * 20 + [shipped.most]:
        calibration.learn(MODEL, shipped, counted)
    assert calibration.of(asked, MODEL, body).expected == shipped.expected


def test_one_request_above_the_most_lifts_it_above_that_at_once() -> None:
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)
    counted = round(shipped.most * 1.2)
    calibration.learn(MODEL, shipped, counted)
    assert counted < calibration.of(asked, MODEL, body).most < counted * 1.2


def test_the_most_comes_down_again_when_nothing_was_above_it_for_long_but_not_below_the_shipped_one() -> None:
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)
    calibration.learn(MODEL, shipped, shipped.most * 2)
    for _ in range(200):
        calibration.learn(MODEL, shipped, shipped.expected // 2)
    assert calibration.of(asked, MODEL, body).most == shipped.most


def test_what_one_model_teaches_is_not_held_against_another() -> None:
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)
    calibration.learn("claude-opus-4-6", shipped, shipped.most * 2)
    assert calibration.of(asked, MODEL, body).most == shipped.most


@pytest.mark.parametrize(("expected", "most", "counted"), [(12, 40, 49), (2_000, 600_000, 700_000)])
def test_short_prompts_and_those_that_cannot_be_weighed_teach_nothing(expected: int, most: int, counted: int) -> None:
    asked, body = request()
    calibration = Calibration()
    for _ in range(30):
        calibration.learn(MODEL, Estimate(expected, most), counted)
    after, shipped = calibration.of(asked, MODEL, body), estimate(asked, MODEL, body)
    assert (after.expected, after.most) == (shipped.expected, shipped.most)


@given(st.lists(st.integers(0, 10**7), max_size=60))
def test_corrections_are_bounded_whatever_is_counted(counts: list[int]) -> None:
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)
    for counted in counts:
        calibration.learn(MODEL, calibration.of(asked, MODEL, body), counted)
    after = calibration.of(asked, MODEL, body)
    assert shipped.expected * 0.49 < after.expected <= shipped.expected * 3 + 1
    assert shipped.most <= after.most <= shipped.most * 4 + 1
    assert after.expected <= after.most


def test_threads_learn_at_once_without_a_fault() -> None:
    asked, body = request()
    calibration, shipped = Calibration(), estimate(asked, MODEL, body)

    def work() -> None:
        for _ in range(300):
            calibration.learn(MODEL, calibration.of(asked, MODEL, body), round(shipped.expected * 1.5))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calibration.of(asked, MODEL, body).expected == pytest.approx(shipped.expected * 1.5, rel=0.02)
