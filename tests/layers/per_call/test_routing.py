"""Routing: whom a call may ask, in which order, and what its feature wants for it."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from penstock.call import Call, Candidate, Plan, Policy, Tags, Target
from penstock.config.features import FeatureConfig
from penstock.config.schema import Config, RoutingConfig, UpstreamConfig
from penstock.layers.per_call.routing import Routed, Routes, Routing, conversation, ranked
from script import HELLO, UPSTREAM, Drive, a_call, play, ports, routes

SECOND = Target("second", "https://second.example")


def planned(drive: Drive, layer: Routing, call: Call) -> Plan:
    plan = play(drive, layer, call).onward[0].plan
    assert plan is not None
    return plan


def two(*features: tuple[str, FeatureConfig], among: tuple[str, ...] = (), weight: int = 1) -> Routing:
    upstreams = {"anthropic": UpstreamConfig(), "second": UpstreamConfig(kind="compatible", url=SECOND.url)}
    config = Config(
        upstreams=upstreams,
        routing=RoutingConfig(default=None if among else "anthropic", among=among),
        features=dict(features),
    )
    targets = {"anthropic": (UPSTREAM,), "second": (replace(SECOND, weight=weight),)}
    return Routing(config, Routes(targets, {"busy.txt": "We are busy."}), ports())


def test_a_call_goes_to_the_default_upstream(drive: Drive) -> None:
    played = play(drive, Routing(Config(), routes(UPSTREAM), ports()), a_call(plan=None))
    assert played.onward[0].plan == Plan((Candidate(UPSTREAM),))
    assert played.fact(Routed).upstreams == ("anthropic",)


def test_a_face_that_knows_the_target_is_followed(drive: Drive) -> None:
    own = Target("client", "https://proxy.example/anthropic")
    assert planned(drive, Routing(Config(), routes(UPSTREAM), ports()), a_call(target=own)) == Plan((Candidate(own),))


def test_a_feature_decides_candidates_deadline_and_policy(drive: Drive) -> None:
    chat = FeatureConfig(
        timeout_s=30,
        lane="background",
        fallback=("claude-haiku-4-5", "@second", "claude-opus-5@second", "cached:60", "static:busy.txt"),
        on_refusal="hop",
        single_flight=True,
        reuse_s=5,
        hedge_after_s=2,
    )
    played = play(drive, two(("chat", chat)), a_call(tags=Tags(feature="chat")))
    passed = played.onward[0]
    assert passed.timeouts.total_s == 30
    assert passed.plan == Plan(
        (
            Candidate(UPSTREAM),
            Candidate(UPSTREAM, "claude-haiku-4-5"),
            Candidate(SECOND),
            Candidate(SECOND, "claude-opus-5"),
        ),
        Policy(
            "background", 60.0, "We are busy.", hops_on_refusal=True, is_shared=True, reuse_s=5.0, hedge_after_s=2.0
        ),
    )
    said = played.fact(Routed).told()
    assert said == (
        "Planned for anthropic, then claude-haiku-4-5 at anthropic, then second, then claude-opus-5 at second, in the "
        "background lane."
    )


def test_a_deadline_of_the_caller_that_is_sooner_stays(drive: Drive) -> None:
    layer = two(("default", FeatureConfig(timeout_s=30)))
    soon = a_call()
    soon = replace(soon, timeouts=replace(soon.timeouts, total_s=3.0))
    assert play(drive, layer, soon).onward[0].timeouts.total_s == 3.0


def test_calls_without_a_feature_of_the_config_get_the_default_one(drive: Drive) -> None:
    layer = two(("default", FeatureConfig(lane="background")), ("chat", FeatureConfig()))
    lanes = [
        planned(drive, layer, a_call(tags=Tags(feature=feature))).policy.lane for feature in (None, "other", "chat")
    ]
    assert lanes == ["background", "background", "interactive"]


def test_a_conversation_stays_where_it_is_and_weights_hold(drive: Drive) -> None:
    layer = two(among=("anthropic", "second"), weight=3)
    firsts: Counter[str] = Counter()
    for session in range(400):
        plans = {planned(drive, layer, a_call(tags=Tags(session=f"s{session}"))) for _ in range(2)}
        assert len(plans) == 1
        names = [candidate.target.name for candidate in plans.pop().candidates]
        assert sorted(names) == ["anthropic", "second"], "the other is there if the first fails"
        firsts[names[0]] += 1
    assert 260 < firsts["second"] < 340


def test_one_that_is_left_out_moves_its_own_conversations_only() -> None:
    targets = [Target(f"t{number}", "https://t.example") for number in range(4)]
    for session in range(200):
        name = b"%d" % session
        order = ranked(targets, name)
        without = ranked([target for target in targets if target is not order[0]], name)
        assert list(without) == list(order[1:])


def test_a_conversation_is_known_by_its_session_or_by_how_it_began() -> None:
    def named(text: str, more: int = 0, **rest: object) -> bytes:
        turns = [{"role": "user", "content": text}, *({"role": "assistant", "content": "…"},) * more]
        return conversation(a_call({**HELLO, "messages": turns, **rest}))

    assert named("Hello") == named("Hello", 3)
    assert named("Hello") != named("Good day")
    assert named("Hello") != named("Hello", system="Be brief.")
    assert named("Hello", metadata={"user_id": "u1"}) != named("Hello", metadata={"user_id": "u2"})
    assert conversation(a_call(tags=Tags(session="s"))) == conversation(
        a_call({**HELLO, "messages": []}, tags=Tags(session="s"))
    )
    assert conversation(a_call(b"", method="GET", path="/v1/models")) == b""
