"""The runner of `make clients`; the clients themselves are kept out of `make test` for their weight."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .matrix import BEGIN, CLIENTS, END, HERE, Client, Skipped, Tried, prepared, table, write


def test_every_client_has_its_script() -> None:
    assert len(CLIENTS) == 7
    assert all((HERE / "scripts" / client.script).exists() for client in CLIENTS)


def test_a_client_is_ok_only_if_every_case_is() -> None:
    good = {"plain": {"ok": True}, "streaming": {"ok": True}}
    assert Tried("a", cases=good).is_ok
    assert not Tried("a", cases={**good, "tools": {"ok": False}}).is_ok
    assert not Tried("a", cases=good, reason="2 requests and 1 rows").is_ok
    assert not Tried("a").is_ok


def test_without_node_a_node_client_is_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(f"{prepared.__module__}.CACHE", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Skipped, match=r"Node\.js and npm"):
        prepared(Client("x", ("x@1",), "x.mjs"))


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
