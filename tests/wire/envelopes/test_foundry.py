"""Microsoft Foundry, against the official SDK's AnthropicFoundry."""

from __future__ import annotations

import json

import pytest

from penstock.wire.envelopes import Unsupported, Unusable, default_url, envelope

from .clients import CALLS, count, create, dressed, field, first_party, foundry

ORIGIN = "https://my-resource.services.ai.azure.com"
JWT = "eyJ0eXAiOiJKV1QifQ.eyJhdWQiOiJodHRwcyJ9.c2ln"
FIELDS = ("accept", "content-type", "anthropic-version", "anthropic-beta", "authorization", "x-api-key", "api-key")


@pytest.mark.parametrize("call", [*CALLS, "count"])
@pytest.mark.parametrize("is_token", [False, True])
def test_the_sdk_would_send_the_same(call: str, is_token: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    send = {**CALLS, "count": count}[call]("my-claude-deployment")
    options = {"azure_ad_token_provider": lambda: JWT} if is_token else {"api_key": "0123456789abcdef"}
    theirs, caught = foundry(send, **options), first_party(send)
    ours = dressed(envelope("foundry", ORIGIN), caught, JWT if is_token else "0123456789abcdef")
    assert (ORIGIN + ours.path, ours.query) == (theirs.url, theirs.query)
    assert ours.body is caught.body
    assert json.loads(ours.body) == theirs.json
    for name in FIELDS:
        assert field(ours.headers, name) == theirs.field(name), name


@pytest.mark.parametrize("url", [ORIGIN, ORIGIN + "/anthropic", ORIGIN + "/anthropic/"])
def test_the_prefix_may_stand_in_the_url(url: str) -> None:
    given = envelope("foundry", url).dress("GET", "/v1/files", "limit=2", (), b"", secret="k", now_s=0)
    assert (given.path, given.query) == ("/anthropic/v1/files", "limit=2")


def test_deployments_have_names_of_their_own() -> None:
    there = envelope("foundry", ORIGIN, models={"claude-haiku-4-5": "fast"})
    caught = first_party(create("claude-haiku-4-5-20251001"))
    assert dressed(there, caught, "k").body == caught.body.replace(b"claude-haiku-4-5-20251001", b"fast")


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/models", "/v1/organizations/me", "/v1//files"])
def test_what_foundry_does_not_have_is_named(path: str) -> None:
    with pytest.raises(Unsupported):
        envelope("foundry", ORIGIN).dress("GET", path, "", (), b"", secret="x", now_s=0)


def test_a_resource_has_no_url_that_is_the_same_for_all() -> None:
    with pytest.raises(Unusable):
        default_url("foundry", "eastus")


@pytest.mark.parametrize("url", ["", "my-resource", "ftp://my-resource", "https://", "https://[::1", "https://x:port"])
def test_a_url_that_is_none_is_unusable(url: str) -> None:
    with pytest.raises(Unusable):
        envelope("foundry", url)


def test_a_kind_that_is_none_is_unusable() -> None:
    with pytest.raises(Unusable):
        envelope("anthropic", ORIGIN)
    for kind, region in [("anthropic", "us"), ("bedrock", None), ("mantle", "x/y")]:
        with pytest.raises(Unusable):
            default_url(kind, region)
