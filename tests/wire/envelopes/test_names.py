"""What models are called: docs.claude.com's tables of the clouds' ids."""

from __future__ import annotations

import pytest

from penstock.wire.envelopes import names

#: The API's name, and those of Bedrock in a region without a profile of its own, Mantle and Google Cloud.
TABLE = [
    ("claude-fable-5", "anthropic.claude-fable-5", "anthropic.claude-fable-5", "claude-fable-5"),
    ("claude-opus-4-7", "anthropic.claude-opus-4-7", "anthropic.claude-opus-4-7", "claude-opus-4-7"),
    ("claude-mythos-preview", "anthropic.claude-mythos-preview", "anthropic.claude-mythos-preview", None),
    ("claude-opus-4-6", "anthropic.claude-opus-4-6-v1", None, "claude-opus-4-6"),
    ("claude-sonnet-4-6", "anthropic.claude-sonnet-4-6", None, "claude-sonnet-4-6"),
    ("claude-sonnet-4-5", "anthropic.claude-sonnet-4-5-20250929-v1:0", None, "claude-sonnet-4-5@20250929"),
    ("claude-sonnet-4-5-20250929", "anthropic.claude-sonnet-4-5-20250929-v1:0", None, "claude-sonnet-4-5@20250929"),
    ("claude-opus-4-5", "anthropic.claude-opus-4-5-20251101-v1:0", None, "claude-opus-4-5@20251101"),
    (
        "claude-haiku-4-5-20251001",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic.claude-haiku-4-5",
        "claude-haiku-4-5@20251001",
    ),
    ("claude-opus-4-1", "anthropic.claude-opus-4-1-20250805-v1:0", None, "claude-opus-4-1@20250805"),
    ("claude-sonnet-4-20250514", "anthropic.claude-sonnet-4-20250514-v1:0", None, "claude-sonnet-4@20250514"),
    ("claude-sonnet-4-0", "anthropic.claude-sonnet-4-20250514-v1:0", None, "claude-sonnet-4@20250514"),
    ("claude-3-7-sonnet-20250219", "anthropic.claude-3-7-sonnet-20250219-v1:0", None, "claude-3-7-sonnet@20250219"),
    ("claude-3-5-sonnet-20241022", "anthropic.claude-3-5-sonnet-20241022-v2:0", None, "claude-3-5-sonnet-v2@20241022"),
    ("claude-3-haiku-20240307", "anthropic.claude-3-haiku-20240307-v1:0", None, "claude-3-haiku@20240307"),
]


@pytest.mark.parametrize(("model", "bedrock", "mantle", "google"), TABLE)
def test_the_documented_names(model: str, bedrock: str, mantle: str | None, google: str | None) -> None:
    assert names.bedrock_model(model, None) == bedrock
    assert names.bedrock_model(model, "ap-south-1") == bedrock
    assert mantle is None or names.mantle_model(model) == mantle
    assert google is None or names.google_model(model) == google


@pytest.mark.parametrize(
    ("region", "profile"), [("us-east-2", "us."), ("eu-north-1", "eu."), ("us-gov-east-1", "us-gov.")]
)
def test_a_request_stays_in_the_geography_of_its_region(region: str, profile: str) -> None:
    assert names.bedrock_model("claude-sonnet-4-6", region) == f"{profile}anthropic.claude-sonnet-4-6"


@pytest.mark.parametrize(
    "model",
    [
        "global.anthropic.claude-opus-4-6-v1",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1",
        "claude-haiku-4-5@20251001",
        "my deployment",
        "",
    ],
)
def test_the_clouds_own_names_pass(model: str) -> None:
    assert names.bedrock_model(model, "us-east-1") == names.mantle_model(model) == names.google_model(model) == model


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("us.anthropic.claude-opus-4-6-v1", True),
        ("anthropic.claude-sonnet-4-20250514-v1:0", True),
        ("claude-3-7-sonnet-20250219", True),
        ("anthropic.claude-opus-4-7", False),
        ("claude-opus-4-10", False),
        ("claude-fable-5", False),
        ("claude-mythos-preview", False),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1", False),
    ],
)
def test_which_models_know_the_first_version_alone(model: str, expected: bool) -> None:
    assert names.is_before_4_7(model) is expected
