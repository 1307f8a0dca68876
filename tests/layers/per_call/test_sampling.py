"""Sampling: what is kept of which calls, and that the others leave nothing behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from penstock.call import Tags
from penstock.config.bodies import BodiesConfig
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config, RecordsConfig
from penstock.errors import Refused, UpstreamFailed
from penstock.layers.per_call.sampling import FAILED_BYTES_MAX, Sampling
from penstock.ports import Exchange
from script import ANSWER, HELLO, STREAM_ANSWER, Drive, a_call, a_reply, play, ports

FAULT = b'{"type":"error","error":{"type":"api_error","message":"Broken."}}'


class Kept(list[Exchange]):
    def keep(self, exchange: Exchange) -> None:
        self.append(exchange)


def layer(kept: Kept | None, *, percent: int = 5, errors: bool = True, **features: FeatureConfig) -> Sampling:
    records = RecordsConfig(bodies=BodiesConfig(percent=percent, errors=errors))
    return Sampling(Config(records=records, features=features), replace(ports(), bodies=kept))


def test_all_of_a_hundred_percent_and_none_of_none(drive: Drive) -> None:
    for percent, count in ((100, 1), (0, 0)):
        kept = Kept()
        call = a_call()
        play(drive, layer(kept, percent=percent), call)
        assert [(one.call_id, one.request, one.answer) for one in kept] == [(call.id, call.body, ANSWER)] * count


def test_about_so_many_are_sampled_and_a_feature_may_have_its_own_share(drive: Drive) -> None:
    kept = Kept()
    own, counts = layer(kept, percent=5, chat=FeatureConfig(bodies_percent=50)), []
    for tags in (Tags(), Tags(feature="chat")):
        kept.clear()
        for number in range(1_000):
            play(drive, own, changed(a_call(tags=tags), id=f"call_{number:026x}"))
        counts.append(len(kept))
    assert 25 < counts[0] < 80 and 430 < counts[1] < 570


@pytest.mark.parametrize("failed", [lambda call: a_reply(call, 500, FAULT), UpstreamFailed("It broke.", code="reset")])
def test_a_call_that_failed_is_kept_always_unless_the_config_has_it_otherwise(drive: Drive, failed: Any) -> None:
    for errors in (True, False):
        kept = Kept()
        played = play(drive, layer(kept, percent=0, errors=errors), a_call(), failed)
        assert [one.request for one in kept] == ([played.onward[0].body] if errors else [])


def test_a_refusal_is_none_of_them_for_a_limit_that_holds_would_fill_the_disk(drive: Drive) -> None:
    kept = Kept()
    refusal = Refused("No.", layer="limits", code="too_many_requests", fix="", status=429, type="rate_limit_error")
    play(drive, layer(kept), a_call(), refusal)
    assert not kept


def test_a_stream_that_broke_is_kept_to_a_bound(drive: Drive) -> None:
    kept = Kept()
    broken = b"".join(STREAM_ANSWER.chunks[:-1])
    padding = b"event: ping\ndata: {}\n\n" * 1_000
    play(
        drive,
        layer(kept, percent=0),
        a_call({**HELLO, "stream": True}),
        lambda call: a_reply(call, 200, broken + padding, STREAM_ANSWER.headers),
    )
    (one,) = kept
    assert one.is_stream and len(one.answer) == FAILED_BYTES_MAX and one.answer.startswith(broken[:100])


def test_without_a_store_the_reply_is_not_even_watched(drive: Drive) -> None:
    played = play(drive, layer(None, percent=100), a_call())
    assert played.body == ANSWER
