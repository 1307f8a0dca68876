"""Sums over recent spans of the ledger, against the rows."""

from __future__ import annotations

from pathlib import Path
from random import Random

from posted import row

from penstock.config.money import BudgetConfig
from penstock.ports.simulated import EPOCH_US
from penstock.record import Record
from penstock.spending.budget import Budget
from penstock.stores.folding import insert
from penstock.stores.recent import LONGEST_US, PIECE_US, Ended, Recent, Spent, accounts
from penstock.stores.schema import connect
from penstock.stores.shared import SharedDatabase

NOW = EPOCH_US + 5 * 3_600_000_000
WINDOW = 300_000_000


def recent(data: Path, rows: list[Record]) -> Recent:
    connection = connect(data)
    insert(connection, rows)
    connection.close()
    return Recent(data)


def test_what_counts_is_when_calls_ended(tmp_path: Path) -> None:
    found = recent(
        tmp_path,
        [
            row(1, NOW - 600_000_000, total_us=599_000_000, ending="failed", status=504),  # hung for ten minutes
            row(2, NOW - WINDOW - 2_000_000, total_us=1_000_000),  # before
            row(3, NOW - 10_000_000, total_us=2_000_000),
            row(4, NOW - 1_000_000, total_us=2_000_000),  # still under way, then
        ],
    )
    assert found.ended(NOW - WINDOW, NOW) == Ended(2, 1, 2, 599_000_000)
    assert found.ended(NOW - WINDOW, NOW - LONGEST_US) == Ended()


def test_refusals_are_no_failures_unless_ours(tmp_path: Path) -> None:
    endings = [
        ("refused", 429),
        ("refused", 402),
        ("refused", 503),
        ("abandoned", 200),
        ("killed", None),
        ("truncated", 200),
    ]
    found = recent(
        tmp_path,
        [row(n, NOW - 5_000_000, ending=ending, status=status) for n, (ending, status) in enumerate(endings)],
    )
    assert found.ended(NOW - WINDOW, NOW) == Ended(4, 3, 2, 1_000_000)


def test_copies_for_a_model_that_is_tried_out_count_to_neither(tmp_path: Path) -> None:
    rows = [
        row(n, NOW - 5_000_000, ending="failed", status=529, arm=arm)
        for n, arm in enumerate((None, "trial/b", "shadow:claude-opus-5"))
    ]
    assert recent(tmp_path, rows).ended(NOW - WINDOW, NOW) == Ended(2, 2, 2, 1_000_000)


def test_p95_is_of_messages_and_a_value_that_occurred(tmp_path: Path) -> None:
    rows = [row(n, NOW - 200_000_000, total_us=n * 1_000_000) for n in range(1, 101)]
    rows += [row(200, NOW - 200_000_000, endpoint="files", total_us=150_000_000)]
    assert recent(tmp_path, rows).ended(NOW - WINDOW, NOW) == Ended(101, 0, 100, 95_000_000)


def test_money_is_the_sum_of_the_rows_however_it_is_cut(tmp_path: Path) -> None:
    random = Random(1)
    rows = [
        row(
            n,
            EPOCH_US + random.randrange(5 * 3_600_000_000),
            cost_nano=None if n % 50 == 0 else random.randrange(10**9),
            held_nano=7,
            cache_write_5m_tokens=3,
        )
        for n in range(2_000)
    ]
    found = recent(tmp_path, rows)
    for _ in range(2):  # from the rows, and from what is remembered
        for from_us, until_us in [(EPOCH_US, NOW), (EPOCH_US + 12_345, NOW - 1), (EPOCH_US + PIECE_US, NOW - PIECE_US)]:
            within = [one for one in rows if from_us <= one.began_at_us < until_us]
            assert found.spent(from_us, until_us, NOW) == Spent(
                sum(7 if one.cost_nano is None else one.cost_nano for one in within),
                10_003 * len(within),
                9_000 * len(within),
            )


def test_only_what_cannot_change_is_remembered(tmp_path: Path) -> None:
    found = recent(tmp_path, [row(1, EPOCH_US + 1), row(2, NOW - PIECE_US)])
    assert found.spent(EPOCH_US, NOW, NOW).nano == 20_000_000
    late = connect(tmp_path)
    insert(late, [row(3, NOW - 2 * PIECE_US)])
    assert found.spent(EPOCH_US, NOW, NOW).nano == 30_000_000
    late.close()


def test_a_batch_counts_once_it_is_billed(tmp_path: Path) -> None:
    found = recent(tmp_path, [row(1, EPOCH_US + 1, cost_nano=None, cost_basis="deferred")])
    assert found.spent(EPOCH_US, NOW, NOW).nano == 0
    billed = connect(tmp_path)
    billed.execute("UPDATE calls SET cost_nano = 5, cost_basis = 'exact'")
    billed.close()
    assert found.spent(EPOCH_US, NOW, NOW).nano == 5


def test_what_accounts_spent_and_have(tmp_path: Path) -> None:
    budget = Budget(BudgetConfig(name="each", per=("user",), where={"feature": "chat"}, limit_usd=1))
    rows = [row(n, NOW - n, user=f"u{n % 2}", feature="chat" if n % 3 else "other") for n in range(1, 13)]
    found = recent(tmp_path, rows)
    names = [budget.account((user,), budget.span(NOW)) for user in ("u0", "u1")]
    assert found.spent_by(budget.counted(NOW), NOW - 3_600, NOW) == dict.fromkeys(names, 40_000_000)
    shared = SharedDatabase(tmp_path)
    other = budget.account(("u1",), budget.span(NOW + 40 * 86_400_000_000))
    with shared.changing() as connection:
        rows_of = [(names[0], 5, 0, 1), (names[1], 9, 0, 1), (other, 9, 0, 1), ("each more\x1f2026-11\x1fu", 9, 0, 1)]
        connection.executemany("INSERT INTO accounts VALUES (?, ?, ?, ?)", rows_of)
    prefix = budget.account((), budget.span(NOW))
    assert accounts(shared, prefix, 1) == [(names[0], 5), (names[1], 9)]
    assert accounts(shared, prefix, 6) == [(names[1], 9)]
    shared.close()
