"""`penstock check fallbacks`: each hop tried on samples, and asked for one token where that is wished."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateways import command
from penstock.simulator import running

HOPS = (
    '[routing]\ndefault = "first"\n[features.default]\nfallback = ["claude-haiku-4-5", "@spare", "cached:60"]\n'
    '[features.odd]\nfallback = ["claude-3-7-sonnet-latest"]\n'
)


def two(first: str, spare: str) -> str:
    return "".join(
        f'[upstreams.{name}]\nkind = "compatible"\nurl = "{url}"\nkeys = ["env:UPSTREAM_KEY"]\n'
        for name, url in (("first", first), ("spare", spare))
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    place = tmp_path / "penstock.toml"
    place.write_text(two("http://127.0.0.1:1", "http://127.0.0.1:2") + HOPS)
    return place


def checked(config: Path, *words: str) -> tuple[int, dict[str, Any]]:
    done = command("check", "fallbacks", "--config", str(config), "--json", *words, UPSTREAM_KEY="k-1234567890")
    return done.returncode, json.loads(done.stdout)


def test_each_hop_says_what_it_would_change_and_what_it_cannot_take(config: Path) -> None:
    code, told = checked(config, "--model", "claude-opus-5-5", "--feature", "default")
    assert (code, told["ok"]) == (0, True)
    haiku, spare, cached = told["hops"]
    assert [hop["entry"] for hop in told["hops"]] == ["claude-haiku-4-5", "@spare", "cached:60"]
    changes = {one["sample"]: one["changes"] for one in haiku["samples"]}
    assert changes["a question"] == [] and changes["the longest answer"] == ["max_tokens: 128,000 became 64,000"]
    assert {one["sample"] for one in haiku["samples"] if one["skipped"]} >= {"a turn of the system", "101 images"}
    assert all(one["skipped"] is None for one in spare["samples"]) and cached["samples"] == []


def test_a_hop_of_no_use_is_exit_code_1_and_says_why(config: Path) -> None:
    done = command("check", "fallbacks", "--config", str(config), UPSTREAM_KEY="k-1234567890")
    assert done.returncode == 1
    assert (
        "claude-3-7-sonnet-latest: OF NO USE\n  fault: claude-3-7-sonnet-latest was retired on 2026-02-19"
        in done.stdout
    )


def test_a_hop_that_is_where_the_call_came_from_is_a_fault(tmp_path: Path) -> None:
    place = tmp_path / "penstock.toml"
    place.write_text(two("http://127.0.0.1:1", "http://127.0.0.1:2") + HOPS.replace("@spare", "@first"))
    code, told = checked(place, "--feature", "default")
    assert code == 1 and told["hops"][1]["faults"] == ["it is the upstream and the model that were asked first"]


def test_sent_each_hop_is_asked_for_one_token(tmp_path: Path) -> None:
    place = tmp_path / "penstock.toml"
    with running(seed=1, key="k-1234567890") as first:
        place.write_text(two(first.url, "http://127.0.0.1:2") + HOPS)
        code, told = checked(place, "--feature", "default", "--send")
        asked = [json.loads(served.body) for served in first.requests]
    assert [(body["model"], body["max_tokens"]) for body in asked] == [("claude-haiku-4-5", 1)]
    assert code == 1 and told["hops"][0]["sent"] == 200
    assert told["hops"][1]["sent"].startswith("Could not connect to http://127.0.0.1:2")


def test_unknown_features_and_missing_keys_are_exit_code_2(config: Path) -> None:
    done = command("check", "fallbacks", "--config", str(config), "--feature", "nope", UPSTREAM_KEY="k-1234567890")
    assert done.returncode == 2 and "There are: default, odd." in done.stderr
    done = command("check", "fallbacks", "--config", str(config))
    assert done.returncode == 2 and "UPSTREAM_KEY" in done.stderr
