"""Pacing: a call waits for its turn, says so, and goes away where that would be too long."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from msgspec.structs import replace as changed

from penstock.call import Call, Candidate, Plan, Policy, Target, Timeouts
from penstock.config.schema import Config, PacingConfig, UpstreamConfig
from penstock.errors import Refused, UpstreamFailed
from penstock.layers.per_attempt.pacing import Paced, Pacing
from penstock.ports import Ports
from penstock.record import Record
from penstock.stores.paces import Paces
from script import JSON, UPSTREAM, Drive, Played, a_call, a_reply, play, ports

LIMITED = b'{"type":"error","error":{"type":"rate_limit_error","message":"Too fast."}}'
OTHER = Target("other", "https://other.example")


def headers(requests: int, left: int) -> Any:
    prefix = b"anthropic-ratelimit-requests-"
    return (*JSON, (prefix + b"limit", b"%d" % requests), (prefix + b"remaining", b"%d" % left))


def layer(own: Ports, upstream: dict[str, Any] | None = None, **config: Any) -> Pacing:
    upstreams = {"anthropic": UpstreamConfig(**(upstream or {}))}
    return Pacing(Config(upstreams=upstreams, pacing=PacingConfig(**config)), own)


def fresh() -> Ports:
    own = ports()
    return replace(own, paces=Paces(own.clock))


def test_a_call_that_nothing_limits_passes_as_it_is(drive: Drive) -> None:
    own = fresh()
    played = play(drive, layer(own), a_call())
    assert len(played.onward) == 1 and not played.trail and own.clock.now() == 0


def test_learned_limits_make_a_call_wait_and_the_wait_is_on_the_record(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own)
    play(drive, pacing, a_call(), lambda call: a_reply(call, headers=headers(60, 0)))
    played = play(drive, pacing, a_call(timeouts=Timeouts(total_s=60)))
    assert 0.9 < own.clock.now() < 1.5
    waited = played.fact(Paced)
    record = Record(call_id="c", began_at_us=0, face="f", method="POST", path="/", endpoint="messages")
    waited.mark(record)
    assert record.wait_us == round(own.clock.now() * 1e6) and "for its turn at anthropic haiku-4-5" in waited.told()
    assert 58 < played.onward[0].timeouts.total_s < 59.2, "the deadline stays where it was"


def test_a_wait_that_would_be_too_long_is_not_begun_and_is_a_reason_to_hop(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own, wait_max_s=5)
    play(drive, pacing, a_call(), lambda call: a_reply(call, headers=headers(1, 0)))
    refused = play(drive, pacing, a_call())
    assert isinstance(refused.error, Refused) and refused.error.code == "upstream_busy" and refused.onward == []
    assert 50 < (refused.error.retry_after_s or 0) <= 60 and own.clock.now() == 0
    background = play(drive, pacing, a_call(plan=Plan((Candidate(UPSTREAM),), Policy(lane="background"))))
    assert background.error is None and own.clock.now() > 50


def test_where_another_candidate_follows_a_short_wait_is_long_enough(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own)
    play(drive, pacing, a_call(), lambda call: a_reply(call, headers=headers(10, 0)))
    plan = Plan((Candidate(UPSTREAM), Candidate(OTHER)))
    assert isinstance(play(drive, pacing, a_call(plan=plan)).error, Refused)
    assert play(drive, pacing, a_call(plan=Plan((Candidate(OTHER),)))).error is None, "another key has its own limits"


def test_after_a_429_nothing_is_sent_before_it_said(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own)
    refusal = (*JSON, (b"retry-after", b"7"))
    play(drive, pacing, a_call(), lambda call: a_reply(call, 429, LIMITED, refusal))
    play(drive, pacing, a_call())
    assert 7.0 <= own.clock.now() < 7.3


def test_what_failed_took_nothing(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own, {"requests_per_minute": 3})
    for _ in range(9):
        play(drive, pacing, a_call(), UpstreamFailed("No.", code="connect_failed"))
        play(drive, pacing, a_call(), lambda call: a_reply(call, 529, LIMITED))
    assert own.clock.now() == 0


def test_so_many_calls_are_under_way_at_once(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own, {"concurrency_max": 1}, wait_max_s=2)

    async def below(call: Call) -> Any:
        return a_reply(call)

    async def scene() -> tuple[Played, float]:
        first = await pacing(a_call(), below)
        try:
            await pacing(a_call(), below)
        except Refused as error:
            assert error.code == "upstream_busy"
        waited_s = own.clock.now()
        await first.aclose()
        await (await pacing(a_call(), below)).read()
        return waited_s  # type: ignore[return-value]

    assert 1.5 < drive(scene()) < 2.1


def test_other_endpoints_are_not_paced(drive: Drive) -> None:
    own = fresh()
    pacing = layer(own, {"requests_per_minute": 1})
    for _ in range(5):
        play(drive, pacing, changed(a_call(b"", method="GET", path="/v1/models"), plan=Plan((Candidate(UPSTREAM),))))
    assert own.clock.now() == 0
