"""InvokeModel, against the official SDK's AnthropicBedrock."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.wire.envelopes import Unsupported, Unusable, envelope
from penstock.wire.messages import Malformed

from .clients import CALLS, KEYS, MESSAGES, NOW_S, TOKEN, bedrock, create, dressed, field, first_party

URL = "https://bedrock-runtime.us-east-1.amazonaws.com"
OPUS = "us.anthropic.claude-opus-4-7"
SONNET = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2c3"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("model", [OPUS, ARN, "anthropic.claude-haiku-5-5", "odd model/..?#;%ü"])
def test_the_sdk_would_send_the_same(call: str, model: str) -> None:
    theirs = bedrock(CALLS[call](model), api_key="bedrock-api-key-xyz")
    ours = dressed(envelope("bedrock", URL), first_party(CALLS[call](model)), "bedrock-api-key-xyz")
    assert URL + ours.path == theirs.url
    assert ours.query == ""
    assert loads(ours.body) == theirs.json
    assert field(ours.headers, "authorization") == theirs.field("authorization") == "Bearer bedrock-api-key-xyz"
    for name in ("accept", "content-type", "anthropic-version"):
        assert field(ours.headers, name) == theirs.field(name), name
    assert field(ours.headers, "x-api-key") is None


@pytest.mark.parametrize("model", [SONNET, "eu.anthropic.claude-sonnet-4-6", "anthropic.claude-3-haiku-20240307-v1:0"])
def test_models_that_know_the_first_version_alone_are_asked_in_it(model: str) -> None:
    """The SDK does not; docs.claude.com warns that they refuse what it sends."""
    theirs = bedrock(create(model), api_key="x").json
    ours = loads(dressed(envelope("bedrock", URL), first_party(create(model)), "x").body)
    assert theirs.pop("anthropic_version") == "2026-10-21"
    assert ours.pop("anthropic_version") == "bedrock-2023-05-31"
    assert ours == theirs


@pytest.mark.parametrize("version", [None, b"2023-06-01"])
def test_the_first_version_has_a_name_of_its_own(version: bytes | None) -> None:
    headers = ((b"anthropic-version", version),) if version else ()
    given = envelope("bedrock", URL).dress(
        "POST", "/v1/messages", "", headers, b'{"model":"anthropic.claude-opus-5"}', secret="x", now_s=NOW_S
    )
    assert given.body == b'{"anthropic_version":"bedrock-2023-05-31"}'


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
def test_the_versions_of_a_profile_are_known_by_the_name_asked_for() -> None:
    there = envelope("bedrock", URL, models={"claude-sonnet-4-5": ARN})
    given = dressed(there, first_party(create("claude-sonnet-4-5-20250929")), "x")
    assert given.path.startswith(
        "/model/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile%2Fa1b2c3/"
    )
    assert loads(given.body)["anthropic_version"] == "bedrock-2023-05-31"


def test_betas_of_several_fields_are_one_list() -> None:
    headers = ((b"anthropic-beta", b"a-2026-01-01, b-2026-01-01"), (b"anthropic-beta", b"c-2026-01-01,"))
    given = envelope("bedrock", URL).dress(
        "POST", "/v1/messages", "", headers, b'{"model":"m"}', secret="x", now_s=NOW_S
    )
    assert loads(given.body)["anthropic_beta"] == ["a-2026-01-01", "b-2026-01-01", "c-2026-01-01"]
    assert field(given.headers, "anthropic-beta") is None


@pytest.mark.parametrize("token", [None, TOKEN])
def test_keys_sign_as_botocore_does(token: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore, the oracle of signatures, is not installed")
    theirs_signed = botocore_signed(auth, monkeypatch, token)
    secret = ":".join((*KEYS, token) if token else KEYS)
    for model in (OPUS, SONNET, ARN):
        for call in ("plain", "stream", "tools"):
            given = dressed(envelope("bedrock", URL), first_party(CALLS[call](model)), secret)
            expected = theirs_signed(URL + given.path, given, "bedrock")
            assert field(given.headers, "authorization") == expected["authorization"]
            assert field(given.headers, "x-amz-date") == expected["x-amz-date"] == "20261120T080910Z"
            assert field(given.headers, "x-amz-security-token") == token


def test_the_sdk_signs_for_the_same_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth", reason="botocore, the oracle of signatures, is not installed")
    freeze(auth, monkeypatch)
    theirs = bedrock(create(OPUS), aws_access_key=KEYS[0], aws_secret_key=KEYS[1])
    ours = dressed(envelope("bedrock", URL), first_party(create(OPUS)), ":".join(KEYS))
    scope = (theirs.field("authorization") or "").split(",")[0]
    assert scope == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/us-east-1/bedrock/aws4_request"
    assert (field(ours.headers, "authorization") or "").split(",")[0] == scope


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "eu-west-1"),
        ("https://bedrock-runtime-fips.us-gov-west-1.amazonaws.com/", "us-gov-west-1"),
        ("https://vpce-0a1b.bedrock-runtime.ap-south-1.vpce.amazonaws.com:443", "ap-south-1"),
    ],
)
def test_the_region_is_in_the_host(url: str, region: str) -> None:
    given = dressed(envelope("bedrock", url), first_party(create(OPUS)), ":".join(KEYS))
    assert f"/20261120/{region}/bedrock/aws4_request" in (field(given.headers, "authorization") or "")


def test_without_a_region_nothing_can_be_signed() -> None:
    there = envelope("bedrock", "https://proxy.example/aws")
    there.check("bedrock-api-key-xyz")
    with pytest.raises(Unusable, match="region") as caught:
        there.check(":".join(KEYS))
    assert KEYS[1] not in str(caught.value)
    given = dressed(there, first_party(create(OPUS)), "bedrock-api-key-xyz")
    assert given.path == f"/aws/model/{OPUS}/invoke"


@pytest.mark.parametrize("secret", ["AKID:", ":secret", "a:b:c:d", "AKID::token"])
def test_keys_that_are_not_whole_are_unusable(secret: str) -> None:
    with pytest.raises(Unusable) as caught:
        envelope("bedrock", URL).check(secret)
    assert secret not in str(caught.value)


def test_guardrails_go_on_and_are_signed_and_the_callers_credential_goes() -> None:
    headers = (
        (b"x-api-key", b"sk-ant-callers"),
        (b"authorization", b"Bearer pk_callers"),
        (b"x-amz-security-token", b"callers"),
        (b"x-amzn-bedrock-guardrailidentifier", b"g1"),
        (b"content-length", b"99"),
        (b"host", b"gateway.example"),
    )
    given = envelope("bedrock", URL).dress(
        "POST", "/v1/messages", "", headers, b'{"model":"m"}', secret=":".join(KEYS), now_s=NOW_S
    )
    assert [name for name, _ in given.headers] == [
        b"x-amzn-bedrock-guardrailidentifier",
        b"x-amz-date",
        b"authorization",
    ]
    signed = (field(given.headers, "authorization") or "").split("SignedHeaders=")[1].split(",")[0]
    assert signed == "host;x-amz-date;x-amzn-bedrock-guardrailidentifier"


def test_without_a_secret_the_callers_own_goes_on() -> None:
    headers = ((b"authorization", b"Bearer theirs"),)
    given = envelope("bedrock", URL).dress("POST", "/v1/messages", "", headers, b'{"model":"m"}', secret=None, now_s=0)
    assert given.headers == headers


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("POST", "/v1/messages/count_tokens", "token counting"),
        ("POST", "/v1/messages/batches", "message batches"),
        ("GET", "/v1/messages/batches/msgbatch_1/results", "message batches"),
        ("GET", "/v1/models", "list of models"),
        ("POST", "/v1/files", "files"),
        ("GET", "/v1/organizations/me", "such endpoint"),
        ("GET", "/v1/messages", "such endpoint"),
    ],
)
def test_what_bedrock_does_not_have_is_named(method: str, path: str, words: str) -> None:
    with pytest.raises(Unsupported, match=words):
        envelope("bedrock", URL).dress(method, path, "", (), b"", secret="x", now_s=0)


@pytest.mark.parametrize("model", ['""', "null", "7", '"."', '".."', '"..;x"', '";"'])
def test_a_model_that_is_none_is_refused(model: str) -> None:
    with pytest.raises(Malformed):
        envelope("bedrock", URL).dress(
            "POST", "/v1/messages", "", (), f'{{"model":{model}}}'.encode(), secret="x", now_s=0
        )


def test_nothing_secret_is_in_a_repr() -> None:
    given = dressed(envelope("bedrock", URL), first_party(create(OPUS)), ":".join((*KEYS, TOKEN)))
    assert TOKEN not in repr(given)
    assert "AWS4" not in repr(given)
    assert MESSAGES[0]["content"][:5] not in repr(given)


def freeze(auth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    monkeypatch.setattr(auth, "get_current_datetime", lambda: datetime.fromtimestamp(NOW_S, UTC))


def botocore_signed(auth: Any, monkeypatch: pytest.MonkeyPatch, token: str | None) -> Any:
    """Signs what was dressed, its unsigned fields left out, and gives the fields by name."""
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    freeze(auth, monkeypatch)

    def signed(url: str, given: Any, service: str) -> dict[str, str]:
        headers = {"content-type": field(given.headers, "content-type")}
        request = AWSRequest(method="POST", url=url, headers=headers, data=given.body)
        auth.SigV4Auth(Credentials(*KEYS, token), service, "us-east-1").add_auth(request)
        return {name.lower(): value for name, value in request.headers.items()}

    return signed


def loads(body: bytes) -> Any:
    import json

    return json.loads(body)
