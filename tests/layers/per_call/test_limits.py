"""Limits: how often, and how many at once, by the caller's tier."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec.structs import replace as changed

from penstock.call import Call, Caller, Tags
from penstock.config.features import TierConfig
from penstock.errors import Refused, StoreFailed, UpstreamFailed, rendered
from penstock.layers.per_call.limits import Limits, Uncounted
from penstock.ports import Ports
from penstock.reply import Reply
from penstock.stores.memory import MemoryQuotas
from script import Drive, Played, a_call, a_reply, play, ports

FREE = {"free": TierConfig(requests_per_minute=3)}


def by(user: str | None = None, key: str = "key_1", tier: str | None = "free") -> Call:
    return changed(a_call(tags=Tags(user=user)), caller=Caller("dev", key, tier))


def test_each_user_has_the_minute_of_the_tier(drive: Drive) -> None:
    own = ports()
    layer = Limits(FREE, own)
    for _ in range(3):
        assert play(drive, layer, by("ada")).error is None
    refused = play(drive, layer, by("ada"))
    assert isinstance(refused.error, Refused) and refused.onward == []
    status, headers, _ = rendered(refused.error, "c")
    assert status == 429 and dict(headers)[b"x-should-retry"] == b"true"
    assert 55 <= int(dict(headers)[b"retry-after"]) <= 61
    assert "More than 3 calls per minute of user 'ada', the limit of tier 'free'." in str(refused.error)
    assert play(drive, layer, by("bob")).error is None
    assert play(drive, layer, by("ada", key="key_2")).error is None, "another service's users are others"
    drive(own.clock.sleep(61))
    assert play(drive, layer, by("ada")).error is None


def test_without_a_user_the_key_is_counted_and_a_key_may_have_a_limit_for_all_its_users(drive: Drive) -> None:
    layer = Limits({"default": TierConfig(requests_per_minute=2, key_requests_per_minute=3)}, ports())
    seen = [play(drive, layer, by(user, tier=None)).error is None for user in (None, None, None, "a", "b", "c")]
    assert seen == [True, True, False, True, False, False]


def test_what_is_no_message_and_what_has_no_tier_is_not_counted(drive: Drive) -> None:
    layer = Limits(FREE, ports())
    models = changed(a_call(b"", method="GET", path="/v1/models"), caller=Caller("dev", "key_1", "free"))
    assert all(play(drive, layer, call).error is None for call in [models] * 5 + [by(tier="paid")] * 5)


def test_so_many_at_once_and_a_place_is_given_back_however_a_call_ends(drive: Drive) -> None:
    layer = Limits({"free": TierConfig(concurrency_max=1)}, ports())

    def while_open(call: Call) -> Reply:
        return a_reply(call)

    async def two() -> None:
        async def below(call: Call) -> Reply:
            return while_open(call)

        first = await layer(by("ada"), below)
        with pytest.raises(Refused) as caught:
            await layer(by("ada"), below)
        assert caught.value.code == "too_many_at_once"
        await (await layer(by("bob"), below)).aclose()
        await first.aclose()
        await (await layer(by("ada"), below)).read()

    drive(two())
    for _ in range(2):
        played: Played = play(drive, layer, by("ada"), UpstreamFailed("No.", code="reset"))
        assert isinstance(played.error, UpstreamFailed)
    assert play(drive, layer, by("ada")).error is None


def test_a_store_that_fails_refuses_nobody_and_the_trail_says_so(drive: Drive) -> None:
    class Failing(MemoryQuotas):
        async def take(self, name: str, per_minute: int, amount: int = 1) -> float:
            raise StoreFailed("The disk is full.")

    own: Ports = ports()
    layer = Limits(FREE, replace(own, quotas=Failing(own.clock)))
    played = play(drive, layer, by("ada"))
    assert played.error is None and "disk is full" in played.fact(Uncounted).told()
