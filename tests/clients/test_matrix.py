"""The runner of `make clients`; the clients themselves are kept out of `make test` for their weight."""

from __future__ import annotations

import shutil
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


def test_what_cannot_be_installed_is_a_failure_and_not_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{prepared.__module__}.CACHE", tmp_path)
    missing = tmp_path / "nothing-here"
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(NotInstalled, match="pip could not install it"):
        prepared(Client("x", (str(missing),), "x.py"))
    assert not list(tmp_path.rglob("packages.txt"))


def row(**fields: Any) -> Record:
    billed = {"input_tokens": 8, "output_tokens": 5, "cost_nano": 99_000, "cost_basis": "exact", **fields}
    return Record(
        call_id="c", began_at_us=0, face="gateway", method="POST", path="/v1/messages", endpoint="messages", **billed
    )


def test_rows_of_whole_calls_are_complete_and_billed_and_of_cut_ones_truncated() -> None:
    cut = row(ending="truncated", cost_basis="estimated")
    assert ledger_faults([row(), row(input_tokens=0, cache_write_1h_tokens=9), cut], whole=2) == []
    assert ledger_faults([row(cost_nano=None, cost_basis="unknown"), cut], 1) == [
        "row 1 costs None nano-dollars, unknown"
    ]
    assert ledger_faults([row(output_tokens=0), cut], 1) == ["row 1 has 8 prompt and 0 output tokens"]
    assert ledger_faults([row(ending="failed"), cut], 1) == ["row 1 is failed, not complete"]
    assert ledger_faults([row(), row()], 1) == ["row 2 is complete, not truncated"]


def test_a_client_that_never_met_the_cut_is_not_passed() -> None:
    assert ledger_faults([row()], whole=1) == ["1 of 1 requests came before the stream was cut"]
    assert ledger_faults([], whole=0) == ["0 of 0 requests came before the stream was cut"]


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
