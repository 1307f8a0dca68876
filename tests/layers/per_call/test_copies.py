"""Copies: which calls are copied, what a copy is, and what it leaves the caller's call as."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from penstock.call import Call, Caller, Policy, Tags, Target
from penstock.choosing.copies import Copied, CopyOf, Drawn, Uncopied
from penstock.config.features import FeatureConfig
from penstock.config.routes import ShadowConfig
from penstock.config.schema import Config, IdentityConfig
from penstock.errors import Refused
from penstock.layer import Layer, stack
from penstock.layers.per_call.copies import Copies
from penstock.layers.per_call.identity import Identified, Identity
from penstock.layers.per_call.routing import Routing
from penstock.ports import Ports
from penstock.secret import Secret
from script import HELLO, Drive, Played, a_call, a_reply, play, ports, routes

KEYED = Target("anthropic", "https://api.example", Secret("sk-of-the-upstream"))
SHADOW = ShadowConfig(model="claude-opus-5", share_percent=100)
TOOL = {"name": "look_up", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
HEADERS = (
    (b"x-api-key", b"the-caller's"),
    (b"x-penstock-feature", b"chat"),
    (b"x-penstock-user", b"ada"),
    (b"x-penstock-session", b"s1"),
    (b"x-penstock-segment", b"eu"),
    (b"idempotency-key", b"i1"),
    (b"anthropic-version", b"2023-06-01"),
)


def copying(
    drive: Drive,
    shadow: ShadowConfig = SHADOW,
    *,
    own: Ports | None = None,
    target: Target = KEYED,
    answer: Any = a_reply,
    **call: Any,
) -> Played:
    """One call through copies, identity and routing; what went onward below these, its copy's included."""
    own = own or ports()
    config = Config(features={"chat": FeatureConfig(shadow=shadow)}, identity=IdentityConfig(keys_required=False))
    below: list[Layer] = [Identity(config.identity, "dev", own), Routing(config, routes(target), own)]
    copies = Copies(config, own)

    class Both:
        async def __call__(self, call: Call, onward: Any) -> Any:
            return await copies(call, stack(below, end=onward))

    call.setdefault("headers", HEADERS)
    return play(drive, Both(), a_call(call.pop("body", None), plan=None, **call), answer)


def test_a_copy_is_a_call_of_its_own_that_says_nothing_of_who_asked(drive: Drive) -> None:
    played = copying(drive)
    first, copy = played.onward
    assert played.body == a_reply(first).answer.id or played.body, "the caller got its answer"
    assert copy.id != first.id and copy.trail is not first.trail
    assert (copy.tags, copy.caller) == (Tags(feature="chat"), Caller("dev"))
    assert first.tags == Tags(feature="chat", user="ada", session="s1", segment="eu")
    assert copy.headers == ((b"anthropic-version", b"2023-06-01"),)
    assert json.loads(copy.body) == {**HELLO, "model": "claude-opus-5"}
    assert copy.plan is not None and copy.plan.policy == Policy(lane="background")
    assert copy.tries_max == 1 and len(copy.plan.candidates) == 1
    assert copy.trail[0] == CopyOf(first.id, "claude-opus-5", "dev", "chat") and copy.trail.last(Drawn) is None
    assert copy.trail.last(Identified) is None, "nobody asked"
    assert played.fact(Copied) == Copied(copy.id, "claude-opus-5")


def test_the_callers_own_call_is_not_touched(drive: Drive) -> None:
    body = json.dumps(HELLO, indent=1).encode()
    first = copying(drive, body=body).onward[0]
    assert first.body == body and first.plan is not None and first.plan.policy == Policy()


@pytest.mark.parametrize(
    ("change", "is_copied"),
    [
        ({}, True),
        ({"body": {**HELLO, "tools": [TOOL]}}, True),
        ({"body": {**HELLO, "tools": [TOOL, SEARCH]}}, False),
        ({"body": {**HELLO, "mcp_servers": []}}, False),
        ({"path": "/v1/messages/count_tokens"}, False),
        ({"path": "/v1/messages/batches"}, False),
        ({"headers": HEADERS[2:]}, False),
        ({"target": Target("anthropic", "https://api.example")}, False),
        ({"target": Target("anthropic", "https://api.example"), "face": "client", "tags": Tags(feature="chat")}, True),
        ({"answer": lambda call: a_reply(call, 529, b"{}")}, False),
        ({"shadow": ShadowConfig(model="m", share_percent=0)}, False),
    ],
)
def test_only_what_may_be_is_copied(drive: Drive, change: dict[str, Any], is_copied: bool) -> None:
    played = copying(drive, **change)
    assert len(played.onward) == (2 if is_copied else 1)


def test_server_tools_are_copied_where_the_feature_says_so(drive: Drive) -> None:
    shadow = ShadowConfig(model="claude-opus-5", share_percent=100, server_tools=True)
    assert len(copying(drive, shadow, body={**HELLO, "tools": [SEARCH]}).onward) == 2


def test_a_call_that_no_model_answered_is_not_copied(drive: Drive) -> None:
    played = copying(drive, answer=lambda call: a_reply(call, 529, b"{}"))
    assert played.fact(Uncopied).told() == "Not copied: no model answered it."


def test_where_too_many_are_under_way_the_copy_is_left_out(drive: Drive) -> None:
    own = ports()
    assert all(own.quotas.enter("copies/chat", 4) for _ in range(4))
    played = copying(drive, own=own)
    assert len(played.onward) == 1 and played.fact(Uncopied).reason == "too many copies are under way"
    own.quotas.leave("copies/chat")
    assert len(copying(drive, own=own).onward) == 2
    assert own.quotas.enter("copies/chat", 4), "the place was given back"


def test_what_a_copy_meets_is_nothing_to_the_caller(drive: Drive) -> None:
    def answer(call: Call) -> Any:
        if call.trail and isinstance(call.trail[0], CopyOf):
            raise Refused("No.", layer="budgets", code="budget_exhausted", fix="-", status=402, type="billing_error")
        return a_reply(call)

    own = ports()
    played = copying(drive, answer=answer, own=own)
    assert played.error is None and len(played.onward) == 2
    assert own.quotas.enter("copies/chat", 1), "the place was given back"


def test_a_copy_that_its_model_cannot_take_is_refused_and_its_row_says_why(drive: Drive) -> None:
    turns = [*HELLO["messages"], {"role": "assistant", "content": "It is"}]  # type: ignore[misc]
    config = Config(features={"chat": FeatureConfig(shadow=SHADOW)})
    copy = replace(a_call({**HELLO, "messages": turns}, plan=None, tags=Tags(feature="chat")), caller=Caller("dev"))
    copy.trail.append(CopyOf("call_0", "claude-opus-5", "dev", "chat"))
    played = play(drive, Routing(config, routes(KEYED), ports()), copy)
    assert isinstance(played.error, Refused) and played.error.code == "copy_unfit"
