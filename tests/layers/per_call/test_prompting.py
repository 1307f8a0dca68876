"""Prompting: instructions for calls that bring none, by the prompt of their feature."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.call import Tags
from penstock.config.features import FeatureConfig
from penstock.errors import ConfigError, Refused
from penstock.layers.per_call.prompting import Prompted, Prompting
from penstock.prompts import Prompts, registry
from penstock.prompts.lock import Released, lock_text, moved
from penstock.record import Record
from script import HELLO, Drive, a_call, play

TEXTS = {
    "support/1.md": "+++\n+++\nYou answer customers.",
    "support/2.md": '+++\n[variables]\ntone = { type = "str" }\n+++\nYou answer customers, {{tone}}.',
    "shots/1.md": "+++\n+++\nSay yes.\n+++ user\nIs it so?\n+++ assistant\nYes.",
    "outside/1.md": '+++\n[variables]\nticket = { type = "str", untrusted = true }\n+++\nAnswer.',
    "asking/1.md": "+++\n+++\nAnswer.\n+++ user\nNow?",
    "draft/1.md": "+++\n+++\nNot yet.",
}


def prompts(shares: dict[str, dict[int, int]] | None = None) -> Prompts:
    found = registry(TEXTS)
    lock = found.lock
    for name, number in (("support", 2), ("support", 1), ("shots", 1), ("outside", 1), ("asking", 1)):
        sealed: Released = found.sealed(found.get(name, number))
        lock = moved(lock, name, number, sealed, "release", "2026-11-21T12:00:00+00:00")
    return registry({**TEXTS, "prompts.lock": lock_text(lock)}, shares)


def layer(prompt: str, shares: dict[str, dict[int, int]] | None = None) -> Prompting:
    return Prompting({"chat": FeatureConfig(prompt=prompt)}, prompts(shares))


def sent(drive: Drive, own: Prompting, body: Any = None, **more: Any) -> dict[str, Any]:
    tags = more.pop("tags", Tags(feature="chat"))
    decoded: dict[str, Any] = json.loads(play(drive, own, a_call(body, tags=tags, **more)).onward[0].body)
    return decoded


def test_a_call_without_instructions_gets_those_of_its_feature(drive: Drive) -> None:
    played = play(drive, layer("support"), a_call(tags=Tags(feature="chat")))
    passed = played.onward[0]
    assert passed.body == json.dumps(HELLO).encode()[:-1] + b',"system":"You answer customers."}'
    assert passed.request is not None and bytes(passed.request.system) == b'"You answer customers."'
    prompted = played.fact(Prompted)
    record = Record(call_id="c", began_at_us=0, face="f", method="POST", path="/", endpoint="messages")
    prompted.mark(record)
    assert record.prompt == passed.tags.prompt and str(record.prompt).startswith("support@1:")
    assert record.prompt_hash == passed.request.prompt_hash() and "support@1" in prompted.told()


def test_values_come_in_a_header_field_and_are_typed(drive: Drive) -> None:
    said = ((b"x-penstock-values", b'{"tone": "briefly"}'),)
    assert sent(drive, layer("support@2"), headers=said)["system"] == "You answer customers, briefly."
    for value, fault in ((b'{"tone": 3}', "tone"), (b"{}", "tone"), (b"[1]", "no JSON object"), (b"\xff", "JSON")):
        refused = play(
            drive, layer("support@2"), a_call(tags=Tags(feature="chat"), headers=((b"x-penstock-values", value),))
        ).error
        assert isinstance(refused, Refused) and refused.code == "bad_values" and fault in refused.message


def test_examples_come_before_the_callers_own_turns(drive: Drive) -> None:
    body = sent(drive, layer("shots"))
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][-1] == HELLO["messages"][0]


def test_users_are_split_as_the_registry_says(drive: Drive) -> None:
    own = layer("support", {"support": {1: 1, 2: 1}})
    said = ((b"x-penstock-values", b'{"tone": "briefly"}'),)
    seen = set()
    for number in range(40):
        played = play(drive, own, a_call(tags=Tags(feature="chat", user=f"u{number}"), headers=said))
        if played.error is None:
            seen.add(str(played.fact(Prompted).prompt)[:9])
        else:  # the first version has no variables to give values to
            assert isinstance(played.error, Refused) and played.error.code == "bad_values"
            seen.add("support@1")
    assert seen == {"support@1", "support@2"}


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        ({**HELLO, "system": "My own."}, Tags(feature="chat")),
        (HELLO, Tags(feature="chat", prompt="mine@7")),
        (HELLO, Tags(feature="other")),
        (HELLO, Tags()),
    ],
)
def test_others_pass_as_they_are(drive: Drive, body: Any, tags: Tags) -> None:
    call = a_call(body, tags=tags)
    played = play(drive, layer("support"), call)
    assert played.onward[0].body is call.body and not played.trail


def test_values_that_nothing_uses_are_refused(drive: Drive) -> None:
    said = ((b"x-penstock-values", b"{}"),)
    for body, tags in ((HELLO, Tags()), ({**HELLO, "system": "Own."}, Tags(feature="chat"))):
        refused = play(drive, layer("support"), a_call(body, tags=tags, headers=said)).error
        assert isinstance(refused, Refused) and refused.code == "unused_values"


def test_a_body_that_cannot_be_edited_is_refused(drive: Drive) -> None:
    for raw in (b'{"model":"m","model":"m","messages":[]}', b'{"model":"m"}', b'{"model":"m","messages":"no"}'):
        refused = play(drive, layer("shots"), a_call(raw, tags=Tags(feature="chat"))).error
        assert isinstance(refused, Refused) and refused.code == "malformed_body"


@pytest.mark.parametrize(
    ("prompt", "code", "fault"),
    [
        ("outside", "prompt_not_for_feature", "from outside"),
        ("asking", "prompt_not_for_feature", "ends in a user's turn"),
        ("draft@1", "prompt_not_for_feature", "never released"),
        ("nowhere", "no_such_prompt", "There is no prompt"),
    ],
)
def test_a_prompt_that_no_feature_can_have_stops_the_start(prompt: str, code: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as refused:
        layer(prompt)
    assert refused.value.code == code
