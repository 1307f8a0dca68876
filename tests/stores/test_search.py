"""Finding calls: a page at a time they are all that are as wanted, once each, in order, whatever is summed already."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.record import Record
from penstock.stores.folding import fold
from penstock.stores.schema import connect
from penstock.stores.search import ANY_ERROR, Place, Wanted, arrived, call_of, find, last_row
from penstock.stores.sums import DAY_US, HOUR_US, prune, roll
from penstock.stores.totals import Span

EPOCH_US = 1_795_132_800_000_000  # midnight
ALL = Span(EPOCH_US, EPOCH_US + 400 * DAY_US)
FAILED = ("refused", "failed", "truncated", "killed")


def a_record(number: int, draw: random.Random) -> Record:
    ending = draw.choice(["complete"] * 5 + ["failed", "refused", "truncated", "abandoned", "killed"])
    return Record(
        call_id=f"call_{number:026x}",
        # Few moments, so that many calls begin together.
        began_at_us=EPOCH_US + draw.randrange(72) * HOUR_US + draw.randrange(3),
        face="gateway",
        method="POST",
        path="/v1/messages",
        endpoint="messages",
        environment="prod",
        feature=draw.choice([None, "chat", "mail"]),
        user=draw.choice([None, *(f"u{n}" for n in range(9))]),
        session=draw.choice([None, "s1", "s2"]),
        key_id=draw.choice([None, "key_1", "key_2"]),
        model_asked="claude-haiku-4-5",
        model_served=draw.choice([None, "claude-haiku-4-5-20251001"]),
        ending=ending,
        status=draw.choice([200, 429, None]),
        error_type="api_error" if ending == "failed" else None,
        error_code=draw.choice([None, "reset"]) if ending == "failed" else None,
        cost_nano=draw.choice([None, 5, 500]),
        total_us=draw.randrange(100),
        upstream_request_id=draw.choice([None, "req_1"]),
    )


def is_as_wanted(record: Record, wanted: Wanted) -> bool:
    """The same said in Python."""
    labels = {
        "feature": record.feature or "",
        "key": record.key_id or "",
        "model": record.model_served or record.model_asked or "",
    }
    error = record.error_code or record.error_type or record.ending
    return all(
        (
            all(labels[name] == value for name, value in wanted.labels.items()),
            wanted.model in (None, record.model_asked, record.model_served),
            wanted.key_ids is None or record.key_id in wanted.key_ids,
            wanted.user in (None, record.user),
            wanted.session in (None, record.session),
            wanted.ending in (None, record.ending) or (wanted.ending == ANY_ERROR and record.ending in FAILED),
            wanted.error is None or (record.ending in FAILED and error == wanted.error),
            wanted.status in (None, record.status),
            wanted.request_id in (None, record.upstream_request_id),
            wanted.over_nano is None or (record.cost_nano or 0) > wanted.over_nano,
            wanted.longer_us is None or record.total_us > wanted.longer_us,
        )
    )


def maybe(*values: object) -> st.SearchStrategy[object]:
    return st.sampled_from([None, None, None, *values])


WANTED = st.builds(
    Wanted,
    st.sampled_from(
        [{}, {}, {"feature": "chat"}, {"feature": ""}, {"feature": "mail", "key": "key_1"}, {"key": "none"}]
    ),
    model=maybe("claude-haiku-4-5", "claude-haiku-4-5-20251001", "other"),
    key_ids=maybe(("key_1", "key_2"), ()),
    user=maybe("u1", "u2", "nobody"),
    session=maybe("s1"),
    ending=maybe("failed", ANY_ERROR, "killed"),
    error=maybe("reset", "api_error", "refused"),
    status=maybe(429),
    request_id=maybe("req_1"),
    over_nano=maybe(5, 4),
    longer_us=maybe(50),
)


@pytest.fixture(scope="module", params=["summed", "half summed", "not summed", "summed and pruned"])
def ledger(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[sqlite3.Connection, list[Record]]]:
    draw = random.Random(request.param)
    records = [a_record(number, draw) for number in range(400)]
    connection = connect(tmp_path_factory.mktemp("data"))
    half = {"half summed": 200, "not summed": 0}.get(request.param, 400)
    fold(connection, records[:half])
    while half and roll(connection):
        pass
    fold(connection, records[half:])
    if request.param == "summed and pruned":
        prune(connection, EPOCH_US + 30 * HOUR_US)
    yield connection, records
    connection.close()


@given(
    wanted=WANTED,
    hours=st.tuples(st.integers(0, 80), st.integers(1, 80)),
    oldest_first=st.booleans(),
    limit=st.integers(1, 50),
    examined_max=st.sampled_from([1, 7, 60, 50_000]),
)
@settings(max_examples=150, deadline=None)
def test_page_by_page_it_is_all_that_are_as_wanted(
    ledger: tuple[sqlite3.Connection, list[Record]],
    wanted: Wanted,
    hours: tuple[int, int],
    oldest_first: bool,
    limit: int,
    examined_max: int,
) -> None:
    connection, records = ledger
    span = Span(EPOCH_US + hours[0] * HOUR_US + 1, EPOCH_US + sum(hours) * HOUR_US)
    expected = [
        record
        for record in records
        if span.from_us <= record.began_at_us < span.until_us and is_as_wanted(record, wanted)
    ]
    found, beyond = list[str](), None
    for _ in range(1_000):
        page = find(
            connection,
            wanted,
            span,
            beyond=beyond,
            oldest_first=oldest_first,
            limit=limit,
            examined_max=examined_max,
        )
        assert len(page.rows) <= limit
        found += [row.record.call_id for row in page.rows]
        if page.stopped is not None:
            beyond = page.stopped
        elif len(page.rows) == limit:
            beyond = page.rows[-1].place
        else:
            break
    ordered = sorted(expected, key=lambda one: (one.began_at_us, one.call_id), reverse=not oldest_first)
    assert found == [record.call_id for record in ordered]


def test_calls_of_a_day_that_has_lost_its_sums_of_users_are_found(tmp_path: Path) -> None:
    connection = connect(tmp_path)
    fold(
        connection,
        [replaced(a_record(n, random.Random(n)), began_at_us=EPOCH_US + n * HOUR_US, user="u1") for n in range(60)],
    )
    while roll(connection):
        pass
    prune(connection, EPOCH_US + 30 * HOUR_US)  # in the midst of a day
    assert len(find(connection, Wanted(user="u1"), ALL, limit=100).rows) == 60
    connection.close()


@given(wanted=WANTED, after=st.integers(0, 400), limit=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_what_arrived_is_the_last_of_it_in_order(
    ledger: tuple[sqlite3.Connection, list[Record]], wanted: Wanted, after: int, limit: int
) -> None:
    connection, records = ledger
    until = last_row(connection)
    expected = [record.call_id for record in records[after:until] if is_as_wanted(record, wanted)]
    assert [row.record.call_id for row in arrived(connection, wanted, after, until, limit)] == expected[-limit:]
    assert [row.record.call_id for row in arrived(connection, wanted, after, until)] == expected


def test_a_page_looks_at_no_more_than_its_bound_and_says_where_it_stopped(tmp_path: Path) -> None:
    connection = connect(tmp_path)
    records = [a_record(number, random.Random(number)) for number in range(50)]
    fold(connection, [replaced(record, began_at_us=EPOCH_US + place) for place, record in enumerate(records)])
    page = find(connection, Wanted(session="nowhere"), ALL, examined_max=20)
    assert (page.rows, page.stopped) == ([], Place(EPOCH_US + 30, 31))
    page = find(connection, Wanted(session="nowhere"), ALL, beyond=Place(EPOCH_US + 20, 21), examined_max=21)
    assert page.stopped is None
    connection.close()


def test_a_page_goes_along_the_index_by_time(tmp_path: Path) -> None:
    connection, seen = connect(tmp_path), list[str]()
    fold(connection, [a_record(1, random.Random(1))])
    connection.set_trace_callback(seen.append)
    find(connection, Wanted({"feature": "chat"}, ending="failed"), ALL, beyond=Place(EPOCH_US + DAY_US, 9))
    connection.set_trace_callback(None)
    asked = [query for query in seen if "FROM calls" in query and "began_at_us >=" in query]
    assert asked
    for query in asked:
        plan = " ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}"))
        assert "calls_by_time" in plan and "TEMP B-TREE" not in plan and "SCAN" not in plan, query
    connection.close()


def test_one_call_comes_with_its_trail(tmp_path: Path) -> None:
    connection = connect(tmp_path)
    fold(connection, [replaced(a_record(1, random.Random(1)), trail=b'[{"type":"Named"}]')])
    row = call_of(connection, f"call_{1:026x}")
    assert row is not None and row.record.trail == b'[{"type":"Named"}]' and row.place.row == 1
    assert call_of(connection, "call_other") is None
    connection.close()


def replaced(record: Record, **fields: object) -> Record:
    for name, value in fields.items():
        setattr(record, name, value)
    return record
