"""Admission: is the call well-formed and within size."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.call import Call, Tags
from penstock.config.features import FeatureConfig
from penstock.config.schema import AdmissionConfig, Config, PricesConfig
from penstock.errors import Refused
from penstock.layers.per_call.admission import Admission, Capped
from penstock.wire.prices import PriceBook
from script import HELLO, Drive, a_call, play


def admission(config: AdmissionConfig | None = None, *, refuses_unpriced: bool = False, **features: Any) -> Admission:
    prices = PricesConfig(unknown_model="refuse" if refuses_unpriced else "flag")
    return Admission(Config(admission=config or AdmissionConfig(), prices=prices, features=features), PriceBook())


def test_a_well_formed_call_goes_onward_untouched(drive: Drive) -> None:
    call = a_call()
    assert play(drive, admission(), call).onward == [call]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not a JSON object"),
        (b'{"model": ', "not a JSON object"),
        (b"[1, 2]", "not a JSON object"),
        (b"\xff\xfe", "not a JSON object"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"messages": []}', "model: Field required"),
        (b'{"model": 5, "messages": []}', "model: Field required"),
    ],
)
def test_what_cannot_be_a_call_is_400_and_goes_nowhere(drive: Drive, body: bytes, said: str) -> None:
    played = play(drive, admission(), a_call(body))
    assert isinstance(played.error, Refused)
    assert (played.error.status, played.error.type) == (400, "invalid_request_error")
    assert said in str(played.error)
    assert played.onward == []


def test_a_body_over_the_limit_is_413(drive: Drive) -> None:
    played = play(drive, admission(AdmissionConfig(body_bytes_max=100)), a_call({"model": "m", "pad": "x" * 100}))
    assert isinstance(played.error, Refused)
    assert (played.error.status, played.error.type, played.error.code) == (413, "request_too_large", "body_too_large")


@pytest.mark.parametrize("call", [{"path": "/v1/files"}, {"path": "/v1/models", "method": "GET"}, {"path": "/v1/new"}])
def test_bodies_that_are_no_messages_pass_unread(drive: Drive, call: dict[str, Any]) -> None:
    assert play(drive, admission(), a_call(b"\x00not json", **call)).onward


def test_what_the_api_may_know_and_we_do_not_passes(drive: Drive) -> None:
    body = {"model": "claude-from-tomorrow", "messages": [{"role": "system", "content": 1}], "new_field": {}}
    assert play(drive, admission(), a_call(body)).onward


def test_a_model_without_a_price_is_refused_where_the_operator_says_so(drive: Drive) -> None:
    unknown = {"model": "claude-from-tomorrow", "max_tokens": 1, "messages": []}
    played = play(drive, admission(refuses_unpriced=True), a_call(unknown))
    assert isinstance(played.error, Refused)
    assert (played.error.status, played.error.code) == (403, "unpriced_model")
    assert play(drive, admission(refuses_unpriced=True), a_call()).onward
    assert play(drive, admission(), a_call(unknown)).onward


def of(feature: str | None, **fields: Any) -> Call:
    return a_call({**HELLO, **fields}, tags=Tags(feature=feature))


def test_an_answer_is_no_longer_than_its_feature_wants_and_the_rest_of_the_body_stays(drive: Drive) -> None:
    layer = admission(short=FeatureConfig(task="classification"), default=FeatureConfig(max_tokens=1000))
    call = of("short", max_tokens=64)
    played = play(drive, layer, call)
    (onward,) = played.onward
    assert onward.body == call.body.replace(b'"max_tokens": 64', b'"max_tokens": 50')
    assert onward.request is not None and onward.request.max_tokens == 50
    assert played.fact(Capped).told() == "`max_tokens` was 64; the feature has 50."
    for untouched in (of("short", max_tokens=50), of("other", max_tokens=1000), of(None, max_tokens=1)):
        assert play(drive, layer, untouched).onward == [untouched]
    (capped,) = play(drive, layer, of(None, max_tokens=4000)).onward
    assert capped.request is not None and capped.request.max_tokens == 1000


def test_a_missing_max_tokens_is_given(drive: Drive) -> None:
    call = of("short", max_tokens="none")
    (onward,) = play(drive, admission(short=FeatureConfig(max_tokens=9)), call).onward
    assert b'"max_tokens": 9' in onward.body


@pytest.mark.parametrize(
    ("feature", "fields", "said"),
    [
        (FeatureConfig(max_tokens=50, over_max_tokens="refuse"), {"max_tokens": 64}, "64 is more than the 50"),
        (
            FeatureConfig(max_tokens=1000),
            {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
            "1,024 leaves nothing of the 1,000",
        ),
    ],
)
def test_what_cannot_be_capped_is_refused(drive: Drive, feature: FeatureConfig, fields: Any, said: str) -> None:
    played = play(drive, admission(short=feature), of("short", **fields))
    assert isinstance(played.error, Refused) and said in str(played.error) and played.onward == []
