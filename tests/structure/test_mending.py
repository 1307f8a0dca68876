"""Wrong answers go back with their errors, within bounds, and are paid; what stays wrong is what the feature wants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from formed import BAD, GOOD, SCHEMA, asked, layer, message, outcome, said, stream
from penstock.call import Call, Candidate, Plan, Policy, Spent, Target, Timeouts
from penstock.config.schema import ResilienceConfig
from penstock.errors import Refused, UpstreamFailed
from penstock.layers.per_call.resilience import Resilience, Tripped
from penstock.reply import Ending, Reply, Tap
from penstock.structure.judging import Judged
from script import JSON, SSE, Drive, a_call, a_reply, play, ports

# --- mending -----------------------------------------------------------------------------------------------------


def test_a_wrong_answer_goes_back_with_its_errors_and_what_both_used_is_paid(drive: Drive) -> None:
    thought = {"type": "thinking", "thinking": "", "signature": "c2ln"}
    first = message(blocks=[thought, {"type": "text", "text": BAD}], tokens=7)
    call = a_call()
    played = play(drive, layer(), call, said(first, message()))
    assert outcome(played) == "repaired" and played.body == message()
    again = played.onward[1]
    before, after = asked(played.onward[0]), asked(again)
    assert after["messages"][:1] == before["messages"] and {**after, "messages": 0} == {**before, "messages": 0}
    assert after["messages"][1] == {"role": "assistant", "content": [thought, {"type": "text", "text": BAD}]}
    assert json.dumps([thought, {"type": "text", "text": BAD}]).encode() in again.body, "signed as it came"
    told = after["messages"][2]["content"]
    assert '$.age: "old" is not of type "integer"' in told and "JSON Schema" not in told
    assert again.request is not None and again.request.messages != call.request.messages  # type: ignore[union-attr]
    spent = played.fact(Spent)
    assert (spent.usage.output_tokens, spent.model, spent.is_exact) == (7, "claude-haiku-4-5", True)
    assert played.reply is not None and played.reply.answer.usage is not None, "the ledger adds the other"
    assert played.fact(Judged) == Judged("repaired", 1)


def test_where_the_api_does_not_know_the_schema_the_errors_come_with_it(drive: Drive) -> None:
    played = play(drive, layer(native="off"), a_call(), said(message(BAD), message()))
    assert json.dumps(SCHEMA, separators=(",", ":")) in asked(played.onward[1])["messages"][2]["content"]


def test_an_empty_answer_is_not_repeated(drive: Drive) -> None:
    played = play(drive, layer(), a_call(), said(message(""), message()))
    assert [turn["role"] for turn in asked(played.onward[1])["messages"]] == ["user", "user"]
    assert outcome(played) == "repaired"


def test_it_is_asked_so_often_and_no_more_and_the_last_answer_is_passed_on(drive: Drive) -> None:
    bodies = [message(BAD, tokens=n) for n in (1, 2, 3)]
    played = play(drive, layer(repairs=2), a_call(), said(*bodies))
    assert len(played.onward) == 3 and played.body == bodies[2]
    assert [fact.usage.output_tokens for fact in played.trail if isinstance(fact, Spent)] == [1, 2]
    assert outcome(played) == "invalid" and played.fact(Judged).repairs == 2
    assert len(asked(played.onward[2])["messages"]) == 5, "each builds on the one before"


@pytest.mark.parametrize("stop", ["max_tokens", "refusal", "tool_use"])
def test_a_mended_answer_that_is_none_is_paid_and_the_first_one_stays(drive: Drive, stop: str) -> None:
    played = play(drive, layer(repairs=3), a_call(), said(message(BAD), message(GOOD, stop, tokens=9)))
    assert outcome(played) == "invalid" and played.body == message(BAD) and len(played.onward) == 2
    assert played.fact(Spent).usage.output_tokens == 9 and "not mended" in played.fact(Judged).told()


@pytest.mark.parametrize(
    "failure",
    [
        Refused("No money.", layer="budgets", code="budget_exhausted", fix="", status=402, type="billing_error"),
        UpstreamFailed("Gone.", code="reset"),
        429,
    ],
)
def test_where_it_cannot_be_asked_again_the_first_answer_is_passed_on(drive: Drive, failure: Any) -> None:
    def answer(call: Call) -> Reply:
        if len(asked(call)["messages"]) == 1:
            return a_reply(call, 200, message(BAD))
        if isinstance(failure, int):
            return a_reply(call, failure, b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow."}}')
        raise failure

    played = play(drive, layer(repairs=3), a_call(), answer)
    assert played.body == message(BAD) and outcome(played) == "invalid" and len(played.onward) == 2
    assert played.trail.last(Spent) is None and played.fact(Judged).unrepaired


def test_a_mending_that_breaks_midway_is_counted(drive: Drive) -> None:
    def answer(call: Call) -> Reply:
        whole = stream(BAD)
        return a_reply(call, 200, whole if len(asked(call)["messages"]) == 1 else whole[:900], SSE)

    played = play(drive, layer(), a_call(), answer)
    assert outcome(played) == "invalid" and played.body == stream(BAD)
    assert played.fact(Spent).usage.input_tokens == 8 and not played.fact(Spent).is_exact


def test_no_answer_is_mended_past_the_calls_time(drive: Drive) -> None:
    own = ports()

    def slow(call: Call) -> Reply:
        own.clock._now_s += 6.0  # type: ignore[attr-defined]
        return a_reply(call, 200, message(BAD))

    tight = play(drive, layer(own=own), a_call(timeouts=Timeouts(total_s=10)), slow)
    assert len(tight.onward) == 1 and tight.fact(Judged).unrepaired == "no time was left"
    ample = play(drive, layer(own=own), a_call(timeouts=Timeouts(total_s=20)), slow)
    assert len(ample.onward) == 2 and ample.onward[1].timeouts.total_s == pytest.approx(14)


def test_what_the_first_answer_held_below_is_given_back_before_another_is_asked_for(drive: Drive) -> None:
    ended: list[str] = []

    class Below(Tap):
        async def ended(self, ending: Ending) -> None:
            ended.append(ending.kind)

    bodies = iter([message(BAD), message()])

    def answer(call: Call) -> Reply:
        assert len(ended) == len(asked(call)["messages"]) // 2
        return a_reply(call, 200, next(bodies)).tap(Below())

    assert outcome(play(drive, layer(), a_call(), answer)) == "repaired" and ended == ["complete", "complete"]


def test_a_wrong_answer_can_be_an_error_whose_cost_is_known(drive: Drive) -> None:
    played = play(drive, layer(invalid="refuse"), a_call(), said(message(BAD), message(BAD)))
    assert played.reply is not None and played.reply.status == 422 and played.body is not None
    error = json.loads(played.body)["error"]
    assert error["details"]["error_code"] == "answer_invalid" and "asked for 2 times" in error["message"]
    assert dict(played.reply.headers)[b"x-should-retry"] == b"false" and outcome(played) == "invalid"
    assert len([fact for fact in played.trail if isinstance(fact, Spent) and fact.is_exact]) == 2


# --- what the layers above make of it ----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [message, stream])
@pytest.mark.parametrize(("hops", "asks"), [(True, 2), (False, 1)])
def test_the_next_candidate_is_asked_where_the_feature_wants_that_and_what_was_left_is_paid_exactly(
    drive: Drive, make: Any, hops: bool, asks: int
) -> None:
    other = Candidate(Target("other", "https://other.example"), "claude-sonnet-4-6")
    plan = Plan((Candidate(Target("anthropic", "https://a.example")), other), Policy(hops_on_invalid=hops))
    headers = JSON if make is message else SSE
    bodies, inner = said(make(BAD), make(), headers=headers), layer(repairs=0, invalid="hop")

    def both(call: Call, onward: Any) -> Any:
        return Resilience(ResilienceConfig(), ports())(call, lambda passed: inner(passed, onward))

    played = play(drive, both, a_call(plan=plan), bodies)
    assert len(played.onward) == asks and outcome(played) == ("valid" if hops else "invalid")
    spent = [fact.is_exact for fact in played.trail if isinstance(fact, Spent)]
    assert spent == ([True] if hops else [])
    assert (played.trail.last(Tripped) is None) and played.body == make(GOOD if hops else BAD)
