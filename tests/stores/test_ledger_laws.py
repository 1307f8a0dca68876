"""What is true of every ledger. The one in memory is the specification; SQLite's is held to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from entries import StillClock, call_id, intent, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.drive import run
from penstock.record import Bill, Intent, Record
from penstock.stores.memory import MemoryLedger
from penstock.stores.reading import LedgerReader
from penstock.stores.sqlite import SqliteLedger


class Subject(Protocol):
    async def open(self, intent: Intent) -> None: ...
    async def close(self, record: Record) -> None: ...
    async def bill(self, bill: Bill) -> None: ...
    def restarted(self) -> dict[str, Record]:
        """Every row, after the process has gone without a word and another has started."""
        ...


class Memory(MemoryLedger):
    def restarted(self) -> dict[str, Record]:
        self.recover()
        return dict(self.records)


class Sqlite(SqliteLedger):
    def restarted(self) -> dict[str, Record]:
        self.start()
        self.close_store()
        with LedgerReader(self._data) as reader:
            found = [reader.call(row.call_id) for row in reader.calls()]
        return {row.call_id: row for row in found if row is not None}


MAKERS: dict[str, Callable[[Path], Subject]] = {
    "memory": lambda data: Memory(),
    "sqlite": lambda data: Sqlite(data, StillClock()),
    "sqlite, small segments": lambda data: Sqlite(data, StillClock(), segment_bytes=600),
}


@pytest.fixture(params=MAKERS)
def subject(request: pytest.FixtureRequest, data: Path) -> Subject:
    return MAKERS[request.param](data)


def test_a_call_that_ended_has_its_record_whole(subject: Subject) -> None:
    whole = record(
        1,
        upstream_request_id="req_1",
        key_id="key_1",
        environment="prod",
        tier="gold",
        user="u€",
        session="s",
        segment="acme",
        is_stream=True,
        error_type="overloaded_error",
        error_code="cut",
        error_layer="transport",
        stop_reason="end_turn",
        cache_read_tokens=1,
        cache_write_5m_tokens=2,
        cache_write_1h_tokens=3,
        thinking_tokens=4,
        web_searches=5,
        service_tier="standard",
        inference_geo="us",
        speed="fast",
        wait_us=6,
        first_token_us=7,
        upstream_us=8,
        request_bytes=9,
        response_bytes=10,
        prompt_hash="ff",
        client_retry=2,
    )
    run(subject.open(intent(1)))
    run(subject.close(whole))
    assert subject.restarted() == {whole.call_id: whole}


def test_a_refusal_without_an_intent_has_its_row(subject: Subject) -> None:
    refusal = record(1, ending="refused", status=403, cost_nano=0, cost_basis="free", upstream=None, trail=b"[]")
    run(subject.close(refusal))
    assert subject.restarted() == {refusal.call_id: refusal}


def test_a_call_that_never_ended_is_found_and_flagged(subject: Subject) -> None:
    run(subject.open(intent(1, key_id="key_1", attempt=1)))
    run(subject.open(intent(1, key_id="key_1", attempt=2, upstream="other")))
    found = subject.restarted()[call_id(1)]
    assert (found.ending, found.cost_nano, found.cost_basis) == ("killed", None, "unknown")
    assert (found.upstream, found.attempts, found.key_id, found.feature) == ("other", 2, "key_1", "summarise")


def test_a_call_closed_twice_keeps_its_first_record(subject: Subject) -> None:
    run(subject.open(intent(1)))
    run(subject.close(record(1, cost_nano=1)))
    run(subject.close(record(1, cost_nano=2)))
    assert [row.cost_nano for row in subject.restarted().values()] == [1]


def test_a_real_record_replaces_the_flag_of_a_killed_call(subject: Subject) -> None:
    run(subject.open(intent(1)))
    assert subject.restarted()[call_id(1)].ending == "killed"
    run(subject.close(record(1)))
    assert subject.restarted() == {call_id(1): record(1)}


@pytest.mark.parametrize("is_restarted_between", [False, True])
def test_a_batch_is_billed_once_to_the_call_that_made_it(subject: Subject, is_restarted_between: bool) -> None:
    made = {"endpoint": "batches", "cost_nano": None, "cost_basis": "deferred", "held_nano": 500, "input_tokens": 0}
    for number, batch_id in ((1, "msgbatch_1"), (2, "msgbatch_2")):
        run(subject.open(intent(number)))
        run(subject.close(record(number, **made, batch_id=batch_id)))
    if is_restarted_between:
        subject.restarted()
    run(subject.bill(Bill("msgbatch_1", 300, input_tokens=9, output_tokens=4, web_searches=1)))
    run(subject.bill(Bill("msgbatch_1", 999)))
    run(subject.bill(Bill("msgbatch_unknown", 7)))
    rows = subject.restarted()
    billed, other = rows[call_id(1)], rows[call_id(2)]
    assert (billed.cost_nano, billed.cost_basis, billed.held_nano) == (300, "exact", 500)
    assert (billed.input_tokens, billed.output_tokens, billed.web_searches) == (9, 4, 1)
    assert (other.cost_nano, other.cost_basis) == (None, "deferred")


def test_what_is_not_known_is_none_and_not_zero(subject: Subject) -> None:
    run(subject.close(record(1, cost_nano=None, cost_basis="unpriced", first_token_us=None)))
    found = subject.restarted()[call_id(1)]
    assert found.cost_nano is None and found.first_token_us is None


STEPS = st.lists(st.tuples(st.sampled_from(["open", "close", "restart"]), st.integers(1, 6)), max_size=40)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_history_leaves_the_rows_the_specification_leaves(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("history")
    expected, actual = Memory(), Sqlite(data, StillClock(), segment_bytes=1_000)
    for moment, (step, number) in enumerate(steps):
        for subject in (expected, actual):
            if step == "open":
                run(subject.open(intent(number, attempt=moment)))
            elif step == "close":
                run(subject.close(record(number, total_us=moment)))
            else:
                subject.restarted()
    assert actual.restarted() == expected.restarted()
