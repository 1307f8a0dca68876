"""Replay: one upstream call for the same key, for the same request at once, and for the same request again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as changed

from penstock.call import Call, Caller, Candidate, Plan, Policy, Tags, Timeouts
from penstock.config.schema import ReplayConfig
from penstock.errors import PenstockError, Refused, StoreFailed, Unavailable, UpstreamFailed
from penstock.layers.per_call.replay import Replay, Replayed, Unkept
from penstock.ports import Claim, Ports
from penstock.ports.simulated import World
from penstock.reply import Reply, Whole
from penstock.stores.memory import MemoryAnswers
from penstock.wire.reading import reading
from script import ANSWER, HELLO, JSON, SSE, STREAM, UPSTREAM, Drive, Played, a_call, a_reply, play, ports

KEY = (b"idempotency-key", b"order-17")
TOOL = {"name": "t", "input_schema": {"type": "object"}}


def keyed(body: dict[str, Any] | None = None, *, id: str = "call_1", key: bytes = KEY[1], by: str = "key_1") -> Call:
    call = a_call(body, headers=((KEY[0], key),))
    return changed(call, id=id, caller=Caller("dev", by))


def wanted(policy: Policy, body: dict[str, Any] | None = None, *, id: str = "call_1", by: str = "key_1") -> Call:
    return changed(a_call(body, plan=Plan((Candidate(UPSTREAM),), policy)), id=id, caller=Caller("dev", by))


def failed(call: Call) -> Reply:
    return a_reply(call, 529, b'{"type":"error","error":{"type":"overloaded_error","message":"O"}}')


def streamed(call: Call) -> Reply:
    return Reply(200, SSE, Whole(STREAM), reading=reading(call.endpoint, 200, SSE), request_id="req_011")


def test_the_same_key_and_request_get_the_first_good_answer_for_nothing(drive: Drive) -> None:
    layer = Replay(ReplayConfig(), ports())
    assert play(drive, layer, keyed(), failed).reply is not None, "a failure is not kept"
    first = play(drive, layer, keyed(id="call_2"))
    again = play(drive, layer, keyed(id="call_3"))
    assert len(first.onward) == 1 and again.onward == []
    assert again.body == first.body == ANSWER
    assert again.reply is not None and (b"x-penstock-replayed", b"call_2") in again.reply.headers
    assert again.fact(Replayed).is_free() and "idempotency key" in again.fact(Replayed).told()


def test_a_stream_is_given_again_byte_for_byte(drive: Drive) -> None:
    layer, body = Replay(ReplayConfig(), ports()), {**HELLO, "stream": True}
    play(drive, layer, keyed(body), streamed)
    again = play(drive, layer, keyed(body))
    assert again.body == b"".join(STREAM) and again.onward == []
    assert again.reply is not None and again.reply.headers[: len(SSE)] == SSE


def test_another_request_with_the_same_key_is_refused_and_another_caller_has_keys_of_its_own(drive: Drive) -> None:
    layer = Replay(ReplayConfig(), ports())
    play(drive, layer, keyed())
    other = play(drive, layer, keyed({**HELLO, "max_tokens": 9}))
    assert isinstance(other.error, Refused) and (other.error.status, other.error.code) == (422, "idempotency_mismatch")
    assert len(play(drive, layer, keyed(by="key_2")).onward) == 1


def test_an_answer_is_kept_as_long_as_the_config_says(drive: Drive) -> None:
    own = ports()
    layer = Replay(ReplayConfig(idempotency_s=60), own)
    play(drive, layer, keyed())
    drive(own.clock.sleep(61))
    assert len(play(drive, layer, keyed()).onward) == 1


@pytest.mark.parametrize("key", [b"k" * 256, b"a\tb", "ü".encode()])
def test_a_key_that_is_none_is_refused(drive: Drive, key: bytes) -> None:
    played = play(drive, Replay(ReplayConfig(), ports()), keyed(key=key))
    assert isinstance(played.error, Refused) and played.error.code == "bad_idempotency_key"


def test_what_is_too_large_or_was_not_whole_is_not_kept(drive: Drive) -> None:
    small = Replay(ReplayConfig(body_bytes_max=10), ports())
    assert len(play(drive, small, keyed()).onward) == len(play(drive, small, keyed()).onward) == 1
    layer = Replay(ReplayConfig(), ports())
    cut = play(drive, layer, keyed({**HELLO, "stream": True}), lambda call: _cut(call))
    assert cut.body is not None and b"event: error" in cut.body
    assert len(play(drive, layer, keyed({**HELLO, "stream": True}), streamed).onward) == 1


def _cut(call: Call) -> Reply:
    return Reply(200, SSE, Whole(STREAM[:4]), reading=reading(call.endpoint, 200, SSE), request_id="req_011")


class Failing(MemoryAnswers):
    async def claim(self, name: str, digest: bytes, owner: str, now_us: int, lease_until_us: int) -> Claim:
        raise StoreFailed("The disk is full.")


def test_a_store_that_fails_refuses_a_key_and_lets_everything_else_pass(drive: Drive) -> None:
    layer = Replay(ReplayConfig(), replace(ports(), answers=Failing()))
    refused = play(drive, layer, keyed())
    assert isinstance(refused.error, Unavailable) and refused.error.code == "replay_unavailable"
    assert refused.onward == []
    passed = play(drive, layer, wanted(Policy(is_shared=True)))
    assert passed.body == ANSWER and "disk is full" in passed.fact(Unkept).told()


def test_an_identical_call_is_answered_from_before_for_as_long_as_the_feature_says(drive: Drive) -> None:
    own = ports()
    layer, policy = Replay(ReplayConfig(), own), Policy(reuse_s=60)
    assert len(play(drive, layer, wanted(policy)).onward) == 1
    again = play(drive, layer, wanted(policy, id="call_2"))
    assert again.onward == [] and again.body == ANSWER and again.fact(Replayed).kind == "reuse"
    assert len(play(drive, layer, wanted(policy, by="key_2")).onward) == 1, "another caller's answers are others"
    assert len(play(drive, layer, wanted(policy, {**HELLO, "max_tokens": 9})).onward) == 1
    drive(own.clock.sleep(61))
    assert len(play(drive, layer, wanted(policy, id="call_3")).onward) == 1


def test_calls_with_tools_are_answered_anew_unless_the_feature_says_otherwise(drive: Drive) -> None:
    layer, body = Replay(ReplayConfig(), ports()), {**HELLO, "tools": [TOOL]}
    for policy, calls in ((Policy(reuse_s=60), 2), (Policy(reuse_s=60, reuses_tools=True), 1)):
        assert sum(len(play(drive, layer, wanted(policy, body)).onward) for _ in range(2)) == calls


def test_a_refusal_of_the_model_is_not_given_again_without_a_key(drive: Drive) -> None:
    declined = ANSWER.replace(b'"end_turn"', b'"refusal"')
    layer, policy = Replay(ReplayConfig(), ports()), Policy(reuse_s=60)
    play(drive, layer, wanted(policy), lambda call: a_reply(call, body=declined))
    assert len(play(drive, layer, wanted(policy)).onward) == 1
    play(drive, layer, keyed(), lambda call: a_reply(call, body=declined))
    assert play(drive, layer, keyed()).body == declined


def test_calls_that_want_nothing_of_it_pass_as_they_are(drive: Drive) -> None:
    played: Played = play(drive, Replay(ReplayConfig(), ports()), wanted(Policy()))
    assert played.body == ANSWER and not played.trail


def in_a_world(
    call: Any, calls: int, *, seed: int = 1, fails: int = 0, takes_s: float = 2.0, hangs_up: bool = False
) -> tuple[list[Any], list[str], World]:
    """So many calls at once; the first `fails` upstream calls fail. What each got, who was sent, and the world."""
    world = World(seed)
    own: Ports = replace(ports(world=world), clock=world)
    layer, sent = Replay(ReplayConfig(), own), []

    async def below(passed: Call) -> Reply:
        sent.append(passed.id)
        place = len(sent)
        await world.sleep(takes_s)
        if place <= fails:
            raise UpstreamFailed("No.", code="reset")
        return a_reply(passed)

    async def ask(number: int) -> bytes | str:
        own_call = changed(call(f"call_{number}"), began=world.now(), began_at_us=world.wall_us())
        try:
            return await (await layer(own_call, below)).read()
        except PenstockError as error:
            return error.code

    tasks = [world.spawn(ask(number), after_s=world.uniform(0, 0.5)) for number in range(calls)]
    if hangs_up:
        for task in tasks[: calls // 2]:
            world.hang_up(task, after_s=world.uniform(0, 3))
    world.run()
    return [task.result for task in tasks], sent, world


def test_a_hundred_at_once_with_the_same_key_are_one_upstream_call() -> None:
    got, sent, world = in_a_world(lambda id: keyed(id=id), 100)
    assert got == [ANSWER] * 100 and len(sent) == 1
    assert world.now() < 3.0, "those who joined have it soon after"


def test_where_the_first_fails_the_next_takes_its_place() -> None:
    got, sent, _ = in_a_world(lambda id: keyed(id=id), 20, fails=3)
    assert len(sent) == 4 and got.count("reset") == 3 and got.count(ANSWER) == 17


@pytest.mark.parametrize("seed", range(20))
def test_whoever_hangs_up_the_others_get_their_answer(seed: int) -> None:
    got, sent, _ = in_a_world(lambda id: keyed(id=id), 12, seed=seed, hangs_up=True)
    assert got[6:] == [ANSWER] * 6
    assert 1 <= len(sent) <= 7


def test_a_joined_call_does_not_wait_past_its_own_deadline() -> None:
    def call(id: str) -> Call:
        return changed(keyed(id=id), timeouts=Timeouts(total_s=1.0))

    got, sent, world = in_a_world(call, 5, takes_s=30.0)
    assert got.count("idempotency_in_flight") == 4 and len(sent) == 1
    assert world.now() < 31


def test_identical_calls_under_way_at_once_are_one_where_the_feature_says_so() -> None:
    got, sent, _ = in_a_world(lambda id: wanted(Policy(is_shared=True), id=id), 50)
    assert got == [ANSWER] * 50 and len(sent) == 1
    _, alone, _ = in_a_world(lambda id: wanted(Policy(), id=id), 5)
    assert len(alone) == 5


def test_one_who_comes_when_the_flight_is_over_asks_anew() -> None:
    world = World(1)
    own = replace(ports(world=world), clock=world)
    layer, sent = Replay(ReplayConfig(), own), []

    async def below(passed: Call) -> Reply:
        sent.append(passed.id)
        return a_reply(passed)

    async def ask(number: int) -> None:
        call = wanted(Policy(is_shared=True), id=f"call_{number}")
        await (await layer(changed(call, began=world.now(), began_at_us=world.wall_us()), below)).read()

    for number in range(3):
        world.spawn(ask(number), after_s=number * 0.5)
    world.run()
    assert sent == ["call_0", "call_1", "call_2"]


def test_scopes_part_segments_and_credentials() -> None:
    from penstock.naming import answer_name, idempotency_name

    base = a_call()
    others = [
        changed(base, tags=Tags(segment="acme")),
        changed(base, caller=Caller("prod")),
        changed(base, caller=Caller("dev", "key_1")),
        changed(base, fields={b"x-api-key": b"sk-1"}),
        changed(base, fields={b"authorization": b"Bearer sk-1"}),
        changed(base, fields={b"anthropic-beta": b"x"}),
        changed(base, body=base.body + b" "),
    ]
    assert len({answer_name(call) for call in [base, *others]}) == len(others) + 1
    assert "sk-1" not in idempotency_name(others[3], "k") and JSON
