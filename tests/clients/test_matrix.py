"""The runner of `make clients`; the clients themselves are kept out of `make test` for their weight."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.record import Record

from .matrix import (
    BEGIN,
    CASES,
    CLIENTS,
    END,
    HERE,
    Client,
    NotInstalled,
    Skipped,
    Tried,
    install,
    ledger_faults,
    prepared,
    table,
    write,
)


def test_every_client_has_its_script() -> None:
    assert len(CLIENTS) == 7
    assert all((HERE / "scripts" / client.script).exists() for client in CLIENTS)


def test_a_client_is_ok_only_if_every_case_is() -> None:
    good = {name: {"ok": True} for name in CASES}
    assert Tried("a", cases=good).is_ok
    for name in CASES:
        assert not Tried("a", cases={**good, name: {"ok": False}}).is_ok
        assert not Tried("a", cases={one: said for one, said in good.items() if one != name}).is_ok
    assert not Tried("a", cases=good, reason="2 requests and 1 rows").is_ok
    assert not Tried("a").is_ok


def test_without_node_a_node_client_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{prepared.__module__}.CACHE", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Skipped, match=r"Node\.js and npm"):
        prepared(Client("x", ("x@1",), "x.mjs"))


def test_what_cannot_be_installed_is_a_failure_and_not_skipped() -> None:
    with pytest.raises(NotInstalled, match="pip could not install it: no such version"):
        install([sys.executable, "-c", "raise SystemExit('no such version')"], "pip")
    assert not issubclass(NotInstalled, Skipped)


def row(**fields: Any) -> Record:
    billed = {"input_tokens": 8, "output_tokens": 5, "cost_nano": 99_000, "cost_basis": "exact", **fields}
    return Record(
        call_id="c", began_at_us=0, face="gateway", method="POST", path="/v1/messages", endpoint="messages", **billed
    )


CUT = row(ending="truncated", cost_basis="estimated")


def test_rows_of_whole_calls_are_complete_and_billed_and_of_cut_ones_truncated() -> None:
    def faults(third: Record, last: Record = CUT) -> list[str]:
        return ledger_faults([row(), row(), third, last], whole=3)

    assert faults(row(input_tokens=0, cache_write_1h_tokens=9)) == []
    assert faults(row(cost_nano=None, cost_basis="unknown")) == ["row 3 costs None nano-dollars, unknown"]
    assert faults(row(output_tokens=0)) == ["row 3 has 8 prompt and 0 output tokens"]
    assert faults(row(ending="failed")) == ["row 3 is failed, not complete"]
    assert faults(row(), last=row()) == ["row 4 is complete, not truncated"]


def test_a_case_that_made_no_request_is_not_passed() -> None:
    said = "{} requests before the cut and {} of it; each case must make one"
    assert ledger_faults([row(), row(), CUT], whole=2) == [said.format(2, 1)]
    assert ledger_faults([row(), row(), row()], whole=3) == [said.format(3, 0)]


def test_the_table_says_what_was_seen_and_why_not() -> None:
    cases = {"plain": {"ok": True}, "cut stream": {"ok": True, "seen": "E: a|b"}}
    seen = Tried("a", "1.0", "2026-10-21", "Bearer", cases)
    lines = table([seen, Tried("b", reason="skipped: no Node")]).splitlines()
    assert lines[2] == "| a | 1.0 | 2026-10-21 | Bearer | yes | **no** | **no** | E: a/b |"
    assert "skipped: no Node" in lines[3]


def test_only_the_marked_part_of_the_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "clients.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, "new", "2026-11-20")
    assert page.read_text() == f"before\n{BEGIN}\n\nTried on 2026-11-20.\n\nnew\n\n{END}\nafter\n"
