"""Resilience between candidates: who is asked next, who is skipped, and what is said instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from penstock.call import Call, Candidate, Plan, Policy, Spent, Target
from penstock.config.schema import ResilienceConfig
from penstock.errors import Refused, Unavailable, UpstreamFailed, rendered
from penstock.layers.per_call.resilience import Resilience, Retried, Skipped, Stopped, Tripped
from penstock.naming import answer_name
from penstock.ports import Ports, StoredAnswer
from penstock.ports.simulated import Scripted, SimulatedUpstream, World
from penstock.recovery.attempts import Hedged
from penstock.recovery.hop import Hopped
from penstock.recovery.substitute import Substituted
from penstock.reply import Reply
from penstock.secret import Secret
from penstock.stores.memory import MemoryStatus
from penstock.wire.reading import reading
from script import ANSWER, HELLO, JSON, SSE, STREAM, UPSTREAM, Drive, Played, a_call, a_reply, play, ports

OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
INVALID = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages: Field required"}}'
RETIRED = b'{"type":"error","error":{"type":"not_found_error","message":"model: claude-haiku-4-5"}}'
REFUSED = ANSWER.replace(b'"end_turn"', b'"refusal"').replace(b'[{"type":"text","text":"Hi"}]', b"[]")
ERROR = b'event: error\ndata: {"type":"error","error":{"details":null,"type":"overloaded_error","message":"O"} }\n\n'
OTHER = Target("other", "https://other.example", Secret("sk-other-1234567890"))
HAIKU, HOP = Candidate(UPSTREAM), Candidate(OTHER, "claude-opus-5")


def asked(call: Call) -> Candidate:
    assert call.plan is not None
    return call.plan.candidates[0]


def overloaded(call: Call) -> Reply:
    return a_reply(call, 529, OVERLOADED)


def tried(
    drive: Drive,
    primary: Callable[[Call], Reply],
    *,
    own: Ports | None = None,
    layer: Resilience | None = None,
    policy: Policy | None = None,
    body: dict[str, Any] | None = None,
    candidates: tuple[Candidate, ...] = (HAIKU, HOP),
    **config: Any,
) -> Played:
    """One call through the layer: the first candidate answers as said, the others well."""
    layer = layer or Resilience(ResilienceConfig(**config), own or ports())
    call = a_call(body, plan=Plan(candidates, policy or Policy()))
    return play(
        drive, layer, call, lambda passed: primary(passed) if asked(passed).target is UPSTREAM else a_reply(passed)
    )


def test_the_next_candidate_is_asked_with_its_own_model(drive: Drive) -> None:
    played = tried(drive, overloaded)
    assert played.body == ANSWER
    assert [asked(call) for call in played.onward] == [HAIKU, HAIKU, HOP]
    assert json.loads(played.onward[-1].body)["model"] == "claude-opus-5"
    assert played.onward[-1].request is not None and played.onward[-1].request.model == "claude-opus-5"
    assert played.fact(Stopped).reason == "another candidate follows"
    assert played.fact(Hopped).candidate == "claude-opus-5 at other"


def test_a_long_wait_is_not_waited_for_where_another_follows(drive: Drive) -> None:
    own = ports()
    limited = (*JSON, (b"retry-after", b"30"))
    played = tried(drive, lambda call: a_reply(call, 429, OVERLOADED, limited), own=own)
    assert played.body == ANSWER and len(played.onward) == 2 and own.clock.now() < 1


@pytest.mark.parametrize(
    ("status", "body", "hops"), [(400, INVALID, False), (404, RETIRED, True), (401, b"no such key", True)]
)
def test_what_another_could_not_do_better_is_no_reason_to_go_on(
    drive: Drive, status: int, body: bytes, hops: bool
) -> None:
    played = tried(drive, lambda call: a_reply(call, status, body))
    assert (played.body == ANSWER) is hops
    assert len(played.onward) == (2 if hops else 1)


def test_a_limit_of_our_own_is_a_reason_to_go_on(drive: Drive) -> None:
    def busy(call: Call) -> Reply:
        raise Refused("Busy.", layer="pacing", code="upstream_busy", fix="", status=429, type="x", retry_after_s=9)

    assert tried(drive, busy).body == ANSWER
    alone = tried(drive, busy, candidates=(HAIKU,))
    assert isinstance(alone.error, Refused) and alone.error.code == "upstream_busy"


def test_a_refusal_is_a_reason_only_where_the_feature_says_so(drive: Drive) -> None:
    declined = lambda call: a_reply(call, 200, REFUSED)  # noqa: E731
    assert tried(drive, declined).body == REFUSED
    assert tried(drive, declined, policy=Policy(hops_on_refusal=True)).body == ANSWER
    last = tried(drive, declined, policy=Policy(hops_on_refusal=True), candidates=(HAIKU,))
    assert last.body == REFUSED


def test_five_failures_open_the_circuit_and_then_it_is_skipped(drive: Drive) -> None:
    own = ports()
    layer = Resilience(ResilienceConfig(), own)
    for _ in range(2):
        tried(drive, overloaded, layer=layer)
    opening = tried(drive, overloaded, layer=layer)
    assert [asked(call) for call in opening.onward] == [HAIKU, HOP]
    assert opening.fact(Tripped).circuit == "anthropic claude-haiku-4-5"
    skipped = tried(drive, overloaded, layer=layer)
    assert [asked(call) for call in skipped.onward] == [HOP] and skipped.body == ANSWER
    assert skipped.fact(Skipped).told() == "anthropic claude-haiku-4-5 was not asked: its circuit is open."


def test_with_nobody_left_to_ask_the_caller_is_told_when_to_come_back(drive: Drive) -> None:
    own = ports()
    layer = Resilience(ResilienceConfig(tries_max=1), own)
    for _ in range(5):
        assert len(tried(drive, overloaded, layer=layer, candidates=(HAIKU,)).onward) == 1
    played = tried(drive, overloaded, layer=layer, candidates=(HAIKU,))
    assert isinstance(played.error, Unavailable) and played.onward == []
    status, headers, body = rendered(played.error, "call_1")
    assert status == 503 and dict(headers)[b"x-should-retry"] == b"false" and dict(headers)[b"retry-after"] == b"60"
    assert json.loads(body)["error"]["details"]["error_code"] == "circuit_open"


def test_a_probe_that_succeeds_closes_the_circuit_and_one_that_fails_opens_it_for_longer(drive: Drive) -> None:
    own = ports()
    layer = Resilience(ResilienceConfig(tries_max=1), own)

    def ask(answer: Callable[[Call], Reply]) -> Played:
        return tried(drive, answer, layer=layer, candidates=(HAIKU,))

    async def pass_(seconds: float) -> None:
        await own.clock.sleep(seconds)

    for _ in range(5):
        ask(overloaded)
    drive(pass_(61))
    assert len(ask(overloaded).onward) == 1, "the probe"
    drive(pass_(61))
    assert ask(a_reply).onward == [], "two minutes now"
    drive(pass_(60))
    assert ask(a_reply).body == ANSWER
    assert ask(a_reply).body == ANSWER


def test_an_earlier_answer_is_given_and_then_the_operators_words(drive: Drive) -> None:
    own = ports()
    policy = Policy(earlier_s=60, text="We are busy, please call again.")

    def down(call: Call) -> Reply:
        raise UpstreamFailed("No.", code="connect_failed")

    words = tried(drive, down, own=own, policy=policy, candidates=(HAIKU,))
    assert words.body is not None and words.reply is not None
    assert json.loads(words.body)["content"] == [{"type": "text", "text": "We are busy, please call again."}]
    assert dict(words.reply.headers)[b"x-penstock-substitute"] == b"text"
    assert words.fact(Substituted).is_free()
    stream = tried(drive, down, own=own, policy=policy, candidates=(HAIKU,), body={**HELLO, "stream": True})
    assert stream.reply is not None and stream.reply.answer.is_whole and stream.reply.answer.stop_reason == "end_turn"

    name = answer_name(words.onward[0])
    kept = StoredAnswer("call_0", 200, JSON, ANSWER, own.clock.wall_us())

    async def keep() -> None:
        await own.answers.claim(name, b"d", "call_0", own.clock.wall_us(), own.clock.wall_us() + 10**6)
        await own.answers.put(name, "call_0", kept, own.clock.wall_us() + 10**9)

    drive(keep())
    earlier = tried(drive, down, own=own, policy=policy, candidates=(HAIKU,))
    assert earlier.body == ANSWER and earlier.fact(Substituted).call_id == "call_0"
    drive(own.clock.sleep(100))
    assert tried(drive, down, own=own, policy=policy, candidates=(HAIKU,)).fact(Substituted).kind == "text"


def test_a_fault_of_the_callers_own_is_not_hidden_behind_kind_words(drive: Drive) -> None:
    played = tried(drive, lambda call: a_reply(call, 400, INVALID), policy=Policy(text="Sorry."))
    assert played.body == INVALID


def test_an_incident_of_the_provider_makes_tries_few(drive: Drive) -> None:
    from dataclasses import replace

    own = replace(ports(), status=MemoryStatus("Elevated errors on the Claude API"))
    played = tried(drive, overloaded, own=own, candidates=(HAIKU,), breaker_failures=0)
    assert len(played.onward) == 2


def streaming(drive: Drive, *scripts: Scripted, **more: Any) -> tuple[Played, World]:
    """One streaming call whose attempts go as scripted, in virtual time that passes at once."""
    own = ports(world=World(3))
    left = list(scripts)
    upstream = SimulatedUpstream(own.clock, lambda request: left.pop(0))  # type: ignore[arg-type]

    async def below(call: Call) -> Reply:
        incoming = await upstream.send(None)  # type: ignore[arg-type]
        follow = reading(call.endpoint, incoming.status, incoming.headers)
        return Reply(incoming.status, incoming.headers, incoming.source, reading=follow, request_id="r")

    layer = Resilience(ResilienceConfig(**more), own)
    call = a_call({**HELLO, "stream": True})

    async def scene() -> Played:
        try:
            reply = await layer(call, below)
            return Played([], reply, None, await reply.read(), call.trail)
        except Exception as error:
            return Played([], None, error, None, call.trail)

    played: Played = drive(scene())
    assert all(served.is_released for served in upstream.served)
    return played, own.clock  # type: ignore[return-value]


GOOD = Scripted(headers=SSE, chunks=STREAM)


@pytest.mark.parametrize(
    "bad",
    [
        Scripted(headers=SSE, chunks=(STREAM[0], ERROR)),
        Scripted(headers=SSE, chunks=STREAM[:1]),
        Scripted(headers=SSE, chunks=STREAM[:1], breaks="reset"),
        Scripted(headers=SSE, chunks=STREAM[:1], breaks="idle_timeout"),
        Scripted(headers=SSE, chunks=()),
    ],
    ids=["error event", "clean end", "reset", "silence", "nothing"],
)
def test_a_stream_that_breaks_before_its_first_content_is_tried_again_unseen(drive: Drive, bad: Scripted) -> None:
    played, _ = streaming(drive, bad, GOOD)
    assert played.body == b"".join(STREAM)
    assert len([fact for fact in played.trail if isinstance(fact, Retried)]) == 1
    if bad.chunks:
        assert played.fact(Spent).usage.input_tokens == 8, "what it had used may be billed"


def test_after_its_first_content_a_stream_is_the_callers(drive: Drive) -> None:
    played, _ = streaming(drive, Scripted(headers=SSE, chunks=(*STREAM[:4], ERROR)))
    assert played.body == b"".join((*STREAM[:4], ERROR))
    cut, _ = streaming(drive, Scripted(headers=SSE, chunks=STREAM[:4], breaks="reset"))
    assert cut.body is not None and cut.body.startswith(b"".join(STREAM[:4])) and cut.body.count(b"event: error") == 1


def test_a_beginning_is_held_back_no_longer_than_it_may(drive: Drive) -> None:
    slow = Scripted(headers=SSE, chunks=STREAM, gap_s=4.0)
    played, _ = streaming(drive, slow, hold_s=3.0)
    assert played.body == b"".join(STREAM)
    broken, _ = streaming(drive, Scripted(headers=SSE, chunks=STREAM[:1], gap_s=4.0, breaks="reset"), hold_s=3.0)
    assert broken.body is not None and broken.body.count(b"event: error") == 1, "too late to be tried again unseen"


def test_a_whole_answer_that_is_cut_is_tried_again(drive: Drive) -> None:
    cut = Scripted(headers=JSON, chunks=(ANSWER[:40],), breaks="cut")
    half = Scripted(headers=JSON, chunks=(ANSWER[:40],))
    played, _ = streaming(drive, cut, half, Scripted(headers=JSON, chunks=(ANSWER,)))
    assert played.body == ANSWER


def test_a_hedge_is_begun_where_the_first_is_late_and_the_quicker_one_counts() -> None:
    world = World(9)
    own = ports(world=world)
    object.__setattr__(own, "clock", world)
    from penstock.ports.simulated import SimulatedTasks

    object.__setattr__(own, "tasks", SimulatedTasks(world))
    takes = iter([30.0, 1.0])
    upstream = SimulatedUpstream(world, lambda request: Scripted(headers=JSON, chunks=(ANSWER,), head_s=next(takes)))

    async def below(call: Call) -> Reply:
        incoming = await upstream.send(None)  # type: ignore[arg-type]
        follow = reading(call.endpoint, incoming.status, incoming.headers)
        return Reply(incoming.status, incoming.headers, incoming.source, reading=follow, request_id="r")

    call = a_call(plan=Plan((HAIKU,), Policy(hedge_after_s=2.0)))

    async def scene() -> bytes:
        reply = await Resilience(ResilienceConfig(), own)(call, below)
        return await reply.read()

    task = world.spawn(scene())
    world.run()
    assert task.result == ANSWER and 3.0 < world.now() < 3.2
    assert len(upstream.served) == 2 and all(served.is_released for served in upstream.served)
    assert call.trail.last(Hedged) is not None


def test_calls_with_tools_are_never_hedged(drive: Drive) -> None:
    tool = {"name": "t", "input_schema": {"type": "object"}}
    played = tried(drive, a_reply, policy=Policy(hedge_after_s=0.05), body={**HELLO, "tools": [tool]})
    assert len(played.onward) == 1 and played.trail.last(Hedged) is None
