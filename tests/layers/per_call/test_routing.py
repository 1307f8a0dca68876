"""Routing: where the call may go."""

from __future__ import annotations

from penstock.call import Target
from penstock.layers.per_call.routing import Routed, Routing
from script import UPSTREAM, Drive, a_call, play


def test_a_call_goes_to_the_default_upstream(drive: Drive) -> None:
    played = play(drive, Routing(UPSTREAM), a_call())
    assert played.onward[0].plan is not None
    assert played.onward[0].plan.targets == (UPSTREAM,)
    assert played.fact(Routed).upstreams == ("anthropic",)


def test_a_face_that_knows_the_target_is_followed(drive: Drive) -> None:
    own = Target("client", "https://proxy.example/anthropic")
    played = play(drive, Routing(UPSTREAM), a_call(target=own))
    assert played.onward[0].plan is not None
    assert played.onward[0].plan.targets == (own,)
