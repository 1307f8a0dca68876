"""`penstock tail`: what it prints of calls as they end, from the first line to Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateways import command, environment
from penstock.ports.blocking import BlockingClock, SystemChance
from penstock.record import Record
from penstock.stores.folding import fold
from penstock.stores.keys import KeyStore
from penstock.stores.schema import connect


def a_record(number: int, **more: Any) -> Record:
    usual: dict[str, Any] = {
        "call_id": f"call_{number:026}",
        "began_at_us": 1_795_177_800_000_000 + number,
        "face": "gateway",
        "method": "POST",
        "path": "/v1/messages",
        "endpoint": "messages",
        "feature": "chat",
        "model_asked": "claude-haiku-4-5",
        "model_served": "claude-haiku-4-5-20251001",
        "status": 200,
        "input_tokens": 100,
        "cache_read_tokens": 1_000,
        "output_tokens": 20,
        "cost_nano": 200_000,
        "cost_basis": "exact",
        "attempts": 1,
        "total_us": 1_200_000,
        "first_token_us": 300_000,
    }
    return Record(**{**usual, **more})


def fill(data: Path, *records: Record) -> None:
    connection = connect(data)
    fold(connection, list(records))
    connection.close()


@contextlib.contextmanager
def tail(data: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        [sys.executable, "-m", "penstock", "tail", "--data", str(data), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def lines(child: subprocess.Popen[str], count: int) -> list[str]:
    assert child.stdout is not None
    return [child.stdout.readline().rstrip("\n") for _ in range(count)]


def numbers(found: list[str]) -> list[int]:
    return [int(line.split("call_")[1]) for line in found]


def test_the_last_calls_come_first_and_then_each_as_it_ends_until_ctrl_c(tmp_path: Path) -> None:
    fill(tmp_path, *(a_record(number) for number in range(20)))
    with tail(tmp_path, "-n", "3") as child:
        assert numbers(lines(child, 3)) == [17, 18, 19]
        began = time.monotonic()
        # The one that began first ends last: it is told last.
        fill(tmp_path, a_record(30), a_record(25, ending="failed", error_type="overloaded_error", status=529))
        (first, second) = lines(child, 2)
        assert time.monotonic() - began < 3
        assert numbers([first, second]) == [30, 25]
        assert " ".join(first.split()) == (
            "12:30:00 complete 200 chat claude-haiku-4-5-20251001 1.2 s first 300 ms "
            "1,100 (1,000 cached) in, 20 out $0.000200 call_00000000000000000000000030"
        )
        assert "failed" in second and "529" in second and "overloaded_error" in second
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=10)
        assert (child.returncode, out, err) == (0, "", "")


def test_a_pipe_gets_no_colours_and_tags_no_say_over_the_terminal(tmp_path: Path) -> None:
    fill(tmp_path, a_record(1, feature="\x1b[31mred\nline\u202e", user="[bold]u"))
    with tail(tmp_path) as child:
        (line,) = lines(child, 1)
        assert line.isprintable() and "�[31mred�line�" in line and "user [bold]u" in line


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (("--feature", "mail"), {"feature": "mail"}),
        (("--model", "claude-opus-5"), {"model_asked": "claude-opus-5"}),
        (("--model", "claude-opus-5"), {"model_served": "claude-opus-5"}),
        (("--ending", "truncated"), {"ending": "truncated"}),
        (("--ending", "errors"), {"ending": "killed"}),
        (("--user", "u1"), {"user": "u1"}),
        (("--key", "mine"), {"key_id": "MINE"}),
        (("--feature", "mail", "--user", "u1"), {"feature": "mail", "user": "u1"}),
    ],
)
def test_filters_hold_for_what_was_and_for_what_comes(
    tmp_path: Path, words: tuple[str, ...], fields: dict[str, Any]
) -> None:
    store = KeyStore(tmp_path, BlockingClock())
    key, _ = store.create("mine", chance=SystemChance(), token=SystemChance().token)
    fields = {name: key.id if value == "MINE" else value for name, value in fields.items()}
    fill(tmp_path, a_record(1, **fields), a_record(2))
    with tail(tmp_path, *words, "--json") as child:
        assert json.loads(lines(child, 1)[0])["call_id"] == a_record(1).call_id
        fill(tmp_path, a_record(3), a_record(4, **fields))
        assert json.loads(lines(child, 1)[0])["call_id"] == a_record(4).call_id


def test_json_has_every_column_and_the_exact_cost(tmp_path: Path) -> None:
    fill(tmp_path, a_record(1), a_record(2, cost_nano=None, cost_basis="unknown"))
    with tail(tmp_path, "--json") as child:
        first, second = map(json.loads, lines(child, 2))
    assert first["cost_usd"] == "0.0002" and second["cost_usd"] is None
    assert set(first) == {*Record.__struct_fields__, "cost_usd"} - {"trail"}


def test_what_came_faster_than_it_is_read_is_not_lost(tmp_path: Path) -> None:
    fill(tmp_path, a_record(0))
    with tail(tmp_path, "-n", "0") as child:
        time.sleep(1.5)
        fill(tmp_path, *(a_record(number) for number in range(1, 5_001)))
        assert numbers(lines(child, 5_000)) == list(range(1, 5_001))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nowhere"), "There is no ledger in "),
        (("--data", ".", "--ending", "well"), "No call ends 'well'. Choose from"),
        (("--data", ".", "--key", "nobody"), "There is no key 'nobody' in"),
    ],
)
def test_what_cannot_be_followed_is_said(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    fill(tmp_path, a_record(0))
    done = command("tail", *words, cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr
