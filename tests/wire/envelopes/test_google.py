"""rawPredict, against the official SDK's AnthropicVertex."""

from __future__ import annotations

import json

import pytest

from penstock.wire.envelopes import Unsupported, Unusable, default_url, envelope
from penstock.wire.messages import Malformed

from .clients import CALLS, NOW_S, count, create, dressed, field, first_party, google

pytest.importorskip("google.auth", reason="google-auth, which the SDK's client needs, is not installed")


@pytest.mark.parametrize("call", [*CALLS, "count"])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5@20250929", "claude-opus-5", "odd model/..?#;%ü"])
def test_the_sdk_would_send_the_same(call: str, model: str) -> None:
    send = {**CALLS, "count": count}[call](model)
    theirs = google(send)
    url = default_url("google", "us-east5")
    ours = dressed(envelope("google", url, region="us-east5", project="my-project"), first_party(send), "ya29.token")
    assert url.removesuffix("/v1") + ours.path == theirs.url
    assert ours.query == ""
    assert json.loads(ours.body) == theirs.json
    assert field(ours.headers, "x-api-key") is None
    for name in ("accept", "content-type", "anthropic-version", "anthropic-beta", "authorization"):
        assert field(ours.headers, name) == theirs.field(name), name


@pytest.mark.parametrize("region", ["global", "us", "eu", "europe-west1"])
def test_locations_have_the_sdks_hosts(region: str) -> None:
    there = envelope("google", default_url("google", region), region=region, project="my-project")
    path = dressed(there, first_party(create("claude-opus-5")), "t").path
    assert default_url("google", region).removesuffix("/v1") + path == google(create("claude-opus-5"), region).url


def test_a_url_without_a_path_has_the_apis() -> None:
    there = envelope("google", "https://aiplatform.googleapis.com", region="global", project="p")
    assert dressed(there, first_party(create("claude-opus-5")), "t").path.startswith("/v1/projects/p/locations/global/")


@pytest.mark.parametrize("version", [None, b"2023-06-01"])
def test_the_first_version_has_a_name_of_its_own(version: bytes | None) -> None:
    headers = ((b"anthropic-version", version),) if version else ()
    there = envelope("google", "https://aiplatform.googleapis.com", region="global", project="p")
    given = there.dress("POST", "/v1/messages", "", headers, b'{"model": "m"}', secret="t", now_s=NOW_S)
    assert given.body == b'{"anthropic_version":"vertex-2023-10-16"}'


@pytest.mark.filterwarnings("ignore:The model:DeprecationWarning")
def test_the_apis_names_are_mapped() -> None:
    there = envelope(
        "google",
        default_url("google", "us"),
        region="us",
        project="p",
        models={"claude-sonnet-5": "claude-sonnet-5@20260601"},
    )
    for asked, named in [
        ("claude-sonnet-5", "claude-sonnet-5@20260601"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5@20250929"),
        ("claude-opus-4-8", "claude-opus-4-8"),
    ]:
        assert f"/models/{named}:rawPredict" in dressed(there, first_party(create(asked)), "t").path
        counted = dressed(there, first_party(count(asked)), "t")
        assert counted.path.endswith("/models/count-tokens:rawPredict")
        assert json.loads(counted.body)["model"] == named


@pytest.mark.parametrize(
    ("region", "project"), [(None, "p"), ("global", None), ("", "p"), ("../x", "p"), ("global", "a/b"), ("global", "")]
)
def test_a_project_and_a_location_are_needed(region: str | None, project: str | None) -> None:
    with pytest.raises(Unusable):
        envelope("google", "https://aiplatform.googleapis.com", region=region, project=project)


def test_a_key_is_no_access_token() -> None:
    there = envelope("google", "https://aiplatform.googleapis.com", region="global", project="p")
    there.check("ya29.a0Af")
    for secret in ("AIzaSyEXAMPLE", '{"type":"service_account"}', "sk-ant-api03-x"):
        with pytest.raises(Unusable) as caught:
            there.check(secret)
        assert secret not in str(caught.value)


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/models", "/v1/files", "/v1/skills"])
def test_what_google_does_not_have_is_named(path: str) -> None:
    there = envelope("google", "https://aiplatform.googleapis.com", region="global", project="p")
    with pytest.raises(Unsupported):
        there.dress("POST", path, "", (), b"", secret="x", now_s=0)


def test_a_model_that_is_none_is_refused() -> None:
    there = envelope("google", "https://aiplatform.googleapis.com", region="global", project="p")
    with pytest.raises(Malformed):
        there.dress("POST", "/v1/messages", "", (), b'{"model": 7}', secret="x", now_s=0)
