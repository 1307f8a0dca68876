"""`penstock sums`: they are the ledger's again, whatever became of them; and how long they are kept."""

from __future__ import annotations

import json
import time
from pathlib import Path

from gateways import command
from penstock.config.load import load
from penstock.faces import compose
from penstock.ports.blocking import BlockingClock
from penstock.record import Record
from penstock.stores import audit
from penstock.stores.folding import fold
from penstock.stores.schema import connect
from penstock.stores.sqlite import SqliteLedger
from penstock.stores.sums import DAY_US, roll


def filled(data: Path, ages_days: tuple[float, ...]) -> None:
    now_us = time.time_ns() // 1000
    connection = connect(data)
    rows = [
        Record(
            call_id=f"call_{number:026x}",
            began_at_us=now_us - int(age * DAY_US),
            face="gateway",
            method="POST",
            path="/v1/messages",
            endpoint="messages",
            feature="chat",
            cost_nano=1_000_000_000,
        )
        for number, age in enumerate(ages_days)
    ]
    fold(connection, rows)
    roll(connection)
    connection.close()


def changed(data: Path, statement: str) -> int:
    connection = connect(data)
    with connection:
        count = connection.execute(statement).rowcount
    connection.close()
    return count


def test_sums_that_are_wrong_are_put_right_told_and_noted(tmp_path: Path) -> None:
    filled(tmp_path, (0.1, 3, 3, 9))
    right = command("sums", "rebuild", "--data", str(tmp_path))
    assert right.returncode == 0 and "4 calls since" in right.stdout and "0 days differed" in right.stdout
    assert changed(tmp_path, "UPDATE sums SET calls = calls + 5, cost_nano = 7 WHERE calls = 2") == 1
    changed(tmp_path, f"DELETE FROM sums WHERE hour_us < (SELECT max(hour_us) - {8 * DAY_US} FROM sums)")
    wrong = command("sums", "rebuild", "--json", "--data", str(tmp_path))
    assert wrong.returncode == 1, wrong.stderr
    found = json.loads(wrong.stdout)["differences"]
    assert [(one["before"], one["after"]) for one in found] == [
        ({"calls": 0, "usd": "0.00"}, {"calls": 1, "usd": "1.00"}),
        ({"calls": 7, "usd": "0.000000007"}, {"calls": 2, "usd": "2.00"}),
    ]
    assert [entry.action for entry in audit.entries(tmp_path)] == ["sums.rebuild"]
    assert command("sums", "rebuild", "--data", str(tmp_path)).returncode == 0


def test_days_past_keeping_are_left_as_they_are(tmp_path: Path) -> None:
    filled(tmp_path, (1, 60))
    assert changed(tmp_path, "UPDATE sums SET calls = 100") == 2
    assert command("sums", "rebuild", "--data", str(tmp_path)).returncode == 1
    connection = connect(tmp_path)
    assert connection.execute("SELECT calls FROM sums ORDER BY hour_us").fetchall() == [(100,), (1,)]
    connection.close()


def test_a_ledger_drops_sums_past_their_days_and_never_before_their_rows(tmp_path: Path) -> None:
    for settings, left in (({"records.sums_keep_days": 1}, 2), ({"records.keep_days": 1}, 1)):
        data = tmp_path / str(left)
        filled(data, (500, 20, 0.1))
        config = load(environ={}, overrides={"data": data, "records.sums_keep_days": 400, **settings})
        ledger = compose.ledger(config, BlockingClock())
        assert isinstance(ledger, SqliteLedger)
        ledger.start()
        ledger.close_store()
        connection = connect(data)
        (rows,) = connection.execute("SELECT count(*) FROM calls").fetchone()
        (sums,) = connection.execute("SELECT sum(calls) FROM sums").fetchone()
        connection.close()
        assert (rows, sums) == ((2, 2) if left == 2 else (1, 2))
