"""What a row keeps of a prompt: nothing that can be read or guessed, and no more of it than is bounded."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import msgspec
import pytest

from penstock.caching.fingerprint import DIGEST_BYTES, Fingerprinted, fingerprint, kept
from penstock.call import Candidate, Plan, Target
from penstock.secret import Secret
from penstock.wire.prefix import read_prefix
from script import a_call

SALT = b"s" * 32
MARK = {"type": "ephemeral"}
TOOLS = [{"name": f"look_{at}", "input_schema": {"type": "object"}} for at in range(2)]


def a_body(**changes: Any) -> dict[str, Any]:
    system = [
        {"type": "text", "text": "Be brief with Aurelia. " * 300},
        {"type": "text", "text": "x", "cache_control": MARK},
    ]
    turns = [{"role": "user", "content": "Is Aurelia in?"}]
    return {
        "model": "claude-sonnet-4-6",
        "max_tokens": 9,
        "system": system,
        "messages": turns,
        "tools": TOOLS,
        **changes,
    }


def taken(body: dict[str, Any], salt: bytes = SALT, placed: dict[int, str] | None = None, **more: Any) -> Any:
    call = a_call(body, **more)
    assert call.request is not None
    return fingerprint(call, read_prefix(call.request, call.body, salt), placed or {}, salt)


def digests(fact: Fingerprinted) -> list[bytes]:
    raw = b64decode(fact.digests)
    return [raw[at : at + DIGEST_BYTES] for at in range(0, len(raw), DIGEST_BYTES)]


def test_it_has_the_blocks_in_order_with_their_marks() -> None:
    made = taken(a_body(thinking={"type": "enabled", "budget_tokens": 1024}))
    assert (made.upstream, made.blocks, made.tools, made.system, made.turns) == ("anthropic", 5, 2, 2, 1)
    assert made.marks == ((3, "5m"),) and len(digests(made)) == len(made.tokens) == 5
    assert made.settings["thinking"] == "enabled 1024" and "speed" not in made.settings
    assert (
        "2 of tools, 2 of the system prompt" in made.told() and "marked for the cache at block 4 for 5m" in made.told()
    )


def test_no_text_no_name_and_no_key_is_in_it() -> None:
    target = Target("anthropic", "https://api.anthropic.example", Secret("sk-ant-secret"))
    choice = {"type": "tool", "name": "look_1"}
    made = taken(a_body(tool_choice=choice), plan=Plan((Candidate(target),)))
    raw = msgspec.json.encode(made).decode()
    assert not any(word in raw for word in ("Aurelia", "brief", "look_", "sk-ant"))
    assert made.credential and made.credential != taken(a_body(tool_choice=choice)).credential


def test_another_salt_makes_all_of_it_another() -> None:
    own = a_body(tool_choice={"type": "tool", "name": "look_1"})
    one, other = taken(own), taken(own, b"t" * 32)
    assert not set(digests(one)) & set(digests(other))
    assert one.toolset != other.toolset and one.settings["tool_choice"] != other.settings["tool_choice"]


def test_marks_are_no_part_of_what_is_compared() -> None:
    bare = a_body(system=[{**block, "cache_control": None} for block in a_body()["system"]])
    moved = a_body(tools=[TOOLS[0], {**TOOLS[1], "cache_control": MARK}])
    assert digests(taken(a_body())) == digests(taken(bare)) == digests(taken(moved))
    assert taken(moved).marks == ((1, "5m"), (3, "5m")) and taken(moved).toolset == taken(bare).toolset


def test_tools_in_another_order_are_the_same_set() -> None:
    one, other = taken(a_body()), taken(a_body(tools=TOOLS[::-1]))
    assert one.toolset == other.toolset and digests(one)[1] != digests(other)[1]


def test_the_mark_of_the_whole_and_those_placed_by_us_count() -> None:
    whole = taken(a_body(cache_control={"type": "ephemeral", "ttl": "1h"}))
    assert whole.marks == ((3, "5m"), (4, "1h"))
    assert taken(a_body(), placed={4: "5m"}).marks == ((3, "5m"), (4, "5m"))


def test_nothing_is_kept_without_a_salt_or_of_what_no_cache_takes() -> None:
    assert taken(a_body(), b"") is None
    short = [{"type": "text", "text": "Be brief."}]
    assert taken(a_body(system=short)) is None
    assert taken(a_body(system=[{**short[0], "cache_control": MARK}])) is not None  # somebody wanted it cached
    assert taken(a_body(messages="odd")) is None


@pytest.mark.parametrize("blocks", [1, 96, 97, 400, 5_000, 100_000])
def test_of_long_prompts_some_blocks_are_kept_that_any_length_has(blocks: int) -> None:
    own, grown = kept(blocks, 3, 2, [0]), kept(blocks + 2, 3, 2, [0])
    assert own == sorted(set(own)) and own[-1] == blocks - 1 and len(own) <= 140
    assert blocks < 97 or {0, 2, 4, 31} < set(own)
    assert len(set(own) & set(grown)) >= min(blocks, 32)
    near = [place for place in own if place in set(grown) and place >= blocks - 60]
    assert blocks < 200 or len(near) > 50
