"""Claude in Amazon Bedrock, against the official SDK's AnthropicBedrockMantle."""

from __future__ import annotations

import json

import pytest

from penstock.wire.envelopes import Unsupported, default_url, envelope

from .clients import CALLS, KEYS, NOW_S, count, create, dressed, field, first_party, mantle
from .test_bedrock import botocore_signed, freeze

ORIGIN = "https://bedrock-mantle.us-east-1.api.aws"
MODEL = "anthropic.claude-opus-4-7"


@pytest.mark.parametrize("call", [*CALLS, "count"])
@pytest.mark.parametrize("url", [ORIGIN, ORIGIN + "/anthropic/", default_url("mantle", "us-east-1")])
def test_the_sdk_would_send_the_same(call: str, url: str) -> None:
    send = {**CALLS, "count": count}[call](MODEL)
    theirs, caught = mantle(send, api_key="bedrock-api-key-xyz"), first_party(send)
    ours = dressed(envelope("mantle", url), caught, "bedrock-api-key-xyz")
    assert (ORIGIN + ours.path, ours.query) == (theirs.url, theirs.query)
    assert ours.body == caught.body
    assert json.loads(ours.body) == theirs.json
    assert field(ours.headers, "x-api-key") is None
    for name in ("accept", "content-type", "anthropic-version", "anthropic-beta", "authorization"):
        assert field(ours.headers, name) == theirs.field(name), name


@pytest.mark.parametrize("call", ["create", "count"])
def test_a_user_profile_moves_into_the_body(call: str) -> None:
    send = {"create": create, "count": count}[call](MODEL, extra_headers={"anthropic-user-profile-id": "uprof_1"})
    theirs, ours = mantle(send, api_key="x"), dressed(envelope("mantle", ORIGIN), first_party(send), "x")
    assert json.loads(ours.body) == theirs.json
    assert theirs.json["user_profile_id"] == "uprof_1"
    assert field(ours.headers, "anthropic-user-profile-id") == theirs.field("anthropic-user-profile-id") is None


def test_the_bodys_own_user_profile_stays() -> None:
    send = create(
        MODEL, extra_headers={"anthropic-user-profile-id": "uprof_1"}, extra_body={"user_profile_id": "uprof_2"}
    )
    theirs, ours = mantle(send, api_key="x"), dressed(envelope("mantle", ORIGIN), first_party(send), "x")
    assert json.loads(ours.body) == theirs.json
    assert theirs.json["user_profile_id"] == "uprof_2"


@pytest.mark.parametrize("query", ["", "beta=true", "b=%20x&a=1&a=%C3%BC"])
def test_keys_sign_as_botocore_does(query: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore, the oracle of signatures, is not installed")
    signed = botocore_signed(auth, monkeypatch, None)
    caught = first_party(create(MODEL))
    given = envelope("mantle", ORIGIN).dress(
        "POST", caught.path, query, caught.headers, caught.body, secret=":".join(KEYS), now_s=NOW_S
    )
    assert given.query == query
    url = f"{ORIGIN}{given.path}?{query}" if query else ORIGIN + given.path
    assert field(given.headers, "authorization") == signed(url, given, "bedrock-mantle")["authorization"]


def test_the_sdk_signs_for_the_same_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore, the oracle of signatures, is not installed")
    freeze(auth, monkeypatch)
    theirs = mantle(create(MODEL), aws_access_key=KEYS[0], aws_secret_key=KEYS[1])
    ours = dressed(envelope("mantle", ORIGIN), first_party(create(MODEL)), ":".join(KEYS))
    scope = (theirs.field("authorization") or "").split(",")[0]
    assert scope.endswith("/us-east-1/bedrock-mantle/aws4_request")
    assert (field(ours.headers, "authorization") or "").split(",")[0] == scope


def test_bedrock_runtime_has_its_own_service_name() -> None:
    there = envelope("mantle", "https://bedrock-runtime.eu-west-1.amazonaws.com")
    given = dressed(there, first_party(create(MODEL)), ":".join(KEYS))
    assert given.path == "/anthropic/v1/messages"
    assert "/eu-west-1/bedrock/aws4_request" in (field(given.headers, "authorization") or "")


def test_the_apis_names_are_mapped_and_nothing_else_is_touched() -> None:
    there = envelope("mantle", ORIGIN, models={"claude-opus-5": "anthropic.claude-opus-5-custom"})
    for asked, named in [
        ("claude-opus-5", "anthropic.claude-opus-5-custom"),
        ("claude-sonnet-5", "anthropic.claude-sonnet-5"),
    ]:
        caught = first_party(create(asked))
        assert dressed(there, caught, "x").body == caught.body.replace(asked.encode(), named.encode())


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/models", "/v1/files", "/v1/organizations/me"])
def test_what_it_does_not_have_is_named(path: str) -> None:
    with pytest.raises(Unsupported):
        envelope("mantle", ORIGIN).dress("POST", path, "", (), b"", secret="x", now_s=0)


def test_its_answers_pass_but_for_the_request_id() -> None:
    there = envelope("mantle", ORIGIN)
    assert there.undress(200, ((b"content-type", b"text/event-stream"), (b"request-id", b"req_1"))) is None
    opened = there.undress(200, ((b"content-type", b"text/event-stream"), (b"x-amzn-requestid", b"r-1")))
    assert opened is not None
    assert dict(opened.headers)[b"request-id"] == b"r-1"
    assert (opened.feed(b"event: x\n"), opened.end()) == (b"event: x\n", b"")
