"""Sums by the hour: with what is not summed yet they are the ledger, to the call and to the nano-dollar, always."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigError
from penstock.ports.blocking import BlockingClock
from penstock.record import Bill, Record
from penstock.stores import sums
from penstock.stores.folding import fold, trim
from penstock.stores.migrations import MIGRATIONS, m009_sums
from penstock.stores.schema import connect
from penstock.stores.sqlite import SqliteLedger
from penstock.stores.sums import DAY_US, HOUR_US, LABELS, MEASURES, STEPS_US, rebuild, roll
from penstock.stores.totals import Span, Totals, percentile_us

EPOCH_US = 1_795_132_800_000_000  # midnight
ALL = Span(EPOCH_US, EPOCH_US + 400 * DAY_US)


def a_record(number: int, draw: random.Random) -> Record:
    ending = draw.choice(["complete"] * 5 + ["failed", "refused", "truncated", "abandoned", "killed"])
    is_known = draw.random() < 0.9
    return Record(
        call_id=f"call_{number:026x}",
        began_at_us=EPOCH_US + draw.randrange(3 * DAY_US),
        face="gateway",
        method="POST",
        path="/v1/messages",
        endpoint=draw.choice(["messages", "messages", "count_tokens"]),
        environment="prod",
        feature=draw.choice([None, "chat", "mail"]),
        user=draw.choice([None, *(f"u{n}" for n in range(5))]),
        key_id=draw.choice([None, "key_1", "key_2"]),
        segment=draw.choice([None, "acme"]),
        upstream=draw.choice([None, "anthropic"]),
        arm=draw.choice([None, "trial/b"]),
        prompt=draw.choice([None, "support@1:0"]),
        model_asked="claude-haiku-4-5",
        model_served=draw.choice([None, "claude-haiku-4-5-20251001"]),
        ending=ending,
        error_type="api_error" if ending == "failed" else None,
        error_code=draw.choice([None, "reset"]) if ending == "failed" else None,
        stop_reason=draw.choice([None, "end_turn", "max_tokens"]),
        cost_nano=draw.randrange(10**9) if is_known else None,
        input_tokens=draw.randrange(10_000),
        cache_read_tokens=draw.randrange(10_000),
        cache_write_5m_tokens=draw.randrange(100),
        cache_write_1h_tokens=draw.randrange(100),
        output_tokens=draw.randrange(1_000),
        thinking_tokens=draw.randrange(100),
        attempts=draw.randrange(3),
        wait_us=draw.randrange(100),
        total_us=draw.randrange(1, 10**9),
        first_token_us=draw.choice([None, draw.randrange(1, 10**7)]),
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = connect(tmp_path)
    yield connection
    connection.close()


def straight(ledger: sqlite3.Connection, span: Span, by: tuple[str, ...] = (), where: str = "1") -> dict[Any, Any]:
    """The same totals from the rows alone."""
    labels = ", ".join([LABELS[name] for name in by] or ["''"])
    within = f"began_at_us >= ? AND began_at_us < ? AND {where}"
    query = f"SELECT {labels}, {', '.join(MEASURES.values())} FROM calls WHERE {within}"
    places = ", ".join(str(place) for place in range(1, len(by) + 1))
    rows = ledger.execute(f"{query} GROUP BY {places}" if by else f"{query} HAVING count(*) > 0", span).fetchall()
    size = max(len(by), 1)
    return {row[:size] if by else (): dict(zip(MEASURES, row[size:], strict=True)) for row in rows}


def of(totals: Totals, span: Span, by: tuple[str, ...] = (), where: dict[str, str] | None = None) -> dict[Any, Any]:
    return {one.labels: one.measures for one in totals.of(span, by, where)}


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    spans=st.lists(st.tuples(st.integers(0, 3 * DAY_US), st.integers(0, 3 * DAY_US)), max_size=3),
)
def test_whatever_happens_to_rows_totals_are_those_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory, seed: int, spans: list[tuple[int, int]]
) -> None:
    ledger, draw, number = connect(tmp_path_factory.mktemp("sums")), random.Random(seed), 0
    totals = Totals(ledger)
    try:
        for _ in range(6):
            action = draw.choice(["come", "come", "roll", "bill", "revive"])
            if action == "come":
                fold(ledger, [a_record(number + one, draw) for one in range(20)])
                number += 20
            elif action == "roll":
                roll(ledger)
            elif action == "bill":
                ledger.execute("UPDATE calls SET cost_nano = 5, output_tokens = 9 WHERE rowid % 3 = 0")
            else:
                again = [f"call_{one:026x}" for one in range(number)]
                fold(ledger, [_again(call_id, draw) for call_id in draw.sample(again, len(again) // 2)])
            for span in (ALL, *(Span(EPOCH_US + min(pair), EPOCH_US + max(pair)) for pair in spans)):
                assert of(totals, span) == straight(ledger, span)
                assert of(totals, span, ("feature", "model")) == straight(ledger, span, ("feature", "model"))
                where = {"feature": "chat", "key": "key_1"}
                condition = "feature = 'chat' AND key_id = 'key_1'"
                assert of(totals, span, ("arm",), where) == straight(ledger, span, ("arm",), condition)
        before = of(totals, ALL, tuple(LABELS))
        assert rebuild(ledger, 0) == number and of(totals, ALL, tuple(LABELS)) == before
    finally:
        ledger.close()


def _again(call_id: str, draw: random.Random) -> Record:
    """The real record of a call that may have been given up for killed."""
    record = a_record(int(call_id[5:], 16), draw)
    return record if record.ending != "killed" else killed_again(record)


def killed_again(record: Record) -> Record:
    record.ending = "complete"
    return record


def test_errors_durations_and_users_are_those_of_the_rows_too(ledger: sqlite3.Connection) -> None:
    draw, totals = random.Random(1), Totals(ledger)
    fold(ledger, [a_record(number, draw) for number in range(300)])
    roll(ledger)
    fold(ledger, [a_record(number, draw) for number in range(300, 400)])
    span = Span(EPOCH_US + HOUR_US // 2, EPOCH_US + 2 * DAY_US + HOUR_US // 3)
    with totals:
        errors = {one.labels: one.measures["calls"] for one in totals.errors(span, {"feature": "chat"})}
        durations = {int(one.labels[0]): one.measures["calls"] for one in totals.durations("total", span)}
        users = totals.users(Span(EPOCH_US, EPOCH_US + 2 * DAY_US), limit=3)
    query = """SELECT coalesce(error_layer, 'upstream'), coalesce(error_code, error_type, ending), count(*) FROM calls
        WHERE ending IN ('refused', 'failed', 'truncated', 'killed') AND began_at_us >= ? AND began_at_us < ?
        AND feature = 'chat' GROUP BY 1, 2"""
    assert errors == {(layer, code): count for layer, code, count in ledger.execute(query, span)}
    query = """SELECT total_us FROM calls WHERE endpoint = 'messages' AND ending NOT IN ('refused', 'killed')
        AND began_at_us >= ? AND began_at_us < ?"""
    taken = sorted(row[0] for row in ledger.execute(query, span))
    assert sum(durations.values()) == len(taken)
    for percent in (50, 95, 99):
        exact = taken[round(len(taken) * percent / 100) - 1]
        assert exact / 1.25 <= percentile_us(durations, percent) <= exact * 1.25 or exact > STEPS_US[-1]
    sums_of = "SELECT user, count(*), coalesce(sum(cost_nano), 0) FROM calls"
    query = f"{sums_of} WHERE user IS NOT NULL AND began_at_us < ? GROUP BY 1"
    rows = ledger.execute(query, (EPOCH_US + 2 * DAY_US,)).fetchall()
    assert users == sorted(rows, key=lambda row: (-row[2], row[0]))[:3]


def test_steps_of_time_add_up_and_begin_on_the_hour(ledger: sqlite3.Connection) -> None:
    draw, totals = random.Random(2), Totals(ledger)
    fold(ledger, [a_record(number, draw) for number in range(200)])
    roll(ledger)
    for step_us in (HOUR_US, DAY_US):
        found = totals.of(ALL, step_us=step_us)
        assert all(one.at_us % step_us == 0 for one in found) and len(found) > 2
        assert sum(one.measures["cost_nano"] for one in found) == totals.of(ALL)[0].measures["cost_nano"]


def test_sums_outlive_their_rows_and_rows_that_come_after_are_summed_once(ledger: sqlite3.Connection) -> None:
    draw, totals = random.Random(3), Totals(ledger)
    fold(ledger, [a_record(number, draw) for number in range(50)])
    roll(ledger)
    before = totals.of(ALL)[0].measures
    assert trim(ledger, ALL.until_us, 1_000) == 49, "the last row keeps its number from being given again"
    assert totals.of(ALL)[0].measures == before
    fold(ledger, [a_record(number, draw) for number in range(50, 60)])
    roll(ledger)
    assert totals.of(ALL)[0].measures["calls"] == 60
    sums.prune(ledger, ALL.until_us)
    assert totals.of(ALL) == []


def test_the_trigger_notes_every_column_that_sums_are_made_of() -> None:
    """A column of a sum that the trigger does not keep would be taken away as NULL."""
    connection = sqlite3.connect(":memory:")
    for migration in MIGRATIONS[: MIGRATIONS.index(m009_sums) + 1]:
        migration(connection)
    for statement in sums._STATEMENTS:
        connection.execute(statement.format(sign=-1, source="sums_changed", where="row <= ?"), (1,))


def test_a_label_that_sums_do_not_have_is_named(ledger: sqlite3.Connection) -> None:
    with pytest.raises(ConfigError, match="no totals by 'user'"):
        Totals(ledger).of(ALL, ("user",))


def test_a_ledger_sums_what_it_folds(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path, BlockingClock(), keep_days=None)
    ledger.start()
    record = a_record(1, random.Random(4))
    record.batch_id, record.cost_nano, record.cost_basis = "msgbatch_1", None, "deferred"
    asyncio.run(ledger.close(record))
    ledger.flush()
    asyncio.run(ledger.bill(Bill("msgbatch_1", 77)))
    ledger.close_store()
    connection = connect(tmp_path)
    roll(connection)
    measures = Totals(connection).of(ALL)[0].measures
    assert (measures["calls"], measures["cost_nano"], measures["unpriced"]) == (1, 77, 0)
    connection.close()
