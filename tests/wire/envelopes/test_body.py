"""Edits of a body: no field is lost, and no byte changes that need not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.wire.envelopes import envelope
from penstock.wire.envelopes.body import Body
from penstock.wire.messages import Malformed

NAMES = ("model", "stream", "anthropic_version", "max_tokens", "messages", "an unknown field", "mödel", 'qu"ote\\', "")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)
SPACES = st.text(" \t\n\r", max_size=3)
MEMBERS = st.lists(
    st.tuples(st.sampled_from(NAMES), VALUES, st.booleans(), SPACES, SPACES, SPACES, SPACES),
    max_size=7,
    unique_by=lambda member: member[0],
)


def written(members: list[tuple[str, Any, bool, str, str, str, str]]) -> tuple[bytes, list[bytes]]:
    """A body, and its members as they stand in it, with names and values escaped or not, and spaces everywhere."""
    each = [
        f"{json.dumps(name, ensure_ascii=plain)}{b}:{c}{json.dumps(value, ensure_ascii=plain)}"
        for name, value, plain, _, b, c, _ in members
    ]
    inner = ",".join(f"{member[3]}{text}{member[6]}" for member, text in zip(members, each, strict=True))
    return ("{" + inner + "}").encode(), [text.encode() for text in each]


@settings(max_examples=300, deadline=None)
@given(MEMBERS, st.sets(st.sampled_from(NAMES)), st.dictionaries(st.sampled_from((*NAMES, "new")), VALUES, max_size=3))
def test_what_is_not_edited_stays_byte_for_byte(
    members: list[tuple[str, Any, bool, str, str, str, str]], dropped: set[str], put: dict[str, Any]
) -> None:
    put = {name: value for name, value in put.items() if name not in dropped}
    body, each = written(members)
    edited = Body(body).edited(dropped=dropped, put={name: json.dumps(value).encode() for name, value in put.items()})
    expected = {member[0]: member[1] for member in members if member[0] not in dropped} | put
    assert json.loads(edited) == expected
    at = 0
    for member, text in zip(members, each, strict=True):
        if member[0] not in dropped and member[0] not in put:
            at = edited.index(text, at) + len(text)  # each as it stood, in the same order
    if not put and not dropped & {member[0] for member in members}:
        assert edited == body


@settings(max_examples=150, deadline=None)
@given(MEMBERS, st.sampled_from(["bedrock", "mantle", "google", "foundry"]))
def test_no_envelope_loses_a_field(members: list[tuple[str, Any, bool, str, str, str, str]], kind: str) -> None:
    members = [member for member in members if member[0] != "model"]
    members.append(("model", "claude-opus-5", True, " ", "", "\n", ""))
    body, each = written(members)
    there = envelope(kind, "https://cloud.example", region="us-east5", project="p", models={"claude-opus-5": "own"})
    given = there.dress("POST", "/v1/messages", "", (), body, secret="k", now_s=0).body
    asked = {member[0]: member[1] for member in members}
    if kind in ("bedrock", "google"):
        asked = {"anthropic_version": json.loads(given)["anthropic_version"], **asked}
        del asked["model"]
        if kind == "bedrock":
            asked.pop("stream", None)
    else:
        asked["model"] = "own"
    assert json.loads(given) == asked
    gone = ("model", "stream")
    assert all(text in given for member, text in zip(members, each, strict=True) if member[0] not in gone)


def test_the_edits_are_these_and_no_others() -> None:
    body = b'\n{ "model" : "m" ,\n  "x": [1,  2] ,"stream":true, "y":1e5,"model":"m" }\n'
    assert Body(body).edited(dropped=("model", "stream"), put={"v": b"0"}) == b'\n{"v":0, "x": [1,  2] ,"y":1e5 }\n'
    assert Body(body).edited(put={"model": b'"n"'}) == body.replace(b'"m"', b'"n"')
    assert Body(b"{ }").edited(put={"v": b"0", "w": b"1"}) == b'{"v":0,"w":1 }'
    assert Body(b'{"mod\\u0065l":1}').edited(dropped=("model",), put={}) == b"{}"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":1',
        b'{"a":1}x',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":1,"a":2}',
        b'{"a":12,"a":1}',
        b'{"a":1,"\\u0061":12}',
        b'{"a":[1],"b":2,"a":[1,2]}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_object_with_fields_of_their_own_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        Body(body)


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=30) | st.text('{}[]":,\\\\ae1 \\n', max_size=30).map(lambda text: b"{" + text.encode() + b"}")
)
def test_anything_is_a_body_or_malformed(body: bytes) -> None:
    try:
        edited = Body(body).edited(dropped=("a",), put={"v": b"0"})
    except Malformed:
        return
    assert Body(edited).raw("v") == b"0"
    assert "a" not in Body(edited)


def test_values_are_looked_up_by_name() -> None:
    body = Body(b'{"model":"m\\u00fc","stream": true ,"n":7}')
    assert (body.text("model"), body.text("n"), body.text("no")) == ("mü", None, None)
    assert (body.raw("stream"), body.raw("no")) == (b"true", None)
    assert "n" in body
    assert "no" not in body
