"""Keys while a gateway runs: what they spent, and rotations, of callers' keys and of the key of an upstream."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateways import Process, command, gateway
from penstock.simulator import running
from penstock.simulator.accounts import ApiKey
from script import HELLO

from .test_hangup import eventually
from .test_lifecycle import ask


def verb(process: Process, *words: str) -> Any:
    done = command("keys", *words, "--json", "--data", str(process.data))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def call(process: Process, key: str, **tags: str) -> httpx2.Response:
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    headers |= {f"x-penstock-{name}": value for name, value in tags.items()}
    return httpx2.post(process.url + "/v1/messages", json=HELLO, headers=headers, timeout=30)


@pytest.fixture(scope="module")
def process() -> Iterator[Process]:
    with running(seed=1) as simulator:
        with gateway(simulator.url, ANTHROPIC_API_KEY=simulator.key) as started:
            yield started


def test_what_a_key_spent_is_told_by_what_it_was_used_for(process: Process) -> None:
    made = verb(process, "create", "leaky", "--limit-usd", "1", "--period", "total")
    answers = [call(process, made["key"], feature=f"f{number % 2}", user="u1") for number in range(5)]
    cost = sum(Decimal(answer.headers["x-penstock-cost-usd"]) for answer in answers)
    for answer in answers:
        process.record(answer.headers["x-penstock-call-id"])
    used = verb(process, "spent", "leaky")
    assert (used["totals"]["calls"], Decimal(used["totals"]["cost_usd"]), used["after_revocation"]) == (5, cost, None)
    assert {row["feature"]: row["calls"] for row in used["by"]["feature"]} == {"f0": 3, "f1": 2}
    assert [(row["user"], row["calls"]) for row in used["by"]["user"]] == [("u1", 5)]
    assert [row["upstream"] for row in used["by"]["upstream"]] == ["upstream"]
    assert verb(process, "spent", "leaky", "--since", "2100-01-01")["totals"]["calls"] == 0
    shown = verb(process, "show", "leaky")
    assert (Decimal(shown["spent_usd"]), shown["period_now"]) == (cost, "total")
    assert shown["last_used_at"] is not None

    assert verb(process, "revoke", made["id"])["spent"]["totals"]["calls"] == 5
    assert eventually(lambda: call(process, made["key"]).status_code == 401)
    refused = call(process, made["key"])
    process.record(refused.headers["x-penstock-call-id"])
    after = verb(process, "spent", "leaky")["after_revocation"]
    assert after["refused"] >= 2 and after["last_at"] is not None
    warned = command("keys", "revoke", made["id"], "--data", str(process.data)).stdout
    assert "WARNING" in warned and "someone still has it" in warned


def test_a_revocation_ends_a_key_in_every_gateway_within_a_second(process: Process) -> None:
    with running(seed=2) as simulator:
        with gateway(simulator.url, data=process.data, ANTHROPIC_API_KEY=simulator.key) as other:
            made = verb(process, "create", "shared")
            assert [ask(one, key=made["key"]).status_code for one in (process, other)] == [200, 200]
            verb(process, "revoke", made["id"])
            revoked_at = time.monotonic()
            assert eventually(lambda: {ask(one, key=made["key"]).status_code for one in (process, other)} == {401})
            assert time.monotonic() - revoked_at < 1.5, "a second, and the calls that asked"


def test_old_and_new_key_both_work_until_the_grace_ends(process: Process) -> None:
    old = verb(process, "create", "app")
    new = verb(process, "rotate", "app")
    assert [ask(process, key=one["key"]).status_code for one in (old, new)] == [200, 200]
    newest = verb(process, "rotate", "app", "--grace", "0m")
    assert ask(process, key=newest["key"]).status_code == 200
    assert eventually(lambda: ask(process, key=new["key"]).status_code == 401)
    assert ask(process, key=new["key"]).json()["error"]["details"]["error_code"] == "key_expired"
    assert ask(process, key=old["key"]).status_code == 200, "its own grace is not over"


def test_old_and_new_key_have_one_limit_before_and_after_it_is_counted_anew(process: Process) -> None:
    old = verb(process, "create", "tight", "--limit-usd", "0.0009", "--period", "day")
    first = ask(process, key=old["key"])
    ask(process, key=process.key)
    cost = Decimal(first.headers["x-penstock-cost-usd"])
    new = verb(process, "rotate", "tight")
    answers = [ask(process, key=key) for key in [new["key"], old["key"]] * 10]
    paid = [Decimal(one.headers["x-penstock-cost-usd"]) for one in answers if one.status_code == 200]
    assert 0 < len(paid) < 20 and cost + sum(paid) <= Decimal("0.0009")
    assert {one.status_code for one in answers} == {200, 402}
    for answer in (first, *answers):
        process.record(answer.headers["x-penstock-call-id"])
    shown = [Decimal(verb(process, "show", one["id"])["spent_usd"]) for one in (old, new)]
    assert shown == [cost + sum(paid)] * 2
    counted = command("budgets", "rebuild", "--data", str(process.data))
    assert counted.returncode == 0 and "0 differed" in counted.stdout, "the ledger says the same"
    listed = command("budgets", "list", "--json", "--data", str(process.data))
    limited = [row["of"]["key"] for row in json.loads(listed.stdout) if "0.0009" in row["budget"]]
    assert limited == [old["id"]], "keys without that limit are none of it"
    assert ask(process, key=new["key"]).status_code == 402


# --- the key of an upstream --------------------------------------------------------------------------------------

OLD, NEW = ("sk-ant-" + "api03-" + letter * 40 for letter in "ON")


class Rotation:
    """A gateway before a simulator that takes two keys, and the verb that walks from one to the other."""

    def __init__(self, process: Process, simulator: Any) -> None:
        self.process, self.simulator = process, simulator
        self.file = process.log.parent / "penstock.toml"

    def walk(self, *words: str) -> tuple[int, dict[str, Any]]:
        named = ("--upstream", "main", "--new", "file:new.key", "--config", str(self.file))
        done = command("keys", "rotate", *named, *words, "--data", str(self.process.data), "--json")
        assert done.stderr == "", done.stderr
        steps = json.loads(done.stdout)["steps"]
        assert [step["is_done"] for step in steps[:-1]] == [True] * (len(steps) - 1), "the first not done is the last"
        return done.returncode, steps[-1]

    def configure(self, *keys: str) -> None:
        text = f"[upstreams.main]\nkind = 'compatible'\nurl = '{self.simulator.url}'\nkeys = {json.dumps(keys)}\n"
        self.file.write_text(text)

    def reload(self) -> None:
        code, step = self.walk("--pid", str(self.process.child.pid))
        assert (code, step["name"]) == (0, "reload") and f"gateway {self.process.child.pid} took" in step["told"]

    def talk(self, times: int = 20) -> set[str]:
        """Calls of as many conversations; the keys that they were paid with."""
        seen = len(self.simulator.requests)
        answers = [call(self.process, self.process.key, session=f"s{number}") for number in range(times)]
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            self.process.record(answer.headers["x-penstock-call-id"])
        return {served.headers["x-api-key"] for served in self.simulator.requests[seen:]}


@pytest.fixture
def rotation(tmp_path: Path) -> Iterator[Rotation]:
    with running(seed=3, keys=[ApiKey(OLD), ApiKey(NEW)]) as simulator:
        first = f"[upstreams.main]\nkind = 'compatible'\nurl = '{simulator.url}'\nkeys = ['env:OLD_KEY']\n"
        with gateway(config=first, data=tmp_path / "data", OLD_KEY=OLD) as process:
            old = process.log.parent / "old.key"
            old.write_text(OLD)
            old.chmod(0o600)
            made = Rotation(process, simulator)
            made.configure("file:old.key")
            yield made


def test_an_upstreams_key_is_rotated_without_a_restart(rotation: Rotation) -> None:
    new = rotation.file.parent / "new.key"
    assert rotation.talk(3) == {OLD}
    code, step = rotation.walk()
    assert (code, step["name"], step["is_done"]) == (1, "create", False)
    assert "cannot create keys" in step["told"] and "new.key" in step["told"]

    for value, said in ((OLD, ("create", "the same key as file:old.key")), ("sk-ant-api03-wrong", ("verify", "401"))):
        new.write_text(value)
        new.chmod(0o600)
        code, step = rotation.walk()
        assert code == 1 and step["name"] == said[0] and said[1] in step["told"]
        assert value not in step["told"]

    new.write_text(NEW)
    asked = len(rotation.simulator.requests)
    code, step = rotation.walk()
    assert (code, step["name"]) == (1, "config")
    assert 'set keys = ["file:new.key", "file:old.key"]' in step["told"]
    (proof,) = rotation.simulator.requests[asked:]
    assert proof.path.startswith("/v1/messages/count_tokens") and proof.headers["x-api-key"] == NEW, "and it is free"

    rotation.configure("file:new.key", "file:old.key")
    rotation.reload()
    assert rotation.talk() == {OLD, NEW}, "conversations are shared among both"
    code, step = rotation.walk()
    assert (code, step["name"], step["is_done"]) == (0, "reload", True)
    assert 'Next: set keys = ["file:new.key"]' in step["told"]
    code, step = rotation.walk("--retire")
    assert (code, step["name"]) == (1, "retire") and "file:old.key is still in the config" in step["told"]

    rotation.configure("file:new.key")
    rotation.reload()
    assert rotation.talk() == {NEW}
    code, step = rotation.walk("--retire")
    assert code == 1 and re.search(r"\d+ calls used file:old.key \(main#2\) in the last 60 min", step["told"])
    time.sleep(0.01)
    code, step = rotation.walk("--retire", "--unused-for", "0m")
    assert (code, step["is_done"]) == (0, True) and "may be deleted at the console" in step["told"]


def test_a_new_key_in_the_place_of_the_old_at_once_cannot_be_told_apart(rotation: Rotation) -> None:
    new = rotation.file.parent / "new.key"
    new.write_text(NEW)
    new.chmod(0o600)
    rotation.configure("file:new.key")
    code, step = rotation.walk("--retire", "--old", "file:old.key")
    assert code == 1 and "cannot tell them apart" in step["told"]


def test_the_old_key_stands_last_or_the_ledger_would_mix_them_up(rotation: Rotation) -> None:
    new = rotation.file.parent / "new.key"
    new.write_text(NEW)
    new.chmod(0o600)
    rotation.configure("file:old.key", "file:new.key")
    code, step = rotation.walk()
    assert code == 1 and 'set keys = ["file:new.key", "file:old.key"]' in step["told"]


def test_a_process_that_is_no_gateway_is_not_signalled(rotation: Rotation) -> None:
    new = rotation.file.parent / "new.key"
    new.write_text(NEW)
    new.chmod(0o600)
    rotation.configure("file:new.key", "file:old.key")
    named = ("--upstream", "main", "--new", "file:new.key", "--config", str(rotation.file))
    for pid in (os.getpid(), 2**22 - 1):
        done = command("keys", "rotate", *named, "--pid", str(pid), "--data", str(rotation.process.data))
        assert done.returncode == 2 and f"Process {pid} is no gateway" in done.stderr
