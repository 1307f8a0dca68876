"""Resilience: what is tried again, when, and when not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.call import Call, Timeouts
from penstock.config.schema import ResilienceConfig
from penstock.errors import Refused, UpstreamFailed, rendered
from penstock.layer import Next
from penstock.layers.per_call.resilience import Resilience, Retried, Stopped
from penstock.ports import Circuit
from penstock.ports.simulated import World
from penstock.record import Record
from penstock.reply import Reply
from penstock.stores.memory import MemoryRetryBudget
from script import ANSWER, JSON, Drive, Played, a_call, a_reply, play, ports

OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
LIMITED = b'{"type":"error","error":{"type":"rate_limit_error","message":"Too fast."}}'
INVALID = b'{"type":"error","error":{"type":"invalid_request_error","message":"messages: Field required"}}'
Step = Callable[[Call], Reply] | str


def answers(status: int, body: bytes, **fields: str) -> Callable[[Call], Reply]:
    headers = (*JSON, *((name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()))
    return lambda call: a_reply(call, status, body, headers)


UNFIT = answers(429, LIMITED, x_should_retry="false")


def sequence(*steps: Step) -> Callable[[Call], Reply]:
    """Step by step, the last one for ever; a text is the code of a failure."""
    left = itertools.chain(steps, itertools.repeat(steps[-1]))

    def answer(call: Call) -> Reply:
        step = next(left)
        if isinstance(step, str):
            raise UpstreamFailed(f"It failed: {step}.", code=step)
        return step(call)

    return answer


def tried(
    drive: Drive, *steps: Step, call: Call | None = None, budget: MemoryRetryBudget | None = None, **config: Any
) -> tuple[Played, float]:
    """One call through the layer, and how long it took."""
    config.setdefault("breaker_failures", 0)
    own = ports(world=World(5), retries=budget or MemoryRetryBudget(35, 0.5))
    played = play(drive, Resilience(ResilienceConfig(**config), own), call or a_call(), sequence(*steps))
    return played, own.clock.now()


def waits(played: Played) -> list[float]:
    return [fact.wait_us / 1e6 for fact in played.trail if isinstance(fact, Retried)]


def test_what_passes_by_itself_is_tried_until_it_has_passed(drive: Drive) -> None:
    overloaded = answers(529, OVERLOADED)
    played, took_s = tried(drive, overloaded, overloaded, overloaded, a_reply)
    assert played.body == ANSWER and len(played.onward) == 4
    assert took_s == pytest.approx(sum(waits(played)), abs=1e-5) and took_s > 0
    record = Record(call_id="c", began_at_us=0, face="f", method="POST", path="/", endpoint="messages")
    for fact in played.trail:
        fact.mark(record)
    assert record.wait_us == round(took_s * 1e6) or abs(record.wait_us - took_s * 1e6) < 5


def test_the_seventh_failure_is_the_callers_byte_for_byte(drive: Drive) -> None:
    played, _ = tried(drive, answers(529, OVERLOADED, x_kept="yes"))
    assert len(played.onward) == 7 and played.body == OVERLOADED
    assert played.reply is not None and played.reply.status == 529
    assert (b"x-kept", b"yes") in played.reply.headers
    assert dict(played.reply.headers)[b"x-should-retry"] == b"false", "its SDK is not to start over"
    assert played.fact(Stopped).reason == "7 tries are all it gets"


def test_waits_double_and_are_jittered_over_their_whole_width(drive: Drive) -> None:
    seen: list[list[float]] = [[] for _ in range(6)]
    for seed in range(60):
        own = ports(world=World(seed))
        layer = Resilience(ResilienceConfig(wait_max_s=4.0, breaker_failures=0), own)
        played = play(drive, layer, a_call(), sequence(answers(529, OVERLOADED)))
        for place, wait_s in zip(seen, waits(played), strict=True):
            place.append(wait_s)
    for place, most in zip(seen, (1.0, 2.0, 4.0, 4.0, 4.0, 4.0), strict=True):
        assert max(place) <= most and max(place) > 0.8 * most and min(place) < 0.2 * most


@pytest.mark.parametrize(
    ("step", "attempts"),
    [
        (answers(400, INVALID), 1),
        (UNFIT, 1),
        (answers(500, b'{"type":"error","error":{"type":"api_error","message":"Internal server error"}}'), 3),
        (answers(503, b"upstream connect error"), 3),
        ("connect_failed", 3),
        ("reset", 3),
        ("first_byte_timeout", 2),
        ("total_timeout", 1),
    ],
)
def test_each_kind_of_failure_gets_its_tries(drive: Drive, step: Step, attempts: int) -> None:
    played, _ = tried(drive, step)
    assert len(played.onward) == attempts
    if isinstance(step, str):
        assert isinstance(played.error, UpstreamFailed) and played.error.code == step
    assert played.fact(Stopped).attempt == attempts
    said = rendered(played.error, "call_1")[1] if played.error is not None else played.reply.headers  # type: ignore[union-attr]
    assert (dict(said).get(b"x-should-retry") == b"false") is (attempts > 1 or step in (UNFIT, "total_timeout"))


def test_callers_are_told_not_to_try_again_where_the_allowance_is_spent(drive: Drive) -> None:
    details = b'"details":{"error_code":"enforced_spend_limit_reached"}'
    played, _ = tried(drive, answers(429, LIMITED.replace(b"}}", b"," + details + b"}}")))
    assert len(played.onward) == 1
    assert dict(played.reply.headers)[b"x-should-retry"] == b"false"  # type: ignore[union-attr]


def test_a_retry_after_is_obeyed(drive: Drive) -> None:
    played, took_s = tried(drive, answers(429, LIMITED, retry_after="20"), a_reply)
    assert played.body == ANSWER and 20.0 <= took_s <= 22.0


def test_no_wait_goes_past_the_deadline_and_the_next_try_gets_what_is_left(drive: Drive) -> None:
    call = a_call(timeouts=Timeouts(total_s=30.0))
    late, took_s = tried(drive, answers(429, LIMITED, retry_after="60"), a_reply, call=call)
    assert late.reply is not None and late.reply.status == 429 and took_s == 0
    assert "past its deadline" in late.fact(Stopped).reason
    soon, _ = tried(drive, answers(429, LIMITED, retry_after="20"), a_reply, call=call)
    assert soon.body == ANSWER
    assert soon.onward[0].timeouts.total_s == 30.0 and 7.9 <= soon.onward[1].timeouts.total_s <= 10.0


def test_an_empty_budget_leaves_one_attempt_for_each_call_until_successes_refill_it(drive: Drive) -> None:
    budget = MemoryRetryBudget(2, 0.5)
    overloaded = answers(529, OVERLOADED)
    first, _ = tried(drive, overloaded, budget=budget)
    assert len(first.onward) == 3 and "budget" in first.fact(Stopped).reason
    second, _ = tried(drive, overloaded, budget=budget)
    assert len(second.onward) == 1
    assert second.reply is not None and dict(second.reply.headers)[b"x-should-retry"] == b"false"
    for _ in range(2):
        tried(drive, a_reply, budget=budget)
    third, _ = tried(drive, overloaded, a_reply, budget=budget)
    assert third.body == ANSWER
    for _ in range(50):
        tried(drive, a_reply, budget=budget)
    assert budget.left == 2


def test_what_the_sdk_tried_before_counts_in(drive: Drive) -> None:
    call = a_call(headers=((b"x-stainless-retry-count", b"2"),))
    played, _ = tried(drive, answers(529, OVERLOADED), call=call)
    assert len(played.onward) == 5


@pytest.mark.parametrize(("tries_max", "attempts"), [(1, 1), (2, 2), (50, 7)])
def test_the_callers_own_limit_holds(drive: Drive, tries_max: int, attempts: int) -> None:
    played, _ = tried(drive, answers(529, OVERLOADED), call=replace(a_call(), tries_max=tries_max))
    assert len(played.onward) == attempts


def test_it_can_be_turned_off(drive: Drive) -> None:
    played, _ = tried(drive, answers(529, OVERLOADED), tries_max=1)
    assert len(played.onward) == 1 and played.body == OVERLOADED


@pytest.mark.parametrize(("code", "attempts"), [("reset", 1), ("connect_failed", 3)])
def test_what_may_have_been_done_is_not_done_twice(drive: Drive, code: str, attempts: int) -> None:
    call = a_call({"requests": []}, path="/v1/messages/batches")
    played, _ = tried(drive, code, call=call)
    assert len(played.onward) == attempts


def test_a_good_answer_is_the_very_one_that_came(drive: Drive) -> None:
    made: list[Reply] = []

    def answer(call: Call) -> Reply:
        made.append(a_reply(call))
        return made[-1]

    played = play(drive, Resilience(ResilienceConfig(), ports()), a_call(), answer)
    assert played.reply is made[0] and not played.trail


def test_facts_say_what_was_done_and_why_no_more(drive: Drive) -> None:
    played, _ = tried(drive, answers(529, OVERLOADED))
    told = [fact.told() for fact in played.trail]
    assert told[0].startswith("Attempt 1 failed (overloaded); tried again after ")
    assert told[-1] == "Attempt 7 failed (overloaded); not tried again: 7 tries are all it gets."


@pytest.mark.parametrize(("layer", "is_closed"), [("inspection", True), ("budgets", False)])
def test_an_answer_that_guards_withhold_says_that_the_upstream_is_well(
    drive: Drive, layer: str, is_closed: bool
) -> None:
    own, name = ports(), "anthropic claude-haiku-4-5"
    refused = Refused("No.", layer=layer, code="no", fix="", status=403, type="permission_error")

    async def scene() -> bool:
        await own.circuits.open(name, Circuit(until_us=own.clock.wall_us() - 1, opens=1))
        with pytest.raises(Refused):
            await Resilience(ResilienceConfig(), own)(a_call(), answered_with(refused))
        return await own.circuits.find(name) is None

    assert drive(scene()) is is_closed


def answered_with(error: Exception) -> Next:
    async def below(call: Call) -> Reply:
        raise error

    return below
