"""What pages take from others comes by a lock file that binds bytes and no host, and is in the package."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from place import Place

import penstock.dashboard
from penstock.dashboard import app

ROOT = Path(__file__).parents[2]
FRONTEND = ROOT / "frontend"
STATIC = Path(penstock.dashboard.__file__).with_name("static")


def test_the_lock_binds_every_byte_and_names_no_host() -> None:
    text = (FRONTEND / "package-lock.json").read_text()
    lock = json.loads(text)["packages"]
    wanted = json.loads((FRONTEND / "package.json").read_text())
    packages = {name.removeprefix("node_modules/"): one for name, one in lock.items() if name}
    assert "resolved" not in text and "://" not in text
    assert {name: one["version"] for name, one in packages.items()} == {
        **wanted["dependencies"],
        **wanted["devDependencies"],
    }
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())


def test_the_package_has_what_the_lock_says_with_its_licence() -> None:
    stamp = STATIC / "vendor" / "lock.sha256"
    if not stamp.is_file():
        pytest.skip("nothing was fetched into this source: `make setup` does")
    assert stamp.read_text().strip() == hashlib.sha256((FRONTEND / "package-lock.json").read_bytes()).hexdigest()
    assert {"uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE"} <= {one.name for one in stamp.parent.iterdir()}


def test_a_source_that_nothing_was_fetched_into_has_pages_without_plots(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_PLOTS", Path("/nowhere"))
    text = place.visitor().get("/penstock/").text
    assert "vendor" not in text and "penstock.js" in text


def test_nothing_of_ours_leads_to_another_host_or_is_written_within_a_page() -> None:
    for path in [*STATIC.glob("*.*"), *STATIC.parent.glob("templates/*.html")]:
        text = path.read_text()
        hosts = set(re.findall(r"(?:https?:)?//([a-z0-9-]+\.[a-z0-9.-]+)", text)) - {"www.w3.org"}
        assert not {host for host in hosts if not host.startswith("127.")}, path.name
        if path.suffix == ".html":
            assert not re.search(r"\son[a-z]+=|\sstyle=|<style|<script(?![^>]*\ssrc=)|javascript:", text), path.name
