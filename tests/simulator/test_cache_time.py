"""When an entry can be read, how long it lives, and what counts as reading it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

import anthropic
import pytest

from penstock.call import Timeouts
from penstock.ports import Outgoing
from penstock.ports.simulated import World
from penstock.simulator import Faults, Limits, Pace, Simulator, running
from penstock.simulator.upstream import SimulatorUpstream
from simulator.desk import HOUR, MARK, Desk, ask_of, text

LONG = [text(1500, cache_control=MARK)]
ASK = ask_of(LONG)
NOVEMBER_S = 1_795_000_000.0


@pytest.mark.parametrize(("mark", "lifetime_s"), [(MARK, 300), ({**MARK, "ttl": "5m"}, 300), (HOUR, 3600)])
def test_an_entry_lives_for_its_time_and_not_a_moment_longer(mark: dict[str, Any], lifetime_s: int) -> None:
    for wait_s, is_hit in ((lifetime_s - 0.001, True), (lifetime_s, False)):
        desk = Desk()
        body = ask_of(text(1500, cache_control=mark))
        desk.usage(body)
        desk.now_s += wait_s
        assert bool(desk.usage(body)[0]) == is_hit


@pytest.mark.parametrize(("mark", "lifetime_s"), [(MARK, 300), (HOUR, 3600)])
def test_every_read_renews_an_entry_for_its_own_time(mark: dict[str, Any], lifetime_s: int) -> None:
    desk = Desk()
    desk.usage(ask_of([text(1500, cache_control=mark), text(1, "a")]))
    other = ask_of([text(1500, cache_control=HOUR if mark is MARK else MARK), text(1, "b")])
    for _ in range(3):
        desk.now_s += lifetime_s - 1
        assert desk.usage(other)[0] > 0
    desk.now_s += lifetime_s
    assert desk.usage(other)[0] == 0


def test_a_lifetime_counts_from_the_start_of_the_request_not_of_its_answer() -> None:
    for asked_at_s, is_hit in ((299, True), (300, False)):
        desk = Desk()
        started_s = desk.now_s
        held = desk.hold(ASK)
        desk.now_s = started_s + 200
        held.finish()
        desk.now_s = started_s + asked_at_s
        assert bool(desk.usage(ASK)[0]) == is_hit


def test_a_reader_renews_at_its_start_although_its_answer_comes_late() -> None:
    desk = Desk()
    desk.usage(ASK)
    desk.now_s += 299
    reader = desk.hold(ASK)
    desk.now_s += 10
    assert desk.usage(ASK)[0] > 0
    reader.finish()


def test_an_entry_can_be_read_once_the_first_answer_begins() -> None:
    desk = Desk()
    first, second = desk.hold(ASK), desk.hold(ASK)
    assert json.loads(desk.hold(ASK).finish())["usage"]["cache_read_input_tokens"] == 0
    late = json.loads(desk.hold(ASK).finish())["usage"]
    assert late["cache_read_input_tokens"] > 0, "the third answer has begun"
    for held in (first, second):
        assert json.loads(held.finish())["usage"]["cache_creation_input_tokens"] > 1500


def test_an_answer_under_way_can_be_read_although_it_has_not_ended() -> None:
    desk = Desk()
    first = desk.hold({**ASK, "stream": True})
    first.begin()
    assert desk.usage(ASK)[0] > 0
    first.leave()


def test_of_two_writers_the_one_that_started_last_decides() -> None:
    desk = Desk()
    early = desk.hold(ASK)
    desk.now_s += 100
    desk.usage(ASK)
    desk.now_s += 50
    early.finish()
    desk.now_s += 249
    assert desk.usage(ASK)[0] > 0


def test_a_mark_on_the_hit_itself_leaves_the_entry_its_own_lifetime() -> None:
    desk = Desk()
    desk.usage(ASK)
    hour = ask_of(text(1500, cache_control=HOUR))
    read, short, long, _ = desk.usage(hour)
    assert read > 1500 and short == long == 0
    desk.now_s += 300
    assert desk.usage(hour)[0] == 0


def test_an_earlier_breakpoint_is_kept_alive_by_its_own_look_back() -> None:
    desk = Desk()
    body = ask_of([text(1500, cache_control=MARK), text(100, "more", cache_control=MARK)])
    desk.usage(body)
    for _ in range(3):
        desk.now_s += 200
        assert desk.usage(body)[0] > 1600
    other = ask_of([text(1500, cache_control=MARK), text(100, "else", cache_control=MARK)])
    desk.now_s += 200
    assert 1500 < desk.usage(other)[0] < 1600


def test_a_caller_who_goes_before_the_answer_begins_writes_nothing() -> None:
    desk = Desk()
    desk.hold(ASK).leave()
    assert desk.usage(ASK)[0] == 0


@pytest.mark.parametrize("fault", ["reset", "hang", "overloaded", "error_500"])
def test_a_failure_before_the_answer_writes_nothing(fault: str) -> None:
    desk = Desk(faults=Faults())
    desk.simulator.trigger(fault)
    desk.hold(ASK).finish()
    assert desk.usage(ASK)[0] == 0


def test_an_answer_that_breaks_off_was_cached_all_the_same() -> None:
    desk = Desk(faults=Faults())
    desk.simulator.trigger("cut:2")
    desk.hold({**ASK, "stream": True}).finish()
    assert desk.usage(ASK)[0] > 0


def test_a_refused_request_neither_writes_nor_renews() -> None:
    desk = Desk(limits=Limits(requests=2, is_enforced=True))
    desk.usage(ASK)
    desk.usage(ask_of("hello"))
    refused = desk.hold(ask_of([*LONG, text(300, "more", cache_control=MARK)]))
    refused.finish()
    assert refused.status == 429
    desk.now_s += 299
    more = ask_of([*LONG, text(300, "more", cache_control=MARK)])
    read, written, _, _ = desk.usage(more)
    assert 1500 < read < 1700 and written == 300
    desk.now_s += 299
    assert desk.usage(more)[0] > 1700


def outgoing(simulator: Simulator) -> Outgoing:
    headers = ((b"x-api-key", simulator.key.encode()), (b"anthropic-version", b"2026-10-21"))
    return Outgoing("POST", "http://sim", "/v1/messages", headers, json.dumps(ASK).encode(), Timeouts())


def test_parallel_first_requests_all_miss_in_virtual_time() -> None:
    world = World(5)
    simulator = Simulator(clock=lambda: world.wall_us() / 1e6, pace=Pace(first_token_ms=800, tokens_per_s=20))
    upstream = SimulatorUpstream(simulator, world)

    async def ask_at(at_s: float) -> dict[str, Any]:
        await world.sleep(at_s)
        incoming = await upstream.send(outgoing(simulator))
        chunks = []
        while True:
            try:
                chunks.append(await incoming.source.__anext__())
            except StopAsyncIteration:
                usage: dict[str, Any] = json.loads(b"".join(chunks))["usage"]
                return usage

    tasks = [world.spawn(ask_at(at_s)) for at_s in (0, 0, 0.5, 0.79, 0.81, 301.0, 602.0)]
    world.run()
    reads = [task.result["cache_read_input_tokens"] > 0 for task in tasks]
    assert reads == [False, False, False, False, True, False, False]


def test_parallel_first_requests_of_the_sdk_all_miss() -> None:
    async def usages(url: str, key: str, count: int) -> list[anthropic.types.Usage]:
        async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
            body: Any = ASK
            return [one.usage for one in await asyncio.gather(*(client.messages.create(**body) for _ in range(count)))]

    with running(pace=Pace(first_token_ms=700)) as sim:
        first = asyncio.run(usages(sim.url, sim.key, 5))
        (later,) = asyncio.run(usages(sim.url, sim.key, 1))
    assert [one.cache_read_input_tokens for one in first] == [0] * 5
    assert {one.cache_creation_input_tokens for one in first} == {later.cache_read_input_tokens} != {0}


def test_the_price_step_of_haiku_counts_what_was_read_from_the_cache() -> None:
    """Of 100,000 prompt tokens (§7.2): at and below at 0.10 and 0.50 dollars per million, above five times as much."""
    costs = []
    for tail, is_above in ((10, False), (4_000, True)):
        desk = Desk()
        desk.now_s = NOVEMBER_S
        body = ask_of([text(74_500, cache_control=MARK), text(tail, "end")], model="claude-haiku-5-5")
        desk.usage(body)
        read, _, _, rest = desk.usage(body)
        (_, entry) = desk.simulator.books
        assert (read + rest > 100_000) == is_above and rest < 10_000
        times = 5 if is_above else 1
        dollars = Decimal("0.01") * read + Decimal("0.10") * rest + Decimal("0.50") * entry.output_tokens
        assert entry.cost_nano == dollars * 1000 * times
        assert (entry.cache_read_tokens, entry.input_tokens) == (read, rest)
        costs.append(entry.cost_nano)
    assert costs[1] > 4 * costs[0]


def test_items_of_a_batch_share_the_cache_with_requests() -> None:
    with running(batch_s=0.0) as sim:
        client = anthropic.Anthropic(base_url=sim.url, api_key=sim.key, max_retries=0)
        body: Any = ASK
        made = client.messages.batches.create(requests=[{"custom_id": f"n{at}", "params": body} for at in range(3)])
        kept = {one.custom_id: one.result for one in client.messages.batches.results(made.id)}
        usages = [kept[f"n{at}"].message.usage for at in range(3)]  # type: ignore[union-attr]
        direct = client.messages.create(**body).usage
    written = max(one.cache_creation_input_tokens or 0 for one in usages)  # whichever item came first
    assert written and sorted(one.cache_read_input_tokens or 0 for one in usages) == [0, written, written]
    assert direct.cache_read_input_tokens == written
